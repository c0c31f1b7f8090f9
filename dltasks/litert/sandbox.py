"""A stranger's .tflite tried in a process of its own: a malformed one can end the whole process (SIGSEGV) or take all memory.

python -m dltasks.litert.sandbox < FILE
"""

import subprocess
import sys
from pathlib import Path

from dltasks.errors import ModelError

MAX_SECONDS = 10
"""How long loading and one run may take."""

MAX_BYTES = 1 << 30
"""How much memory it may take."""


def check_in_subprocess(content: bytes, path: Path) -> None:
    """Raises ModelError if this content of a file can't be loaded and run, within SECONDS and BYTES."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "dltasks.litert.sandbox"],
            input=content,
            capture_output=True,
            timeout=MAX_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise ModelError(
            f"{path}: LiteRT does not load and run this .tflite within {MAX_SECONDS} s; it is damaged, or far too large"
        ) from error
    if done.returncode == 0:
        return
    said = done.stdout.decode("utf-8", "replace").strip()
    if done.returncode == 1 and said:
        raise ModelError(f"{path}: {said}")
    raise ModelError(
        f"{path}: LiteRT breaks down on this .tflite (tried in a process of its own, which ended with "
        f"{done.returncode}); it is damaged"
    )


def _try(content: bytes) -> int:
    """Load the file here and run it on zeros and on noise; what is wrong goes to standard output."""
    _limit_memory()
    import numpy as np

    from dltasks.litert.runtime import Runtime

    try:
        runtime, random = Runtime(content), np.random.default_rng(0)
        for signature in runtime.signatures or (None,):
            for most in (0, 255):
                given = {}
                for name, detail in runtime.input_details(signature).items():
                    # Of a stranger's axes that take any size, 1 is the only one that is surely not too many.
                    shape = [max(1, int(size)) for size in detail["shape_signature"]]
                    given[name] = random.integers(0, most, shape, endpoint=True).astype(detail["dtype"])
                runtime.run(given, signature)
    except (ModelError, ValueError, RuntimeError, TypeError, KeyError, MemoryError) as error:
        print((str(error).splitlines() or [type(error).__name__])[0])
        return 1
    return 0


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    resource.setrlimit(resource.RLIMIT_DATA, (MAX_BYTES, MAX_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    sys.exit(_try(sys.stdin.buffer.read()))
