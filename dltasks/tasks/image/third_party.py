"""Third-party .tflite files for photos: acceptance, and the conversion of inputs and outputs."""

from typing import Any

import numpy as np

from dltasks.errors import ModelError
from dltasks.litert.runtime import Convert
from dltasks.litert.third_party import Adapter, ThirdPartyModel
from dltasks.tasks.classification import softmax

SUM_TOLERANCE = 0.06
"""Maximum difference of the sum of probabilities from 1; quantization to 8 bits rarely preserves the sum."""

BACKGROUND = "background"
"""Label of an additional first output."""

PROBES = 4
"""Number of noise photos for telling probabilities from logits."""


def build_adapter(model: ThirdPartyModel, task_class: Any) -> Adapter:
    """A task for the file, with the conversions of its input and output. Raises ModelError."""
    task = task_class(size=find_size(model), labels=find_labels(model))
    (input_name,), (output_name,) = model.runtime.inputs, model.runtime.outputs
    names = {input_name: "pixels", output_name: "probabilities"}
    preprocess = make_preprocess(model)
    inputs = {"pixels": preprocess} if preprocess else {}
    noise = np.random.default_rng(0).integers(0, 256, (PROBES, task.size, task.size, 3)).astype(np.uint8)
    outputs = model.runtime.with_adapters(names, inputs, {}).run({"pixels": noise})["probabilities"]
    postprocess = find_postprocess(outputs, (PROBES, len(task.labels)))
    return Adapter(task, names, inputs, {"probabilities": postprocess} if postprocess else {})


def find_size(model: ThirdPartyModel) -> int:
    """Side length of the input, in pixels. Raises ModelError."""
    runtime = model.runtime
    if runtime.signatures or len(runtime.inputs) != 1 or len(runtime.outputs) != 1:
        raise ModelError("expected one input and one output of an image classifier")
    (pixels,), (output,) = runtime.inputs.values(), runtime.outputs.values()
    shape, dtype = tuple(map(int, pixels["shape_signature"])), np.dtype(pixels["dtype"])
    actual = f"{dtype.name} ({', '.join(map(str, shape))})"
    if len(shape) != 4 or shape[3] != 3 or dtype not in (np.uint8, np.int8, np.float32):
        raise ModelError(f"its input is {actual}; expected uint8, int8 or float32 (1, side, side, 3)")
    if shape[1] != shape[2] or shape[1] < 1:
        raise ModelError(
            f"its input is {actual}; expected a square of fixed size, as photos are cropped square"
        )
    if len(output["shape_signature"]) != 2:
        raise ModelError(f"its output is {tuple(map(int, output['shape_signature']))}; expected (1, labels)")
    return shape[1]


def find_labels(model: ThirdPartyModel) -> tuple[str, ...]:
    """Labels of the outputs; with one output more than labels, the first is the background.

    Raises ModelError.
    """
    (output,) = model.runtime.outputs.values()
    classes, names = int(output["shape_signature"][-1]), model.label_names()
    if not names:
        raise ModelError("it contains no labels; provide a text file with one label per line with --labels")
    if len(names) == classes - 1:
        return (BACKGROUND, *names)
    if len(names) != classes:
        raise ModelError(f"it has {classes} outputs, but there are {len(names)} labels")
    return tuple(names)


def make_preprocess(model: ThirdPartyModel) -> Convert | None:
    """The conversion of uint8 pixels to its input; None if there is nothing to convert. Raises ModelError."""
    (detail,) = model.runtime.inputs.values()
    dtype, (scale, zero_point), scaling = np.dtype(detail["dtype"]), detail["quantization"], model.scaling()
    # As in MediaPipe and Android, uint8 pixels are the quantized values themselves.
    if dtype == np.uint8 and model.mean is None and model.std is None:
        return None
    if scaling is None:
        raise ModelError(
            f"its input is {dtype.name}, and it does not say how pixels are scaled; use --mean and "
            "--std (0 and 255 for 0 to 1, 127.5 and 127.5 for -1 to 1, 0 and 1 for 0 to 255)"
        )
    mean, std = scaling
    if len(mean) not in (1, 3) or len(std) not in (1, 3) or not np.all(std > 0):
        raise ModelError(
            f"mean {mean.tolist()} and standard deviation {std.tolist()} of its input: "
            "expected one or three values, the deviation above 0"
        )
    limits = None if dtype == np.float32 else np.iinfo(str(dtype))

    def preprocess(pixels: np.ndarray) -> np.ndarray:
        values = (pixels.astype(np.float32) - mean) / std
        if limits is None:
            return values
        return np.clip(np.round(values / (scale or 1.0) + zero_point), limits.min, limits.max).astype(dtype)

    return preprocess


def find_postprocess(outputs: np.ndarray, shape: tuple[int, int]) -> Convert | None:
    """Softmax if the outputs are logits, None if they are probabilities.

    outputs: those of some photos; shape: the expected one, (photos, labels). Raises ModelError.
    """
    if outputs.shape != shape or not np.isfinite(outputs).all():
        raise ModelError(
            f"for {shape[0]} photos it returns {outputs.shape}, or values that are not finite; "
            f"expected {shape}"
        )
    sums = outputs.sum(axis=1)
    if outputs.min() < 0 or outputs.max() > 1 + SUM_TOLERANCE:
        return softmax
    if np.abs(sums - 1).max() > SUM_TOLERANCE:
        raise ModelError(
            "its outputs are not probabilities of mutually exclusive labels: they sum to "
            f"{sums[np.abs(sums - 1).argmax()]:.2f}"
        )
    return None
