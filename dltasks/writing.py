"""Bundles and exported files written: the network, what is made of it, what is recorded of it, and the card."""

import hashlib
import json
import platform
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

import dltasks
from dltasks import card, exporting, golden, metadata, tasks
from dltasks.bundle import BUNDLE, CARD, FORMAT, STREAM, Bundle, failures_among, load, load_network
from dltasks.columns import joined, taken
from dltasks.errors import DataError, ExportError, PlanError
from dltasks.evaluation import Evaluation
from dltasks.files import damage_as, new_file, new_folder, write_json
from dltasks.quiet import quiet
from dltasks.runtime import Runtime, in_order
from dltasks.task import Arrays, Task, kept, kept_names

_DATE = (1980, 1, 1, 0, 0, 0)
"""Date of members of a zip, so that equal contents give equal bytes."""


@dataclass(frozen=True)
class Training:
    """How a network came to be.

    counts: examples of each part. fingerprint: of the data. validation: scores by which the epoch was chosen.
    """

    source: str
    about: str
    plan: Any
    epochs: int
    best_epoch: int
    seconds: float
    interrupted: bool
    history: list[dict[str, float]]
    validation: dict[str, float]
    counts: dict[str, int]
    fingerprint: dict[str, object]


def write(task: Task, network, data, training: Training, out: Path, report) -> Bundle:
    """Export the network, judge the exported file on the test part, and write the bundle to `out`.

    A bundle that stood there stays whole until the new one is. Raises ExportError, PlanError.
    """
    with damage_as(PlanError, out), new_folder(out) as folder:
        save_network(network, folder / "model.keras", training.plan.precision)
        chosen = [*data.parts.val, *data.parts.train[: task.pairs]]
        inputs = exporting.sample(data.inputs, chosen, task.pairs)
        level = training.plan.quantize
        model = exporting.litert(task.signatures(network), level, exporting.first(inputs), task.quantised)
        parity = exporting.parity(task, network, model, inputs, level)
        exporting.require(parity, exporting.FLOOR)
        (folder / "model.tflite").write_bytes(model)
        (folder / golden.FILE).write_bytes(golden.written(Runtime(model), inputs))
        stream_parity = _write_stream(task, network, level, inputs, folder) if task.stream_step else None
        report.line(f"scoring the {len(data.parts.test)} examples to judge by with the .tflite")
        evaluation = _judged(task, Runtime(model), data)
        if evaluation:
            evaluation = evaluation.beside(task.peers(data.inputs, data.examples, data.parts))
        for name, content in (kept(task) | task.attachments()).items():
            (folder / name).write_bytes(content)
        record = _record(task, network, training, parity, evaluation)
        if stream_parity:
            record["stream_parity"] = stream_parity.to_json()
        hashed = sorted(each for each in folder.iterdir() if each.is_file())
        record["files"] = {e.name: hashlib.sha256(e.read_bytes()).hexdigest() for e in hashed}
        (folder / CARD).write_text(card.text(out.name, record), encoding="utf-8")
        write_json(folder / BUNDLE, record)
    return load(out)


def _write_stream(task: Task, network, level: str, inputs, folder: Path) -> exporting.Parity:
    model, parity = exporting.streaming(task, network, level, inputs, task.stream_step)
    exporting.require(parity, exporting.FLOOR)
    (folder / STREAM).write_bytes(model)
    (folder / golden.STREAM).write_bytes(golden.written(Runtime(model), inputs))
    return parity


def _judged(task: Task, runtime: Runtime, data) -> Evaluation | None:
    if not len(data.parts.test):
        return None
    examples = data.examples.take(data.parts.test)
    answered = in_order(lambda b: task.answer(b.raws, runtime.run), examples.cut(task.batch_size))
    answers = joined(answered)
    if failed := failures_among(answers):
        raise answers[failed[0]]
    return task.score(answers, examples.truths)


def _record(task: Task, network, training: Training, parity, evaluation) -> dict[str, Any]:
    elsewhere = kept_names(task)
    return {
        "format": FORMAT,
        "task": tasks.name_of(task),
        "fields": {k: v for k, v in asdict(task).items() if k not in elsewhere},
        "plan": asdict(training.plan),
        "source": training.source,
        "about": training.about,
        "caveats": task.caveats(),
        "parameters": int(network.count_params()),
        "test": evaluation.to_json() if evaluation else None,
        "protocol": "the test part, never trained on nor chosen by, through model.tflite",
        "parity": parity.to_json(),
        "training": {
            "examples": training.counts,
            "epochs": training.epochs,
            "best_epoch": training.best_epoch,
            "seconds": training.seconds,
            "interrupted": training.interrupted,
            "validation": training.validation,
            "history": training.history,
        },
        "data": training.fingerprint,
        "versions": _versions(),
    }


def _versions() -> dict[str, str]:
    import keras
    import tensorflow

    return {
        "python": platform.python_version(),
        "keras": keras.__version__,
        "tensorflow": tensorflow.__version__,
        "dltasks": dltasks.__version__,
    }


def save_network(network, path: Path, precision: str) -> None:
    """Write a .keras of equal bytes for equal weights.

    precision "float16" rounds the weights to that first, so that the file packs to about half.
    """
    if precision == "float16":
        network.set_weights([_rounded(np.asarray(weights)) for weights in network.get_weights()])
    plain = path.with_name("plain.keras")
    try:
        network.save(plain)
    except (RuntimeError, ValueError) as error:  # h5py says so of a full disk
        raise PlanError(f"{path.parent}: the network can't be saved ({error})") from error
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            target.writestr(
                zipfile.ZipInfo(name, _DATE), _dateless(name, source.read(name)), zipfile.ZIP_BZIP2, 9
            )
    plain.unlink()


