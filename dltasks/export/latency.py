"""Latency of exported files on this machine."""

import time
from collections.abc import Callable

from dltasks.export.held_out import HeldOut
from dltasks.litert.runtime import Arrays, Run, Runtime
from dltasks.protocols import run_network
from dltasks.task import Task

LATENCY_ROUNDS = 3
"""Rounds in which several files are measured in turn, as other work of the machine slows some of them."""


def measure_latency(run: Callable[[Arrays], Arrays], inputs: Arrays, rounds: int = 30) -> float:
    """Median milliseconds of one input."""
    row = {name: values[:1] for name, values in inputs.items()}
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        run(row)
        times.append(1000 * (time.perf_counter() - start))
    return round(sorted(times)[rounds // 2], 3)


def task_latency(task: Task, run: Run, held_out: HeldOut) -> float:
    """Median milliseconds of one held-out example."""
    return measure_latency(lambda row: run_network(task, row, run), held_out.inputs)


def compare_latencies(task: Task, models: dict[str, bytes], held_out: HeldOut) -> dict[str, float]:
    """Milliseconds of one held-out example for each .tflite: the lowest median of LATENCY_ROUNDS rounds."""
    runs = {name: Runtime(model).run for name, model in models.items()}
    rounds = [
        {name: task_latency(task, run, held_out) for name, run in runs.items()} for _ in range(LATENCY_ROUNDS)
    ]
    return {name: min(latencies[name] for latencies in rounds) for name in runs}
