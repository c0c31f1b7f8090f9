"""The outputs of a Keras model for many inputs, through LiteRT on all cores."""

from typing import Any

import numpy as np

from dltasks.export.convert import to_tflite
from dltasks.export.runners import predict_in_batches, row_count
from dltasks.litert.runtime import Arrays, Runtime
from dltasks.parallel import parallel_map

MIN_CONVERTED = 500
"""Minimum number of inputs for which a conversion, which takes seconds, pays off."""

BATCH_SIZE = 8
"""Number of inputs that a core takes at once."""


def compute_outputs(network: Any, inputs: Arrays) -> Arrays:
    """The outputs of a Keras model by name, for inputs by name.

    Many inputs go through LiteRT, which takes a fraction of Keras's time. Raises ExportError for a network
    that LiteRT can't run.
    """
    count = row_count(inputs)
    if count < MIN_CONVERTED:
        return predict_in_batches(network, inputs)
    runtime = Runtime(to_tflite(network, "none", {}))
    chunks = [slice(start, start + BATCH_SIZE) for start in range(0, count, BATCH_SIZE)]

    def run(chunk: slice) -> Arrays:
        return runtime.run({name: np.ascontiguousarray(values[chunk]) for name, values in inputs.items()})

    outputs = list(parallel_map(run, chunks))
    return {name: np.concatenate([output[name] for output in outputs]) for name in outputs[0]}