def _rounded(weights: np.ndarray) -> np.ndarray:
    floats = weights.dtype == np.float32
    return weights.astype(np.float16).astype(np.float32) if floats else weights


def _dateless(name: str, content: bytes) -> bytes:
    if name != "metadata.json":
        return content
    return json.dumps(json.loads(content) | {"date_saved": "1980-01-01@00:00:00"}).encode()


def export(bundle: Bundle, out: Path, to: str, quantize: str, data, floor: float | None):
    """What Bundle.export says."""
    floor = exporting.FLOOR if floor is None else floor
    inputs = _real_inputs(bundle, data)
    network = load_network(bundle.path)
    if to == "saved-model":
        return _export_saved_model(bundle, network, inputs, out, floor)
    if to not in ("litert", "streaming"):
        raise ExportError(f"--to {to}: there are litert, streaming and saved-model")
    if out.is_dir():
        raise ExportError(f"{out}: a folder, where a .tflite is to be written")
    if to == "streaming":
        model, parity = exporting.streaming(bundle.task, network, quantize, inputs)
    else:
        signatures = bundle.task.signatures(network)
        model = exporting.litert(signatures, quantize, exporting.first(inputs), bundle.task.quantised)
        parity = exporting.parity(bundle.task, network, model, inputs, quantize)
    exporting.require(parity, floor)
    record = {k: v for k, v in bundle.record.items() if k not in ("files", "stream_parity")}
    record |= {"parity": parity.to_json(), "form": to}
    with damage_as(ExportError, out), new_file(out) as path:
        path.write_bytes(packed(bundle.name, model, record, bundle.task, inputs))
    return parity


def _real_inputs(bundle: Bundle, data):
    """Encoded real inputs to calibrate and compare on, as many as parity wants."""
    recorded = bundle.record.get("source", "")
    beside = bundle.path / recorded
    source = data or (beside if beside.exists() else recorded)
    try:
        raws = _raws(bundle.task, source)
    except DataError as error:
        if data:
            raise ExportError(str(error)) from error
        raise ExportError(
            f"the data that {bundle.name} was trained on is not here ({recorded}); name real inputs to compare on "
            "with --data"
        ) from error
    order = np.random.default_rng(0).permutation(len(raws))[: bundle.task.pairs]
    encoded, _ = bundle.task.encode(taken(raws, order))
    if not len(next(iter(encoded.values()))):
        raise ExportError(f"{source}: nothing in it could be read")
    return encoded


def _raws(task: Task, source) -> Sequence[Any]:
    try:
        examples = task.examples(source)
        if examples.splits is not None and "train" in examples.splits:
            examples = examples.take(i for i, s in enumerate(examples.splits) if s != "test")
        return examples.raws
    except DataError:
        raws = joined(batch.raws for batch in task.read([source]))
        if not Path(source).exists() or len(failures_among(raws)) == len(raws):
            raise
        return raws


def _export_saved_model(bundle: Bundle, network, inputs, out: Path, floor: float):
    if out.exists() and not (out / "saved_model.pb").is_file() and (out.is_file() or any(out.iterdir())):
        raise ExportError(f"{out}: there already, and not a SavedModel; choose another --out")
    with damage_as(ExportError, out), new_folder(out) as folder:
        with quiet():
            exporting.archive(bundle.task.signatures(network), folder)
            given = exporting.answered(bundle.task, exporting.saved_model(folder), inputs)
        size = sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())
        expected = exporting.answered(bundle.task, exporting.keras_run(bundle.task, network), inputs)
        parity = exporting.compared(bundle.task, "saved-model", expected, given, size, 0.0)
        exporting.require(parity, floor)
        extra = folder / "assets.extra"
        extra.mkdir(exist_ok=True)
        for name, content in {BUNDLE: _json(bundle.record), **kept(bundle.task)}.items():
            (extra / name).write_bytes(content)
    return parity


def packed(name: str, model: bytes, record: dict[str, Any], task: Task, inputs: Arrays) -> bytes:
    """A .tflite that is a bundle in itself: what it says of itself in the standard metadata, and at its end a zip of the
    record, the word lists, the card and golden vectors of these encoded inputs.
    """
    inside = kept(task) | {
        CARD: card.text(name, record).encode("utf-8"),
        golden.FILE: golden.written(Runtime(model), inputs),
    }
    about = {
        "name": name,
        "description": f"A network for the task {record['task']}; {CARD} in the zip at the file's end tells of it.",
        "version": hashlib.sha256(model).hexdigest()[:12],
        "author": f"made with dltasks {record['versions']['dltasks']}",
        "license": f"that of the data; see {CARD}",
    }
    model = metadata.described(model, about, task.tensors(), [CARD, BUNDLE])
    record = record | {"model": _hashed(model), "members": {k: _hashed(v) for k, v in inside.items()}}
    file = BytesIO(model)
    file.seek(0, 2)
    with zipfile.ZipFile(file, "a") as archive:
        for each, content in {BUNDLE: _json(record), **inside}.items():
            # Readers of standard metadata take no packed files.
            archive.writestr(zipfile.ZipInfo(each, _DATE), content, zipfile.ZIP_STORED)
    return file.getvalue()


def _hashed(content: bytes) -> dict[str, object]:
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _json(record: dict[str, Any]) -> bytes:
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
