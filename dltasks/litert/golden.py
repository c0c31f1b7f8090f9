"""Golden vectors: a few inputs and the outputs that a file gave for them when it was written."""

import tokenize
import zipfile
from io import BytesIO
from typing import Any

import numpy as np

from dltasks.errors import ModelError, first_line
from dltasks.files import unzip
from dltasks.litert.runtime import Arrays, Runtime

GOLDEN_FILE, STREAM_GOLDEN_FILE = "golden.npz", "stream.golden.npz"
"""Files with the golden vectors of a bundle's model.tflite and of its stream.tflite."""

COUNT = 3
"""Number of inputs for each signature."""

MAX_BYTES = 64 << 20
"""Maximum number of bytes that golden vectors may unzip to."""

MAX_VALUES = 1000
"""Maximum number of values stored of an output, evenly spaced."""

DYNAMIC_SIZE = 8
"""Size that is used for an axis of any size, other than the batch axis."""

FLOAT_TOLERANCE, INT8_TOLERANCE = 1e-3, 0.05
"""Maximum difference, relative to the largest output (at least 1), of float and of 8-bit computation.

Processors round 8-bit computations differently.
"""


def tolerance(mode: str) -> float:
    """Maximum difference between processors of the outputs of a file with this quantization mode."""
    return INT8_TOLERANCE if mode in ("dynamic", "int8") else FLOAT_TOLERANCE


def create_golden(runtime: Runtime, examples: Arrays, seed: int = 0) -> bytes:
    """Golden vectors of a file, as the content of GOLDEN_FILE.

    No example is stored: each value of an input comes from a random example, at the same position. An input
    with the name of an earlier signature's output gets that output; an input without examples, such as a
    state, is zeros.

    Args:
        runtime: Runs the file.
        examples: Encoded inputs by name, with a batch axis.
        seed: Seed of the random choices.
    """
    random = np.random.default_rng(seed)
    arrays: dict[str, Any] = {}
    earlier: Arrays = {}
    for signature in runtime.signatures or (None,):
        details = runtime.input_details(signature)
        inputs = {
            name: _draw_input(detail, examples.get(name), random)
            for name, detail in details.items()
            if name not in earlier
        }
        arrays |= {f"{signature or ''}/in/{name}": values for name, values in inputs.items()}
        outputs = runtime.run(
            inputs | {name: earlier[name] for name in details if name in earlier}, signature
        )
        arrays |= {f"{signature or ''}/out/{name}": _subsample(values) for name, values in outputs.items()}
        earlier |= outputs
    file = BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def _subsample(values: np.ndarray) -> np.ndarray:
    flat = values.reshape(-1)
    return flat[:: max(1, len(flat) // MAX_VALUES)]


def _draw_input(detail: dict[str, Any], values: np.ndarray | None, random: np.random.Generator) -> np.ndarray:
    """An input of COUNT rows, or of the file's fixed batch size."""
    signature = detail["shape_signature"]
    shape = [DYNAMIC_SIZE if size < 0 else size for size in signature]
    shape[0] = COUNT if signature[0] < 0 else signature[0]
    dtype = detail["dtype"]
    if values is None:
        return np.zeros(shape, dtype)
    # A stream takes less than a whole input at a time.
    sizes = [
        values.shape[i + 1] if signature[i + 1] < 0 else signature[i + 1] for i in range(len(signature) - 1)
    ]
    values = values[(slice(None), *(slice(size) for size in sizes))]
    rows = random.integers(len(values), size=(shape[0], *values.shape[1:]))
    return np.take_along_axis(values, rows, axis=0).astype(dtype)


def read_golden(content: bytes) -> Arrays:
    """The arrays of a GOLDEN_FILE by name: signature/in/input or signature/out/output. Raises ModelError."""
    try:
        files = unzip(content, MAX_BYTES)
        return {name.removesuffix(".npy"): _parse_array(file) for name, file in files.items()}
    except (zipfile.BadZipFile, ValueError, TypeError, SyntaxError, tokenize.TokenError) as error:
        raise ModelError(f"{GOLDEN_FILE} is damaged ({first_line(error)})") from error


def _parse_array(content: bytes) -> np.ndarray:
    """The array in a .npy file; no memory is reserved for values that the file lacks."""
    file = BytesIO(content)
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("an array of another format version")
    shape, column_major, dtype = np.lib.format.read_array_header_1_0(file)
    if dtype.hasobject or column_major:
        raise ValueError("an array of objects, or in column-major order")
    return np.frombuffer(content, dtype, offset=file.tell()).reshape(shape)


def max_difference(runtime: Runtime, content: bytes) -> float:
    """The largest difference between the outputs here and those of the golden vectors.

    Relative to the largest output of each tensor (at least 1). Raises ModelError if the golden vectors are
    damaged or belong to another file.
    """
    arrays = {tuple(name.split("/", 2)): values for name, values in read_golden(content).items()}
    differences = [0.0]
    outputs: Arrays = {}
    try:
        for signature in dict.fromkeys(key[0] for key in arrays):
            inputs = {
                name: arrays[signature, "in", name] if (signature, "in", name) in arrays else outputs[name]
                for name in runtime.input_details(signature or None)
            }
            outputs |= runtime.run(inputs, signature or None)
            differences += [
                _relative_difference(_subsample(outputs[key[2]]), expected)
                for key, expected in arrays.items()
                if key[:2] == (signature, "out")
            ]
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError, IndexError) as error:
        raise ModelError(f"{GOLDEN_FILE} does not fit the file ({first_line(error)})") from error
    return max(differences)


def _relative_difference(values: np.ndarray, expected: np.ndarray) -> float:
    expected = expected.astype(np.float64)
    scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
    difference = float(np.abs(values - expected).max(initial=0.0)) / scale
    return difference if np.isfinite(difference) else float("inf")
