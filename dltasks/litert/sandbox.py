"""A third-party .tflite file tried in a subprocess: a malformed one can crash the process or take all memory.

python -m dltasks.litert.sandbox < FILE
"""

import subprocess
import sys
from pathlib import Path

from dltasks.errors import ModelError, first_line

MAX_SECONDS = 10
"""Maximum time of loading and running a file, in seconds."""

MAX_BYTES = 1 << 30
"""Maximum memory of the subprocess, in bytes."""


def check_in_subprocess(content: bytes, path: Path) -> None:
    """Raise ModelError if a .tflite file can't be loaded and run within MAX_SECONDS and MAX_BYTES."""
    try:
        process = subprocess.run(
            [sys.executable, "-m", "dltasks.litert.sandbox"],
            input=content,
            capture_output=True,
            timeout=MAX_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise ModelError(
            f"{path}: LiteRT does not load and run this .tflite within {MAX_SECONDS} s; "
            "it is damaged or far too large"
        ) from error
    if process.returncode == 0:
        return
    message = process.stdout.decode("utf-8", "replace").strip()
    if process.returncode == 1 and message:
        raise ModelError(f"{path}: {message}")
    raise ModelError(
        f"{path}: LiteRT breaks down on this .tflite (a subprocess that tried it ended with "
        f"{process.returncode}); it is damaged"
    )


def _try(content: bytes) -> int:
    """Load the file and run it on zeros and on noise; prints what fails and returns the exit code."""
    _limit_memory()
    import numpy as np

    from dltasks.litert.runtime import Runtime

    try:
        runtime, random = Runtime(content), np.random.default_rng(0)
        for signature in runtime.signatures or (None,):
            for maximum in (0, 255):
                inputs = {}
                for name, detail in runtime.input_details(signature).items():
                    # Any other size than 1 could be too much for an axis of any size.
                    shape = [max(1, int(size)) for size in detail["shape_signature"]]
                    values = random.integers(0, maximum, shape, endpoint=True)
                    inputs[name] = values.astype(detail["dtype"])
                runtime.run(inputs, signature)
    except (ModelError, ValueError, RuntimeError, TypeError, KeyError, MemoryError) as error:
        print(first_line(error))
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
