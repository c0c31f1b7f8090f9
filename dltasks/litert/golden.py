"""Golden vectors: a few inputs with the outputs a file gave when it was written, so that any machine can tell whether it still does."""

import tokenize
import zipfile
from io import BytesIO

import numpy as np

from dltasks.errors import ModelError
from dltasks.files import unzip
from dltasks.litert.runtime import Arrays, Runtime

GOLDEN_FILE, STREAM_GOLDEN_FILE = "golden.npz", "stream.golden.npz"
"""Of the file that answers, and of the one of a bundle that takes a stream."""

COUNT = 3
"""Inputs of each signature."""

MAX_BYTES = 64 << 20
"""Bytes that they may unpack to."""

MAX_VALUES = 1000
"""Values of an output that are kept at most, evenly over it."""

DYNAMIC_SIZE = 8
"""Size of an axis, other than the first, that a file takes in any size."""

FLOAT_TOLERANCE, INT8_TOLERANCE = 1e-3, 0.05
"""The largest difference, as a share of the largest output (1 at least), of files that compute in floats, and of files that
compute in 8 bits: there processors round differently."""


def tolerance(level: str) -> float:
    """What the outputs of a file of this level of quantisation may differ by from one processor to another."""
    return INT8_TOLERANCE if level in ("dynamic", "int8") else FLOAT_TOLERANCE


def create_golden(runtime: Runtime, examples: Arrays, seed: int = 0) -> bytes:
    """The content of FILE for this file.

    examples: encoded inputs (count, ...). No example is kept: each value of an input is that of another example at the
    same place. A later signature is given what an earlier one put out under the same name, and zeros for what nothing
    tells, as a state is at its beginning.
    """
    random = np.random.default_rng(seed)
    found, known = {}, {}
    for signature in runtime.signatures or (None,):
        details = runtime.input_details(signature)
        given = {
            name: _draw_input(each, examples.get(name), random)
            for name, each in details.items()
            if name not in known
        }
        found |= {f"{signature or ''}/in/{name}": each for name, each in given.items()}
        answers = runtime.run(given | {name: known[name] for name in details if name in known}, signature)
        found |= {f"{signature or ''}/out/{name}": _subsample(each) for name, each in answers.items()}
        known |= answers
    file = BytesIO()
    np.savez_compressed(file, **found)
    return file.getvalue()


def _subsample(values: np.ndarray) -> np.ndarray:
    flat = values.reshape(-1)
    return flat[:: max(1, len(flat) // MAX_VALUES)]


def _draw_input(detail: dict, values: np.ndarray | None, random: np.random.Generator) -> np.ndarray:
    """COUNT inputs (one, where the file takes no more) of the shape that the file wants."""
    free = detail["shape_signature"]
    shape = [DYNAMIC_SIZE if size < 0 else size for size in free]
    shape[0] = COUNT if free[0] < 0 else free[0]
    dtype = detail["dtype"]
    if values is None:
        return np.zeros(shape, dtype)
    # A stream takes less than a whole input at a time.
    size = [values.shape[i + 1] if free[i + 1] < 0 else free[i + 1] for i in range(len(free) - 1)]
    values = values[(slice(None), *(slice(each) for each in size))]
    rows = random.integers(len(values), size=(shape[0], *values.shape[1:]))
    return np.take_along_axis(values, rows, axis=0).astype(dtype)


def read_golden(content: bytes) -> Arrays:
    """The arrays of a FILE by name. Raises ModelError if it is damaged."""
    try:
        return {name.removesuffix(".npy"): _array(each) for name, each in unzip(content, MAX_BYTES).items()}
    except (zipfile.BadZipFile, ValueError, TypeError, SyntaxError, tokenize.TokenError) as error:
        raise ModelError(f"{GOLDEN_FILE} is damaged ({_first_line(error)})") from error


def _array(content: bytes) -> np.ndarray:
    """What stands in a .npy; no more is made room for than there is."""
    file = BytesIO(content)
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("an array of another version")
    shape, by_column, dtype = np.lib.format.read_array_header_1_0(file)
    if dtype.hasobject or by_column:
        raise ValueError("an array of objects, or by column")
    return np.frombuffer(content, dtype, offset=file.tell()).reshape(shape)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def max_difference(runtime: Runtime, content: bytes) -> float:
    """The largest difference of what the file answers here from what it answered when it was written, as a share of the
    largest output (1 at least). Raises ModelError if `content` is damaged or of another file.
    """
    found, known = 0.0, {}
    kept = {tuple(name.split("/", 2)): each for name, each in read_golden(content).items()}
    try:
        for signature in dict.fromkeys(key[0] for key in kept):
            names = runtime.input_details(signature or None)
            given = {name: kept.get((signature, "in", name), known.get(name)) for name in names}
            known |= runtime.run(given, signature or None)
            wanted = {name: each for (s, side, name), each in kept.items() if (s, side) == (signature, "out")}
            found = max(
                [
                    found,
                    *(_relative_difference(_subsample(known[name]), each) for name, each in wanted.items()),
                ]
            )
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise ModelError(f"{GOLDEN_FILE} does not fit the file ({_first_line(error)})") from error
    return found


def _relative_difference(given: np.ndarray, wanted: np.ndarray) -> float:
    wanted = wanted.astype(np.float64)
    apart = float(np.abs(given - wanted).max(initial=0.0)) / max(1.0, float(np.abs(wanted).max(initial=0.0)))
    return apart if np.isfinite(apart) else float("inf")
