"""Export a bundle as a .tflite or a SavedModel, compared with its network first."""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dltasks.bundle import card
from dltasks.bundle.load import Bundle
from dltasks.bundle.storage import AUTHOR, CARD_FILE, MANIFEST_FILE, append_files
from dltasks.config import AUTO, QUANTIZATION_MODES
from dltasks.errors import ExportError, ModelError
from dltasks.export import convert
from dltasks.export.calibration import calibration_data
from dltasks.export.networks import load_network
from dltasks.export.parity import PARITY_FILE as PARITY
from dltasks.export.parity import (
    HeldOut,
    ModelOutputs,
    Parity,
    check_parity,
    compare,
    compare_latencies,
    measure_parity,
    run_and_score,
    threshold_failure,
)
from dltasks.export.streaming import to_streaming_tflite
from dltasks.fields import save_assets
from dltasks.files import (
    atomic_folder,
    atomic_path,
    check_writable,
    os_errors_as,
    write_json,
)
from dltasks.frameworks import suppress_native_output
from dltasks.litert import golden, metadata
from dltasks.litert.runtime import Arrays, Runtime
from dltasks.protocols import signatures_of
from dltasks.task import Task

LATENCY_TOLERANCE = 1.1
"""Times the least latency that counts as no slower."""


@dataclass(frozen=True)
class ExportOptions:
    """What an export is asked for. quantize: a level, or "auto". prefer: "speed" or "size", of levels that hold the floors."""

    format: str
    quantize: str
    data: Any
    min_agreement: float
    max_score_drop: float
    prefer: str


@dataclass(frozen=True)
class ExportResult:
    """What was written: its Parity, and of "auto" that of each level, or why there is none."""

    parity: Parity
    levels: dict[str, Parity | str]
    notes: tuple[str, ...]


def export(bundle: Bundle, out: Path, wanted: ExportOptions) -> ExportResult:
    """What Bundle.export says."""
    if wanted.format not in ("litert", "streaming", "saved-model"):
        raise ExportError(f"--format {wanted.format}: there are litert, streaming and saved-model")
    if wanted.quantize == AUTO and wanted.format != "litert":
        raise ExportError(f"--quantize {AUTO}: for --format litert; name a level")
    if wanted.format != "saved-model" and out.is_dir():
        raise ExportError(f"{out}: a folder, where a .tflite is to be written")
    if not (bundle.path / "model.keras").is_file():
        raise ModelError(f"{bundle.path}: has no model.keras to export from; name a bundle folder")
    check_writable(out, ExportError)
    calibration, held, notes = calibration_data(bundle, wanted.data)
    network = load_network(bundle.path)
    if wanted.format == "saved-model":
        return ExportResult(_export_saved_model(bundle, network, held, out, wanted), {}, notes)
    if wanted.format == "streaming":
        model, parity = to_streaming_tflite(bundle.task, network, wanted.quantize, calibration, held)
        check_parity(parity, wanted.min_agreement, wanted.max_score_drop)
        levels = {}
    else:
        network_says = run_and_score(bundle.task, convert.keras_runner(bundle.task, network), held)
        made = _convert_modes(bundle.task, network, network_says, calibration, held, wanted)
        levels = {level: each if isinstance(each, str) else each[1] for level, each in made.items()}
        model, parity = made[_best_mode(levels, wanted)]
    record = {k: v for k, v in bundle.manifest.items() if k not in ("files", "stream_parity", "held_out")}
    record |= {"parity": parity.summary(), "form": wanted.format}
    with os_errors_as(ExportError, out), atomic_path(out) as path:
        path.write_bytes(pack_tflite(bundle.name, model, record, bundle.task, held.inputs, parity))
        write_json(out.with_name(f"{out.stem}.{PARITY}"), parity.to_json())
    return ExportResult(parity, levels if wanted.quantize == AUTO else {}, notes)


