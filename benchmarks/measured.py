"""What the benchmarks share: whole processes measured in turn, tables, and JSON files."""

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
ENVIRONMENT = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
COMMAND = str(Path(sys.executable).with_name("dltasks"))


@dataclass(frozen=True)
class Process:
    """A finished process: wall seconds, processor seconds, highest resident memory in MB, standard output."""

    wall: float
    processor: float
    memory: float
    output: str


def measured(arguments: list[str], fails: bool = False) -> Process:
    """Run a process to its end. Raises CalledProcessError if it fails, unless an exit code of 1 is an answer too."""
    began = time.perf_counter()
    running = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=ENVIRONMENT)
    output = running.stdout.read().decode()
    _, status, used = os.wait4(running.pid, 0)
    wall = time.perf_counter() - began
    running.returncode = os.waitstatus_to_exitcode(status)
    if running.returncode not in ((0, 1) if fails else (0,)):
        raise subprocess.CalledProcessError(running.returncode, arguments, output)
    return Process(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, output)


def in_turn(commands: dict[str, list[str]], rounds: int) -> dict[str, list[Process]]:
    """Each command once to warm up, then all of them in turn, `rounds` times."""
    for each in commands.values():
        measured(each)
    found = {name: [] for name in commands}
    for _ in range(rounds):
        for name, each in commands.items():
            found[name].append(measured(each))
    return found


def median(processes: list[Process], what: str) -> float:
    """The median of wall, processor or memory."""
    return statistics.median(getattr(each, what) for each in processes)


def progress(name: str, result: dict, rows: list[tuple[str, ...]], columns: tuple[str, ...]) -> None:
    """A table on standard output, and the same with the machine in benchmarks/results/NAME.json."""
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns, box=None)
    for row in rows:
        table.add_row(*row)
    Console(width=120).print(table)
    machine = {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
    }
    place = ROOT / "benchmarks" / "results"
    place.mkdir(exist_ok=True)
    (place / f"{name}.json").write_text(json.dumps(result | {"machine": machine}, indent=1) + "\n")


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next(
        (each.partition(": ")[2] for each in lines if each.startswith("model name")), platform.machine()
    )
