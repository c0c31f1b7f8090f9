"""The streaming form of a network: a chunk of a stream and the state in, outputs and the next state out."""

from collections.abc import Iterator, Sequence

import numpy as np

from dltasks.errors import ExportError
from dltasks.export import parity as parities
from dltasks.export.convert import predict_in_batches, to_tflite
from dltasks.export.parity import HeldOut, Parity
from dltasks.litert.runtime import Arrays, Runtime
from dltasks.protocols import Streams
from dltasks.task import Task

MAX_CALIBRATION_STREAMS = 40
"""Examples whose steps int8 takes the ranges of a stream from."""


def to_streaming_tflite(
    task: Task, network, level: str, calibration: Arrays, held: HeldOut, size: int | None = None
) -> tuple[bytes, Parity]:
    """One step of a stream as a .tflite, whose state goes in and comes out by the same names; and its parity.

    calibration: inputs that int8 takes its ranges from. size: of the piece that a step takes; the shortest by default.

    Compared are the outputs after the last piece of each held input, from a state of zeros on, with those of the
    network for the whole input. Raises ExportError.
    """
    if not isinstance(task, Streams):
        raise ExportError("a model of this task has no streaming form")
    step = task.streaming_network(network, size)
    ranges = (
        _stream_chunks(step, list(_iter_rows(calibration, MAX_CALIBRATION_STREAMS)))
        if level == "int8"
        else {}
    )
    model = to_tflite(step, level, ranges, task.quantized_ops)
    runtime, taken = Runtime(model), []
    first, *others = _iter_rows(held.inputs, len(held))
    # Only what one input's steps are given is kept: of all inputs it would be a gigabyte.
    last = [
        run_stream(runtime.run, step, first, taken),
        *(run_stream(runtime.run, step, row) for row in others),
    ]
    given = {name: np.concatenate([each[name] for each in last]) for name in last[0]}
    latency = parities.measure_latency(runtime.run, taken[-1])
    sides = [
        parities.score_outputs(task, each, held) for each in (predict_in_batches(network, held.inputs), given)
    ]
    return model, parities.compare(task, level, *sides, held, len(model), latency)


def _iter_rows(inputs: Arrays, most: int) -> Iterator[Arrays]:
    """The first inputs, each with a batch axis of its own."""
    count = len(next(iter(inputs.values())))
    return ({name: values[i : i + 1] for name, values in inputs.items()} for i in range(min(count, most)))


def _stream_chunks(step, rows: Sequence[Arrays]) -> Arrays:
    """What all steps of these inputs are given, one after the other."""
    run, seen = Runtime(to_tflite(step, "none", {})).run, []
    for row in rows:
        run_stream(run, step, row, seen)
    return {name: np.concatenate([each[name] for each in seen]) for name in seen[0]}


def run_stream(run, step, inputs: Arrays, seen: list[Arrays] | None = None) -> Arrays:
    """The outputs after the last piece of `inputs` (1, length, ...); `seen` gets what each step was given."""
    shapes = {each.name: tuple(each.shape) for each in step.inputs}
    state = {name: np.zeros(shape, np.float32) for name, shape in shapes.items() if name not in inputs}
    pieces = {name: shapes[name][1] for name in inputs}
    # What does not fill its first piece comes after zeros.
    filled = {name: _pad_start(values, -values.shape[1] % pieces[name]) for name, values in inputs.items()}
    for i in range(min(values.shape[1] // pieces[name] for name, values in filled.items())):
        given = {name: v[:, i * pieces[name] : (i + 1) * pieces[name]] for name, v in filled.items()} | state
        if seen is not None:
            seen.append(given)
        found = run(given)
        state = {name: found.pop(name) for name in state}
    return found


def _pad_start(values: np.ndarray, count: int) -> np.ndarray:
    return np.pad(values, [(0, 0), (count, 0), *[(0, 0)] * (values.ndim - 2)])
