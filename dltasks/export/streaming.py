"""The streaming form of a network: a chunk of a stream and the state in, outputs and the next state out."""

from collections.abc import Iterable
from itertools import islice
from typing import Any

import numpy as np

from dltasks.errors import ExportError
from dltasks.export.convert import to_tflite
from dltasks.export.held_out import HeldOut, score_outputs
from dltasks.export.latency import measure_latency
from dltasks.export.parity import Parity, compare
from dltasks.export.runners import iter_rows, predict_in_batches
from dltasks.litert.runtime import Arrays, Run, Runtime
from dltasks.protocols import Streams
from dltasks.task import Task

MAX_CALIBRATION_STREAMS = 40
"""Maximum number of examples whose chunks calibrate int8 in a streaming file."""


def to_streaming_tflite(
    task: Task,
    network: Any,
    quantize: str,
    calibration: Arrays,
    held_out: HeldOut,
    chunk_size: int | None = None,
) -> tuple[bytes, Parity]:
    """Convert the streaming form of a network to a .tflite, and measure its parity.

    The state goes in and comes out under the same names. Parity compares the outputs after the last chunk of
    each held-out input, starting from a state of zeros, with the network's outputs for the whole input.

    Args:
        task: of a network that has a streaming form.
        network: the Keras model.
        quantize: one of QUANTIZATION_MODES.
        calibration: encoded whole inputs (count, length, ...) whose chunks calibrate int8.
        held_out: examples to compare on.
        chunk_size: length of a chunk; the shortest possible by default.

    Raises ExportError.
    """
    if not isinstance(task, Streams):
        raise ExportError("a model of this task has no streaming form")
    step = task.streaming_network(network, chunk_size)
    chunks = {}
    if quantize == "int8":
        chunks = _stream_chunks(step, islice(iter_rows(calibration), MAX_CALIBRATION_STREAMS))
    model = to_tflite(step, quantize, chunks, task.quantized_ops)
    run = Runtime(model).run
    first, *others = iter_rows(held_out.inputs)
    # Only the first input's chunks are recorded: those of all inputs would take a gigabyte.
    step_inputs: list[Arrays] = []
    rows = [run_stream(run, step, first, step_inputs), *(run_stream(run, step, row) for row in others)]
    outputs = _concat_rows(rows)
    latency = measure_latency(run, step_inputs[-1])
    expected = score_outputs(task, predict_in_batches(network, held_out.inputs), held_out)
    streamed = score_outputs(task, outputs, held_out)
    return model, compare(task, quantize, expected, streamed, held_out, len(model), latency)


def _stream_chunks(step: Any, rows: Iterable[Arrays]) -> Arrays:
    """The inputs of all steps of these streams, one stream after the other."""
    run = Runtime(to_tflite(step, "none", {})).run
    step_inputs: list[Arrays] = []
    for row in rows:
        run_stream(run, step, row, step_inputs)
    return _concat_rows(step_inputs)


def _concat_rows(rows: list[Arrays]) -> Arrays:
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


def run_stream(run: Run, step: Any, inputs: Arrays, step_inputs: list[Arrays] | None = None) -> Arrays:
    """The outputs after the last chunk of `inputs` (1, length, ...).

    step_inputs: a list that the inputs of every step are appended to.
    """
    shapes = {tensor.name: tuple(tensor.shape) for tensor in step.inputs}
    state = {name: np.zeros(shape, np.float32) for name, shape in shapes.items() if name not in inputs}
    sizes = {name: shapes[name][1] for name in inputs}
    # An input that does not fill its first chunk starts with zeros.
    padded = {name: _pad_start(values, -values.shape[1] % sizes[name]) for name, values in inputs.items()}
    outputs: Arrays = {}
    for i in range(min(values.shape[1] // sizes[name] for name, values in padded.items())):
        chunk = {name: values[:, i * sizes[name] : (i + 1) * sizes[name]] for name, values in padded.items()}
        if step_inputs is not None:
            step_inputs.append(chunk | state)
        outputs = run(chunk | state)
        state = {name: outputs.pop(name) for name in state}
    return outputs


def _pad_start(values: np.ndarray, count: int) -> np.ndarray:
    """`values` (1, length, ...) after `count` zeros on the second axis."""
    return np.pad(values, [(0, 0), (count, 0), *[(0, 0)] * (values.ndim - 2)])
