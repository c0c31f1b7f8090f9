"""Speed of a .tflite on this machine: loading, latency, throughput and memory, in a process of its own.

python -m dltasks.benchmark FILE INPUTS.npz THREADS SECONDS
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from dltasks.bundle.load import Bundle, load_bundle
from dltasks.config import QUANTIZATION_MODES
from dltasks.data.columns import concat
from dltasks.errors import DataError, ExportError, MissingExtraError, ModelError
from dltasks.litert import golden, sandbox
from dltasks.litert.runtime import Arrays, Runtime
from dltasks.parallel import available_cores
from dltasks.protocols import signatures_of

BATCH_SIZE = 32
"""Number of inputs run at once to measure throughput."""

WARM_UP_RUNS = 2
"""Number of runs that are not measured."""

MAX_RUNS = 10_000
"""Maximum number of runs measured."""


@dataclass(frozen=True)
class BenchmarkResult:
    """Measurements of a file.

    Attributes:
        threads: number of threads.
        load: milliseconds to load the file.
        median: median milliseconds of one input.
        percentile_95: 95th percentile of the milliseconds of one input.
        throughput: inputs a second, BATCH_SIZE at once.
        memory: peak resident megabytes of the process, Python and LiteRT included.
        bytes: size of the file.
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
    """A .tflite to measure, and encoded inputs by name: "SIGNATURE/in/NAME"."""

    name: str
    model: bytes
    inputs: Arrays


def create_case(name: str | Path, data: Any = None) -> BenchmarkCase:
    """The case for a bundled model, a bundle folder or a .tflite.

    data: inputs to run on; golden vectors by default, or zeros for a file without them. Raises ModelError,
    DataError.
    """
    bundle = load_any(name)
    if isinstance(bundle, bytes):
        return BenchmarkCase(Path(name).stem, bundle, _zero_inputs(bundle))
    model = bundle.model_bytes()
    if data is not None:
        return BenchmarkCase(bundle.name, model, _data_inputs(bundle, data))
    content = bundle.read_asset(golden.GOLDEN_FILE)
    return BenchmarkCase(bundle.name, model, _golden_inputs(content) if content else _zero_inputs(model))


def load_any(name: str | Path) -> Bundle | bytes:
    """A bundle, or the content of a .tflite that no task recognizes. Raises ModelError."""
    try:
        return load_bundle(name)
    except ModelError:
        path = Path(name)
        content = path.read_bytes() if path.is_file() else b""
        if content[4:8] != b"TFL3":
            raise
        sandbox.check_in_subprocess(content, path)
        return content


def _golden_inputs(content: bytes) -> Arrays:
    return {name: values for name, values in golden.read_golden(content).items() if "/in/" in name}


def _zero_inputs(model: bytes) -> Arrays:
    return _golden_inputs(golden.create_golden(Runtime(model), {}))


def _data_inputs(bundle: Bundle, data: Any) -> Arrays:
    """The first inputs of `data`, encoded for the first signature. Raises DataError."""
    inputs = concat(batch.inputs for batch in bundle.task.read_inputs([data]))[:BATCH_SIZE]
    encoded, failures = bundle.task.encode(inputs)
    if len(failures) == len(inputs):
        raise DataError(f"{data}: nothing in it can be read")
    signature = bundle.runtime.signatures[0] if bundle.runtime.signatures else ""
    names = bundle.runtime.input_details(signature or None)
    return {f"{signature}/in/{name}": values for name, values in encoded.items() if name in names}


def check_has_network(name: str | Path) -> None:
    """Raises ModelError for a model without the Keras network that its quantizations are converted from."""
    from dltasks.export import networks

    networks.check_has_network(load_bundle(name).path)


def quantized_cases(name: str | Path, data: Any) -> list[BenchmarkCase]:
    """The cases for a bundle's network in each quantization mode that it can be converted to.

    data: see calibration_of_bundle. Raises ModelError, ExportError, MissingExtraError.
    """
    from dltasks.export.calibration_data import calibration_of_bundle
    from dltasks.export.convert import to_tflite
    from dltasks.export.networks import load_network

    bundle = load_bundle(name)
    signatures = signatures_of(bundle.task, load_network(bundle.path))
    calibration = calibration_of_bundle(bundle, data)
    cases = []
    for mode in QUANTIZATION_MODES:
        try:
            model = to_tflite(signatures, mode, calibration.inputs, bundle.task.quantized_ops)
        except ExportError:
            continue
        vectors = golden.create_golden(Runtime(model), calibration.held_out.inputs)
        cases.append(BenchmarkCase(f"{bundle.name} {mode}", model, _golden_inputs(vectors)))
    return cases


