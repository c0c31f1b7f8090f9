"""Functions that run a network: its Keras model, its SavedModel, a few rows at a time."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dltasks.litert.runtime import Arrays, Run
from dltasks.protocols import signatures_of
from dltasks.task import Task


def keras_runner(task: Task, network: Any) -> Run:
    """Runs the network's signatures in Keras."""
    import tensorflow as tf

    signatures = signatures_of(task, network)
    # Traced once, for inputs of any size that the signature takes.
    functions = {
        name: tf.function(
            signature.function,
            input_signature=[
                {
                    key: tf.TensorSpec(shape, dtype, name=key)
                    for key, (shape, dtype) in signature.inputs.items()
                }
            ],
        )
        for name, signature in signatures.items()
    }
    default = next(iter(functions)) if len(functions) == 1 else ""

    def run(inputs: Arrays, signature: str = default) -> Arrays:
        outputs = functions[signature]({name: tf.constant(values) for name, values in inputs.items()})
        return {name: values.numpy() for name, values in outputs.items()}

    return run


def saved_model_runner(folder: Path) -> Run:
    """Runs the signatures of a SavedModel, loaded from disk."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder))

    def run(inputs: Arrays, signature: str = "serving_default") -> Arrays:
        tensors = {name: tf.constant(values) for name, values in inputs.items()}
        return {name: values.numpy() for name, values in loaded.signatures[signature](**tensors).items()}

    return run


def run_in_batches(run: Callable[[Arrays], Arrays], inputs: Arrays, batch_size: int = 32) -> Arrays:
    """The outputs of `run` for these inputs, computed `batch_size` rows at a time."""
    batches = [
        run({name: np.ascontiguousarray(values[i : i + batch_size]) for name, values in inputs.items()})
        for i in range(0, row_count(inputs), batch_size)
    ]
    return {name: np.concatenate([np.asarray(batch[name]) for batch in batches]) for name in batches[0]}


def predict_in_batches(network: Any, inputs: Arrays) -> Arrays:
    """The outputs of a Keras model, as numpy arrays."""
    return run_in_batches(network.predict_on_batch, inputs)


def iter_rows(inputs: Arrays) -> Iterator[Arrays]:
    """The inputs one at a time, with a batch axis of 1."""
    return ({name: values[i : i + 1] for name, values in inputs.items()} for i in range(row_count(inputs)))


def row_count(inputs: Arrays) -> int:
    """Number of examples in these arrays."""
    return len(next(iter(inputs.values())))
