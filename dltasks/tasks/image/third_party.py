"""Photo models that others made: what their input takes, what their output gives, and what is refused."""

import numpy as np

from dltasks.errors import ModelError
from dltasks.litert.runtime import Convert
from dltasks.litert.third_party import ThirdPartyModel

NEAR = 0.06
"""How far probabilities may be from adding up to 1; in 8 bits they seldom do."""

BACKGROUND = "background"


def sides(stranger: ThirdPartyModel) -> int:
    """Pixels of a side that the input takes. Raises ModelError."""
    runtime = stranger.runtime
    if runtime.signatures or len(runtime.inputs) != 1 or len(runtime.outputs) != 1:
        raise ModelError("a photo model has one input and one output")
    (pixels,), (output,) = runtime.inputs.values(), runtime.outputs.values()
    shape, kind = tuple(map(int, pixels["shape_signature"])), np.dtype(pixels["dtype"])
    taken = f"{kind.name} ({', '.join(map(str, shape))})"
    if len(shape) != 4 or shape[3] != 3 or kind not in (np.uint8, np.int8, np.float32):
        raise ModelError(
            f"its input is {taken}; a photo model takes uint8, int8 or float32 (1, side, side, 3)"
        )
    if shape[1] != shape[2] or shape[1] < 1:
        raise ModelError(
            f"its input is {taken}; photos are cut square, so height and width must be equal and fixed"
        )
    if len(output["shape_signature"]) != 2:
        raise ModelError(
            f"its output is {tuple(map(int, output['shape_signature']))}; a photo model gives (1, labels)"
        )
    return shape[1]


def labels(stranger: ThirdPartyModel) -> tuple[str, ...]:
    """Names of the outputs; one output more than labels is the background. Raises ModelError."""
    (output,) = stranger.runtime.outputs.values()
    classes, known = int(output["shape_signature"][-1]), stranger.label_names()
    if not known:
        raise ModelError("it carries no labels; give a text file of one label a line with --labels")
    if len(known) == classes - 1:
        return (BACKGROUND, *known)
    if len(known) != classes:
        raise ModelError(f"it has {classes} outputs and there are {len(known)} labels")
    return tuple(known)


def preprocess(stranger: ThirdPartyModel) -> Convert | None:
    """What makes its input of uint8 pixels; None where they are that. Raises ModelError."""
    (detail,) = stranger.runtime.inputs.values()
    kind, (scale, zero), scaling = np.dtype(detail["dtype"]), detail["quantization"], stranger.scaling()
    # As MediaPipe and Android do: uint8 pixels are the quantised values.
    if kind == np.uint8 and stranger.mean is None and stranger.std is None:
        return None
    if scaling is None:
        raise ModelError(
            f"its input is {kind.name} and it does not say how pixels are scaled; give --mean and --std (0 and 255 for 0 "
            "to 1, 127.5 and 127.5 for -1 to 1, 0 and 1 for 0 to 255)"
        )
    mean, std = scaling
    if len(mean) not in (1, 3) or len(std) not in (1, 3) or not np.all(std > 0):
        raise ModelError(
            f"mean {mean.tolist()} and standard deviation {std.tolist()} of its input: wanted one or three values, above 0"
        )
    limits = None if kind == np.float32 else np.iinfo(kind)

    def scaled(pixels: np.ndarray) -> np.ndarray:
        values = (pixels.astype(np.float32) - mean) / std
        if limits is None:
            return values
        return np.clip(np.round(values / (scale or 1.0) + zero), limits.min, limits.max).astype(kind)

    return scaled


def postprocess(outputs: np.ndarray, shape: tuple[int, int]) -> Convert | None:
    """What makes probabilities of its outputs; None where they are that.

    outputs: of some photos; shape: (photos, labels), which they should have. Raises ModelError.
    """
    if outputs.shape != shape or not np.isfinite(outputs).all():
        raise ModelError(
            f"it gives {outputs.shape} of {shape[0]} photos, or what is no number, and has {shape[1]} labels"
        )
    sums = outputs.sum(axis=1)
    if outputs.min() >= 0 and outputs.max() <= 1 + NEAR:
        if np.abs(sums - 1).max() > NEAR:
            raise ModelError(
                f"its outputs are no probabilities of one label each: they add up to {sums[np.abs(sums - 1).argmax()]:.2f}"
            )
        return None
    return _softmax


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