def measure(case: BenchmarkCase, threads: int, seconds: float = 0.4) -> BenchmarkResult:
    """Measure a .tflite in a new process, for about so many seconds each of latency and throughput.

    Raises ModelError.
    """
    inputs: dict[str, Any] = dict(case.inputs)
    with tempfile.TemporaryDirectory() as folder:
        model_path, inputs_path = Path(folder) / "model.tflite", Path(folder) / "inputs.npz"
        model_path.write_bytes(case.model)
        np.savez(inputs_path, **inputs)
        arguments = [str(model_path), str(inputs_path), str(threads), str(seconds)]
        process = subprocess.run(
            [sys.executable, "-m", "dltasks.benchmark", *arguments], capture_output=True, text=True
        )
    if process.returncode:
        reason = (process.stderr.strip().splitlines() or ["no message"])[-1]
        raise ModelError(f"{case.name}: can't be measured with {threads} threads ({reason})")
    return BenchmarkResult(**json.loads(process.stdout.splitlines()[-1]))


def run_interleaved(
    cases: Sequence[BenchmarkCase], threads: int, rounds: int = 3
) -> dict[str, BenchmarkResult]:
    """The result with the median latency of `rounds` for each case.

    All cases are measured in turn, so that other work of the machine affects all of them alike.
    """
    results: dict[str, list[BenchmarkResult]] = {case.name: [] for case in cases}
    for _ in range(rounds):
        for case in cases:
            results[case.name].append(measure(case, threads))
    return {
        name: sorted(runs, key=lambda result: result.median)[len(runs) // 2] for name, runs in results.items()
    }


def thread_counts() -> list[int]:
    """1, 2 and all cores that this process may use."""
    return sorted({1, min(2, available_cores()), available_cores()})


def _measure(path: str, inputs_path: str, threads: int, seconds: float) -> BenchmarkResult:
    """Measure a .tflite in this process."""
    model = Path(path).read_bytes()
    start = time.perf_counter()
    runtime = Runtime(model, threads=threads)
    load = time.perf_counter() - start
    with np.load(inputs_path, allow_pickle=False) as arrays:
        inputs = {tuple(name.split("/in/")): arrays[name] for name in arrays.files}
    single = sorted(_run_times(runtime, inputs, 1, seconds))
    batched = list(_run_times(runtime, inputs, BATCH_SIZE, seconds))
    # A file made for one input at a time gets one.
    signature = runtime.signatures[0] if runtime.signatures else None
    first = next(iter(runtime.input_details(signature).values()))
    batch_size = BATCH_SIZE if first["shape_signature"][0] < 0 else 1
    return BenchmarkResult(
        threads=threads,
        load=1000 * load,
        median=1000 * single[len(single) // 2],
        percentile_95=1000 * single[int(0.95 * (len(single) - 1))],
        throughput=batch_size * len(batched) / sum(batched),
        memory=_peak_memory(),
        bytes=len(model),
    )


def _run_times(
    runtime: Runtime, inputs: dict[tuple[str, ...], np.ndarray], count: int, seconds: float
) -> Iterator[float]:
    """Seconds of each run of `count` inputs through all signatures, for about so many seconds."""
    start, runs = time.perf_counter(), 0
    while runs < 2 * WARM_UP_RUNS or (time.perf_counter() - start < seconds and runs < MAX_RUNS):
        run_start = time.perf_counter()
        outputs: Arrays = {}
        for signature in runtime.signatures or ("",):
            # A later signature takes the outputs of the earlier ones.
            arrays = {
                name: outputs[name] if name in outputs else _resize(inputs[signature, name], detail, count)
                for name, detail in runtime.input_details(signature or None).items()
            }
            outputs |= runtime.run(arrays, signature or None)
        runs += 1
        if runs > WARM_UP_RUNS:
            yield time.perf_counter() - run_start


def _resize(values: np.ndarray, detail: dict[str, Any], count: int) -> np.ndarray:
    """`count` rows, if the file takes any number of them."""
    return np.resize(values, (count, *values.shape[1:])) if detail["shape_signature"][0] < 0 else values


def _peak_memory() -> float:
    """Peak resident megabytes of this process."""
    status = Path("/proc/self/status")
    if status.is_file():
        # getrusage would give the peak of the parent process, if that was higher.
        (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) / 1e3
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def check_can_plot() -> None:
    """Raise MissingExtraError where the plotting library is not installed."""
    if find_spec("matplotlib") is None:
        raise MissingExtraError("a plot needs matplotlib: pip install 'dltasks[train]'")


def plot(title: str, rows: Sequence[tuple[str, BenchmarkResult]]) -> bytes:
    """A PNG of the median latency, up to the 95th percentile, by name and threads."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 1 + 0.45 * len(rows)))
    names = [f"{name}, {result.threads} thread{'s' * (result.threads > 1)}" for name, result in rows]
    medians = [result.median for _, result in rows]
    upper = [result.percentile_95 - result.median for _, result in rows]
    axes.barh(names, medians, xerr=[[0] * len(rows), upper], color="#4878a8", capsize=3)
    axes.invert_yaxis()
    axes.set_xlabel("milliseconds per input: median and 95th percentile")
    axes.set_title(title)
    file = BytesIO()
    figure.savefig(file, format="png", dpi=120, bbox_inches="tight")
    pyplot.close(figure)
    return file.getvalue()


if __name__ == "__main__":
    print(json.dumps(asdict(_measure(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))))
