"""How fast a .tflite is on this machine: loading, one input, many at once, memory; each in a process of its own.

python -m dltasks.benchmark FILE INPUTS.npz THREADS SECONDS
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from dltasks.bundle.load import Bundle, load_bundle
from dltasks.errors import ModelError
from dltasks.litert import golden, sandbox
from dltasks.litert.runtime import Runtime
from dltasks.parallel import available_cores
from dltasks.protocols import signatures_of

BATCH_SIZE = 32
"""Inputs that are run at once where it is measured how many are answered a second."""

WARM_UP_RUNS = 2
"""Runs before the clock starts."""


@dataclass(frozen=True)
class BenchmarkResult:
    """What was measured of a file with so many threads.

    load, median, percentile_95: milliseconds, the latter two of one input. throughput: inputs a second, BATCH at once. memory:
    peak resident megabytes of the process, Python and LiteRT included. bytes: of the network's file.
    """

    threads: int
    load: float
    median: float
    percentile_95: float
    throughput: float
    memory: float
    bytes: int

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


@dataclass(frozen=True)
class BenchmarkCase:
    """A network to be measured: its name, its .tflite, and encoded inputs of each of its signatures."""

    name: str
    model: bytes
    inputs: dict[str, np.ndarray]


def create_case(name, data=None) -> BenchmarkCase:
    """A bundled model, a bundle folder or a .tflite. data: real inputs; golden vectors, or zeros where there are none, if not
    given. Raises ModelError, DataError.
    """
    bundle = load_any(name)
    if isinstance(bundle, bytes):
        return BenchmarkCase(Path(name).stem, bundle, _zero_inputs(bundle))
    model = bundle.model_bytes()
    if data is not None:
        return BenchmarkCase(bundle.name, model, _real_inputs(bundle, data))
    kept = bundle.read_asset(golden.GOLDEN_FILE)
    return BenchmarkCase(bundle.name, model, _golden_inputs(kept) if kept else _zero_inputs(model))


def load_any(name) -> Bundle | bytes:
    """A bundle, or the content of a .tflite that no task understands. Raises ModelError."""
    try:
        return load_bundle(name)
    except ModelError:
        path = Path(name)
        content = path.read_bytes() if path.is_file() else b""
        if content[4:8] != b"TFL3":
            raise
        sandbox.check_in_subprocess(content, path)
        return content


def _golden_inputs(content: bytes) -> dict[str, np.ndarray]:
    return {name: each for name, each in golden.read_golden(content).items() if "/in/" in name}


def _zero_inputs(model: bytes) -> dict[str, np.ndarray]:
    return _golden_inputs(golden.create_golden(Runtime(model), {}))


def _real_inputs(bundle: Bundle, data) -> dict[str, np.ndarray]:
    from dltasks.data.columns import concat
    from dltasks.errors import DataError

    raws = concat(batch.inputs for batch in bundle.task.read_inputs([data]))[:BATCH_SIZE]
    encoded, failures = bundle.task.encode(raws)
    if len(failures) == len(raws):
        raise DataError(f"{data}: nothing in it could be read")
    signature = bundle.runtime.signatures[0] if bundle.runtime.signatures else ""
    wanted = bundle.runtime.input_details(signature or None)
    return {f"{signature}/in/{name}": values for name, values in encoded.items() if name in wanted}


def check_has_network(name) -> None:
    """Raises ModelError for a model without the network that its levels are written from."""
    bundle = load_bundle(name)
    if not (bundle.path / "model.keras").is_file():
        raise ModelError(f"{name}: has no model.keras to write levels from; name a bundle folder")


def quantized_cases(name, data) -> list[BenchmarkCase]:
    """Each level of quantisation of a bundle's network, as it can be written. Raises ModelError, DataError."""
    from dltasks.config import QUANTIZATION_MODES
    from dltasks.errors import ExportError
    from dltasks.export import convert
    from dltasks.export.calibration import calibration_data
    from dltasks.export.networks import load_network

    bundle = load_bundle(name)
    signatures = signatures_of(bundle.task, load_network(bundle.path))
    calibration, held, _ = calibration_data(bundle, data)
    found = []
    for level in QUANTIZATION_MODES:
        try:
            model = convert.to_tflite(signatures, level, calibration, bundle.task.quantized_ops)
        except ExportError:
            continue
        found.append(
            BenchmarkCase(
                f"{bundle.name} {level}",
                model,
                _golden_inputs(golden.create_golden(Runtime(model), held.inputs)),
            )
        )
    return found


