"""Speech models in .tflite files that dltasks did not write."""

from typing import Any

import numpy as np

from dltasks.errors import ModelError
from dltasks.litert.third_party import Adapter, ThirdPartyModel

MIN_SAMPLES = 1600
"""Minimum length of an input: 0.1 seconds at 16 kHz."""


def create_adapter(kind: Any, model: ThirdPartyModel) -> Adapter:
    """The adapter for a file from samples to probabilities. kind: the SpeechTask class. Raises ModelError."""
    runtime, labels = model.runtime, model.label_names()
    if runtime.signatures or len(runtime.inputs) != 1 or len(runtime.outputs) != 1:
        raise ModelError("a speech model has one input and one output")
    (input_name, samples), (output_name, output) = *runtime.inputs.items(), *runtime.outputs.items()
    shape, output_shape = (tuple(map(int, tensor["shape"])) for tensor in (samples, output))
    if len(shape) != 2 or shape[1] < MIN_SAMPLES or samples["dtype"] != np.float32:
        received = f"{np.dtype(samples['dtype']).name} ({', '.join(map(str, shape))})"
        raise ModelError(f"its input is {received}; a speech model takes float32 (1, samples)")
    if len(output_shape) != 2:
        raise ModelError(f"its output is {output_shape}; a speech model returns (1, labels)")
    if not labels:
        raise ModelError("it carries no labels; give a text file with one label per line as --labels")
    if len(labels) != output_shape[1]:
        raise ModelError(f"it has {output_shape[1]} outputs but {len(labels)} labels")
    task = kind(labels=tuple(labels), seconds=shape[1] / kind.sample_rate)
    return Adapter(task, {input_name: "samples", output_name: "probabilities"}, {}, {})
