"""Export a bundle as a .tflite or a SavedModel, after a comparison with its network."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dltasks.bundle.load import Bundle
from dltasks.bundle.storage import MANIFEST_FILE
from dltasks.config import AUTO, QUANTIZATION_MODES
from dltasks.errors import ExportError
from dltasks.export.calibration_data import CalibrationData, calibration_of_bundle
from dltasks.export.convert import to_saved_model, to_tflite
from dltasks.export.held_out import HeldOut, ModelOutputs, run_and_score
from dltasks.export.latency import compare_latencies
from dltasks.export.networks import check_has_network, load_network
from dltasks.export.pack import json_bytes, pack_tflite
from dltasks.export.parity import (
    PARITY_FILE,
    Parity,
    check_parity,
    compare,
    measure_parity,
    threshold_failure,
)
from dltasks.export.runners import keras_runner, saved_model_runner
from dltasks.export.streaming import to_streaming_tflite
from dltasks.fields import save_assets
from dltasks.files import atomic_folder, atomic_path, check_writable, os_errors_as, write_json
from dltasks.frameworks import suppress_native_output
from dltasks.protocols import signatures_of
from dltasks.task import Task

FORMATS = ("litert", "streaming", "saved-model")
"""Formats of an export."""

LATENCY_TOLERANCE = 1.1
"""Multiple of the lowest latency up to which a file counts as equally fast."""


@dataclass(frozen=True)
class ExportOptions:
    """What to export.

    Attributes:
        format: one of FORMATS.
        quantize: one of QUANTIZATION_MODES, or "auto".
        data: data to calibrate and compare on; None for the data that the model was trained on.
        min_agreement: minimum top-1 agreement with the network, 0 to 1.
        max_score_drop: maximum loss in the network's first score.
        prefer: "speed" or "size", of the modes that meet both thresholds.
    """

    format: str
    quantize: str
    data: Any
    min_agreement: float
    max_score_drop: float
    prefer: str


@dataclass(frozen=True)
class ExportResult:
    """What was written.

    Attributes:
        parity: the comparison of the file with its network.
        modes: of "auto", the Parity of each quantization mode, or the reason why it can't be converted.
        notes: what the user should know about the comparison.
    """

    parity: Parity
    modes: dict[str, Parity | str]
    notes: tuple[str, ...]


def export(bundle: Bundle, out: Path, options: ExportOptions) -> ExportResult:
    """Write the network of a bundle to `out`; nothing is written if it does not meet the thresholds.

    Raises ExportError, ModelError.
    """
    _check_options(bundle, out, options)
    data = calibration_of_bundle(bundle, options.data)
    network = load_network(bundle.path)
    if options.format == "saved-model":
        return ExportResult(_export_saved_model(bundle, network, data.held_out, out, options), {}, data.notes)
    if options.format == "streaming":
        model, parity = to_streaming_tflite(
            bundle.task, network, options.quantize, data.inputs, data.held_out
        )
        check_parity(parity, options.min_agreement, options.max_score_drop)
        modes: dict[str, Parity | str] = {}
    else:
        models, modes = _convert_modes(bundle.task, network, data, options)
        best = _best_mode(modes, options)
        model, parity = models[best]
    _write_tflite(bundle, model, parity, data.held_out, out, options)
    return ExportResult(parity, modes if options.quantize == AUTO else {}, data.notes)


def _check_options(bundle: Bundle, out: Path, options: ExportOptions) -> None:
    """Raises ExportError, ModelError."""
    if options.format not in FORMATS:
        raise ExportError(f"--format {options.format}: expected one of {', '.join(FORMATS)}")
    if options.quantize == AUTO and options.format != "litert":
        raise ExportError(f"--quantize {AUTO}: works with --format litert only; name a quantization mode")
    if options.format != "saved-model" and out.is_dir():
        raise ExportError(f"{out}: is a folder; expected the name of the .tflite to write")
    check_has_network(bundle.path)
    check_writable(out, ExportError)


def _convert_modes(
    task: Task, network: Any, data: CalibrationData, options: ExportOptions
) -> tuple[dict[str, tuple[bytes, Parity]], dict[str, Parity | str]]:
    """The converted files with their Parity, and for each mode its Parity or the reason why there is none."""
    expected = run_and_score(task, keras_runner(task, network), data.held_out)
    signatures = signatures_of(task, network)
    models: dict[str, tuple[bytes, Parity]] = {}
    modes: dict[str, Parity | str] = {}
    for mode in reversed(QUANTIZATION_MODES) if options.quantize == AUTO else (options.quantize,):
        try:
            model = to_tflite(signatures, mode, data.inputs, task.quantized_ops)
        except ExportError as error:
            if options.quantize != AUTO:
                raise
            modes[mode] = str(error)
            continue
        modes[mode] = parity = measure_parity(task, expected, model, data.held_out, mode)
        models[mode] = model, parity
    if len(models) > 1:
        models = _with_compared_latencies(task, models, data.held_out)
        modes |= {mode: parity for mode, (_, parity) in models.items()}
    return models, modes


def _with_compared_latencies(
    task: Task, models: dict[str, tuple[bytes, Parity]], held_out: HeldOut
) -> dict[str, tuple[bytes, Parity]]:
    latencies = compare_latencies(task, {mode: model for mode, (model, _) in models.items()}, held_out)
    return {
        mode: (model, replace(parity, latency=latencies[mode])) for mode, (model, parity) in models.items()
    }


def _best_mode(modes: dict[str, Parity | str], options: ExportOptions) -> str:
    """The fastest or smallest mode that meets the thresholds; of equally fast ones the smallest.

    Raises ExportError.
    """
    parities = {mode: parity for mode, parity in modes.items() if isinstance(parity, Parity)}
    thresholds = options.min_agreement, options.max_score_drop
    if options.quantize != AUTO:
        check_parity(parities[options.quantize], *thresholds)
        return options.quantize
    failures = {mode: threshold_failure(parity, *thresholds) for mode, parity in parities.items()}
    passed = [mode for mode, failure in failures.items() if not failure]
    if not passed:
        reasons = "; ".join(f"{mode} {failure}" for mode, failure in failures.items())
        raise ExportError(f"no quantization mode meets the thresholds, so nothing was written: {reasons}")
    if options.prefer == "speed":
        fastest = min(parities[mode].latency for mode in passed)
        passed = [mode for mode in passed if parities[mode].latency <= LATENCY_TOLERANCE * fastest]
    return min(passed, key=lambda mode: parities[mode].bytes)


def _write_tflite(
    bundle: Bundle, model: bytes, parity: Parity, held_out: HeldOut, out: Path, options: ExportOptions
) -> None:
    """Write the packed .tflite, and its whole comparison beside it."""
    omitted = ("files", "stream_parity", "held_out")
    manifest = {name: value for name, value in bundle.manifest.items() if name not in omitted}
    manifest |= {"parity": parity.summary(), "export_format": options.format}
    with os_errors_as(ExportError, out), atomic_path(out) as path:
        path.write_bytes(pack_tflite(bundle.name, model, manifest, bundle.task, held_out.inputs, parity))
        write_json(out.with_name(f"{out.stem}.{PARITY_FILE}"), parity.to_json())


def _export_saved_model(
    bundle: Bundle, network: Any, held_out: HeldOut, out: Path, options: ExportOptions
) -> Parity:
    """Write a SavedModel with the manifest, the parity and the task's assets in assets.extra."""
    if out.exists() and not (out / "saved_model.pb").is_file() and (out.is_file() or any(out.iterdir())):
        raise ExportError(f"{out}: already exists and is not a SavedModel; choose another --out")
    task = bundle.task
    with os_errors_as(ExportError, out), atomic_folder(out) as folder:
        parity = _convert_saved_model(task, network, held_out, folder)
        check_parity(parity, options.min_agreement, options.max_score_drop)
        extra = folder / "assets.extra"
        extra.mkdir(exist_ok=True)
        contents = {
            MANIFEST_FILE: json_bytes(bundle.manifest),
            PARITY_FILE: json_bytes(parity.to_json()),
            **save_assets(task),
        }
        for name, content in contents.items():
            (extra / name).write_bytes(content)
    return parity


def _convert_saved_model(task: Task, network: Any, held_out: HeldOut, folder: Path) -> Parity:
    with suppress_native_output():
        to_saved_model(signatures_of(task, network), folder)
        file: ModelOutputs = run_and_score(task, saved_model_runner(folder), held_out)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    expected = run_and_score(task, keras_runner(task, network), held_out)
    return compare(task, "saved-model", expected, file, held_out, size, 0.0)
