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


class OutputComputer:
    """Computes the outputs of Keras models; those that it has converted once run in LiteRT from then on."""

    def __init__(self) -> None:
        # By identity; the models are kept, so that no other model gets the same one.
        self._converted: dict[int, tuple[Any, Runtime]] = {}

    def convert(self, network: Any) -> None:
        """Convert a model whose weights do not change any more. Raises ExportError if LiteRT can't run it."""
        if id(network) not in self._converted:
            self._converted[id(network)] = network, Runtime(to_tflite(network, "none", {}))

    def __call__(self, network: Any, inputs: Arrays) -> Arrays:
        """The outputs by name, for inputs by name; many inputs convert the model. Raises ExportError."""
        if row_count(inputs) >= MIN_CONVERTED:
            self.convert(network)
        if id(network) not in self._converted:
            return predict_in_batches(network, inputs)
        runtime = self._converted[id(network)][1]

        def run(start: int) -> Arrays:
            rows = slice(start, start + BATCH_SIZE)
            return runtime.run({name: np.ascontiguousarray(values[rows]) for name, values in inputs.items()})

        outputs = list(parallel_map(run, range(0, row_count(inputs), BATCH_SIZE)))
        return {name: np.concatenate([output[name] for output in outputs]) for name in outputs[0]}
