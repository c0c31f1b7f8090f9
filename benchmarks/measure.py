"""Shared by the benchmarks: measuring whole processes, interleaved rounds, tables and JSON files."""

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
ENVIRONMENT = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
COMMAND = str(Path(sys.executable).with_name("dltasks"))


@dataclass(frozen=True)
class Process:
    """A finished process.

    Attributes:
        wall: Wall time, in seconds.
        processor: Processor time, in seconds.
        memory: Peak resident memory, in MB.
        output: Standard output.
    """

    wall: float
    processor: float
    memory: float
    output: str


def measure_process(arguments: Sequence[str], exit_codes: tuple[int, ...] = (0,)) -> Process:
    """Run a process to its end. Raises CalledProcessError for any other exit code than these."""
    start = time.perf_counter()
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=ENVIRONMENT)
    assert process.stdout is not None
    output = process.stdout.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in exit_codes:
        raise subprocess.CalledProcessError(process.returncode, arguments, output)
    return Process(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, output)


def run_interleaved(commands: dict[str, list[str]], rounds: int) -> dict[str, list[Process]]:
    """Each command once to warm up, then all of them in turn, `rounds` times."""
    for command in commands.values():
        measure_process(command)
    processes: dict[str, list[Process]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            processes[name].append(measure_process(command))
    return processes


def median(processes: Sequence[Process], field: str) -> float:
    """The median of wall, processor or memory."""
    return statistics.median(getattr(process, field) for process in processes)


def write_results(
    name: str, result: dict[str, Any], rows: Sequence[tuple[str, ...]], columns: tuple[str, ...]
) -> None:
    """Print a table, and write the result and the machine to benchmarks/results/NAME.json."""
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns, box=None)
    for row in rows:
        table.add_row(*row)
    Console(width=120).print(table)
    machine = {
        "processor": _processor_name(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
    }
    folder = ROOT / "benchmarks" / "results"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(result | {"machine": machine}, indent=1) + "\n")


def _processor_name() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = (line.partition(": ")[2] for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