def _convert_modes(
    task: Task, network, says: ModelOutputs, calibration: Arrays, held: HeldOut, wanted: ExportOptions
):
    """The file and the Parity of each level that is wanted, or why it can't be made."""
    signatures, found = signatures_of(task, network), {}
    for level in reversed(QUANTIZATION_MODES) if wanted.quantize == AUTO else (wanted.quantize,):
        try:
            model = convert.to_tflite(signatures, level, calibration, task.quantized_ops)
        except ExportError as error:
            if wanted.quantize != AUTO:
                raise
            found[level] = str(error)
            continue
        found[level] = model, measure_parity(task, says, model, held, level)
    made = {level: each for level, each in found.items() if not isinstance(each, str)}
    if len(made) > 1:
        times = compare_latencies(task, {level: model for level, (model, _) in made.items()}, held)
        found |= {
            level: (model, replace(told, latency=times[level])) for level, (model, told) in made.items()
        }
    return found


def _best_mode(levels: dict[str, Parity | str], wanted: ExportOptions) -> str:
    """The fastest, or smallest, of those that hold the floors; of those about as fast the smallest. Raises ExportError."""
    made = {level: each for level, each in levels.items() if isinstance(each, Parity)}
    floors = wanted.min_agreement, wanted.max_score_drop
    if wanted.quantize != AUTO:
        check_parity(made[wanted.quantize], *floors)
        return wanted.quantize
    good = [level for level, each in made.items() if not threshold_failure(each, *floors)]
    if not good:
        said = "; ".join(f"{level} {threshold_failure(each, *floors)}" for level, each in made.items())
        raise ExportError(f"no level holds the floors, so nothing was written: {said}")
    if wanted.prefer == "speed":
        fastest = min(made[level].latency for level in good)
        good = [level for level in good if made[level].latency <= LATENCY_TOLERANCE * fastest]
    return min(good, key=lambda level: made[level].bytes)


def _export_saved_model(bundle: Bundle, network, held: HeldOut, out: Path, wanted: ExportOptions) -> Parity:
    if out.exists() and not (out / "saved_model.pb").is_file() and (out.is_file() or any(out.iterdir())):
        raise ExportError(f"{out}: there already, and not a SavedModel; choose another --out")
    task = bundle.task
    with os_errors_as(ExportError, out), atomic_folder(out) as folder:
        with suppress_native_output():
            convert.to_saved_model(signatures_of(task, network), folder)
            given = run_and_score(task, convert.saved_model_runner(folder), held)
        size = sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())
        network_says = run_and_score(task, convert.keras_runner(task, network), held)
        parity = compare(task, "saved-model", network_says, given, held, size, 0.0)
        check_parity(parity, wanted.min_agreement, wanted.max_score_drop)
        extra = folder / "assets.extra"
        extra.mkdir(exist_ok=True)
        for name, content in {
            MANIFEST_FILE: _to_json(bundle.manifest),
            PARITY: _to_json(parity.to_json()),
            **save_assets(task),
        }.items():
            (extra / name).write_bytes(content)
    return parity


def pack_tflite(
    name: str, model: bytes, record: dict[str, Any], task: Task, inputs: Arrays, parity: Parity
) -> bytes:
    """A .tflite that is a bundle in itself: what it says of itself in the standard metadata, and at its end a zip of the
    record, the word lists, the card and golden vectors of these encoded inputs.
    """
    inside = save_assets(task) | {
        CARD_FILE: card.render_card(name, record).encode("utf-8"),
        golden.GOLDEN_FILE: golden.create_golden(Runtime(model), inputs),
        PARITY: _to_json(parity.to_json()),
    }
    about = {
        "name": name,
        "description": f"A network for the task {record['task']}; {CARD_FILE} in the zip at the file's end tells of it.",
        "version": hashlib.sha256(model).hexdigest()[:12],
        "author": f"{AUTHOR} {record['versions']['dltasks']}",
        "license": f"that of the data; see {CARD_FILE}",
    }
    model = metadata.add_metadata(model, about, task.describe().tensors, [CARD_FILE, MANIFEST_FILE])
    record = record | {"model": _hash_entry(model), "members": {k: _hash_entry(v) for k, v in inside.items()}}
    return append_files(model, {MANIFEST_FILE: _to_json(record), **inside})


def _hash_entry(content: bytes) -> dict[str, object]:
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _to_json(record: dict[str, Any]) -> bytes:
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