def measure(subject: BenchmarkCase, threads: int, seconds: float = 0.4) -> BenchmarkResult:
    """The speed of a network in a fresh process. Raises ModelError."""
    with tempfile.TemporaryDirectory() as folder:
        model, inputs = Path(folder) / "model.tflite", Path(folder) / "inputs.npz"
        model.write_bytes(subject.model)
        np.savez(inputs, **subject.inputs)
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "dltasks.benchmark",
                str(model),
                str(inputs),
                str(threads),
                str(seconds),
            ],
            capture_output=True,
            text=True,
        )
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ModelError(f"{subject.name}: can't be measured with {threads} threads ({why})")
    return BenchmarkResult(**json.loads(done.stdout.splitlines()[-1]))


def run_interleaved(
    subjects: Sequence[BenchmarkCase], threads: int, rounds: int = 3
) -> dict[str, BenchmarkResult]:
    """The run of median latency of each, measured one after the other `rounds` times: what else the machine does then falls
    on all alike.
    """
    found: dict[str, list[BenchmarkResult]] = {each.name: [] for each in subjects}
    for _ in range(rounds):
        for each in subjects:
            found[each.name].append(measure(each, threads))
    return {name: sorted(runs, key=lambda each: each.median)[len(runs) // 2] for name, runs in found.items()}


def thread_counts() -> list[int]:
    """1, 2 and all that this process may use."""
    return sorted({1, min(2, available_cores()), available_cores()})


def _measure(path: str, inputs: str, threads: int, seconds: float) -> BenchmarkResult:
    model = Path(path).read_bytes()
    began = time.perf_counter()
    runtime = Runtime(model, threads=threads)
    loaded = time.perf_counter() - began
    with np.load(inputs, allow_pickle=False) as arrays:
        given = {tuple(name.split("/in/")): arrays[name] for name in arrays.files}
    times = sorted(_times(runtime, given, 1, seconds))
    many = list(_times(runtime, given, BATCH_SIZE, seconds))
    # A file made for one input at a time gets one.
    first = next(iter(runtime.input_details(runtime.signatures[0] if runtime.signatures else None).values()))
    together = BATCH_SIZE if first["shape_signature"][0] < 0 else 1
    return BenchmarkResult(
        threads,
        1000 * loaded,
        1000 * times[len(times) // 2],
        1000 * times[int(0.95 * (len(times) - 1))],
        together * len(many) / sum(many),
        _peak(),
        len(model),
    )


def _times(runtime: Runtime, given: dict, count: int, seconds: float) -> Iterator[float]:
    """Seconds of runs of `count` inputs through all signatures, for about so many seconds."""
    began, runs = time.perf_counter(), 0
    while runs < 2 * WARM_UP_RUNS or (time.perf_counter() - began < seconds and runs < 10_000):
        started, known = time.perf_counter(), {}
        for signature in runtime.signatures or ("",):
            details = runtime.input_details(signature or None)
            now = {
                name: known[name] if name in known else _rows(given[signature, name], detail, count)
                for name, detail in details.items()
            }
            known |= runtime.run(now, signature or None)
        runs += 1
        if runs > WARM_UP_RUNS:
            yield time.perf_counter() - started


def _rows(values: np.ndarray, detail: dict, count: int) -> np.ndarray:
    """So many rows, where the file takes any number of them."""
    return np.resize(values, (count, *values.shape[1:])) if detail["shape_signature"][0] < 0 else values


def _peak() -> float:
    """Peak resident memory of this process in megabytes."""
    status = Path("/proc/self/status")
    if status.is_file():
        # getrusage would tell the peak of the process that started this one, where that was higher.
        (line,) = [each for each in status.read_text().splitlines() if each.startswith("VmHWM")]
        return int(line.split()[1]) / 1e3
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def plot(title: str, rows: Sequence[tuple[str, BenchmarkResult]]) -> bytes:
    """A PNG of the median latency, up to the 95th percentile, by name and threads."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 1 + 0.45 * len(rows)))
    names = [f"{name}, {each.threads} thread{'s' * (each.threads > 1)}" for name, each in rows]
    medians = [each.median for _, each in rows]
    late = [each.percentile_95 - each.median for _, each in rows]
    axes.barh(names, medians, xerr=[[0] * len(rows), late], color="#4878a8", capsize=3)
    axes.invert_yaxis()
    axes.set_xlabel("milliseconds an input: median, and up to the 95th percentile")
    axes.set_title(title)
    file = BytesIO()
    figure.savefig(file, format="png", dpi=120, bbox_inches="tight")
    pyplot.close(figure)
    return file.getvalue()


if __name__ == "__main__":
    print(json.dumps(asdict(_measure(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))))
