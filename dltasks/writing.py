"""Bundles and exported files written: the network, what is made of it, what is recorded of it, and the card."""

import hashlib
import json
import platform
import zipfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import dltasks
from dltasks import card, exporting, golden, metadata, tasks
from dltasks.bundle import (
    AUTHOR,
    BUNDLE,
    CARD,
    DATE,
    STREAM,
    Bundle,
    failures_among,
    joined_file,
    load,
    load_network,
)
from dltasks.columns import joined, taken
from dltasks.errors import DataError, ExportError, ModelError, PlanError
from dltasks.evaluation import Evaluation
from dltasks.exporting import CALIBRATION
from dltasks.files import check_place, damage_as, new_file, new_folder, new_folder_in, write_json
from dltasks.parity import FILE as PARITY
from dltasks.parity import Held, Parity, Told, below, compared, require, told
from dltasks.plan import AUTO, LEVELS
from dltasks.quiet import quiet
from dltasks.record import FORMAT
from dltasks.runtime import Runtime, in_order
from dltasks.task import Arrays, Batch, Task, kept, kept_names

MOST_HELD = 10_000
"""Examples of a test part whose places are recorded, to compare exported files on."""

ABOUT = 1.1
"""Times the least latency that counts as no slower."""

UNLABELLED = "the data has no labels, so that only answers are compared, and no scores"
NOT_APART = "compared on examples that the model may have been trained on: --data names others"


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


def write(task: Task, network, data, training: Training, work: Path, out: Path, report) -> Bundle:
    """Export the network, judge the exported file on the test part, and write the bundle to `work`, and then to `out`.

    A bundle that stood there stays whole until the new one is. Raises ExportError, PlanError.
    """
    with damage_as(PlanError, out), new_folder_in(work, out) as folder:
        save_network(network, folder / "model.keras", training.plan.precision)
        chosen = [*data.parts.val, *data.parts.train[: task.pairs]]
        inputs = exporting.sample(data.inputs, chosen, CALIBRATION)
        level = training.plan.quantize
        model = exporting.litert(task.signatures(network), level, exporting.first(inputs), task.quantised)
        held = _held_out(task, data)
        network_says = told(task, exporting.keras_run(task, network), held)
        parity = exporting.parity(task, network_says, model, held, level)
        require(parity)
        write_json(folder / PARITY, parity.to_json())
        (folder / "model.tflite").write_bytes(model)
        (folder / golden.FILE).write_bytes(golden.written(Runtime(model), inputs))
        stream_parity = (
            _write_stream(task, network, level, inputs, held, folder) if task.stream_step else None
        )
        report.line(f"scoring the {len(data.parts.test)} examples to judge by with the .tflite")
        evaluation = _judged(task, Runtime(model), data, report)
        if evaluation:
            evaluation = evaluation.beside(task.peers(data.inputs, data.examples, data.parts))
        for name, content in (kept(task) | task.attachments()).items():
            (folder / name).write_bytes(content)
        record = _record(task, network, training, parity, evaluation)
        record["held_out"] = [int(data.places[i]) for i in sorted(data.parts.test)][:MOST_HELD]
        if stream_parity:
            record["stream_parity"] = stream_parity.brief()
        hashed = sorted(each for each in folder.iterdir() if each.is_file())
        record["files"] = {e.name: hashlib.sha256(e.read_bytes()).hexdigest() for e in hashed}
        (folder / CARD).write_text(card.text(out.name, record), encoding="utf-8")
        write_json(folder / BUNDLE, record)
    return load(out)


def _held_out(task: Task, data) -> Held:
    """Examples of the test part, or of the validation part where there is none."""
    positions = np.asarray(data.parts.test if len(data.parts.test) else data.parts.val)
    chosen = np.sort(np.random.default_rng(0).permutation(positions)[: task.pairs])
    return Held(data.part(chosen), data.examples.take(chosen))


def _write_stream(task: Task, network, level: str, inputs, held: Held, folder: Path) -> Parity:
    model, parity = exporting.streaming(task, network, level, inputs, held, task.stream_step)
    require(parity)
    (folder / STREAM).write_bytes(model)
    (folder / golden.STREAM).write_bytes(golden.written(Runtime(model), inputs))
    return parity


def _judged(task: Task, runtime: Runtime, data, report) -> Evaluation | None:
    """Scores of the test part; of what was lost since it was encoded the run only tells."""
    if not len(data.parts.test):
        return None
    examples = data.examples.take(data.parts.test)
    answered = in_order(lambda b: task.answer(b.raws, runtime.run), examples.cut(task.batch_size))
    answers = joined(answered)
    lost = failures_among(answers)
    notes = tuple(f"skipped: {answers[i]}" for i in lost)
    for each in notes:
        report.line(each)
    good = np.setdiff1d(np.arange(len(examples)), lost)
    if not len(good):
        return None
    return task.score(taken(answers, good), taken(examples.truths, good)).noted(notes)


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
        "parity": parity.brief(),
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
                zipfile.ZipInfo(name, DATE), _dateless(name, source.read(name)), zipfile.ZIP_BZIP2, 9
            )
    plain.unlink()


def _rounded(weights: np.ndarray) -> np.ndarray:
    floats = weights.dtype == np.float32
    return weights.astype(np.float16).astype(np.float32) if floats else weights


def _dateless(name: str, content: bytes) -> bytes:
    if name != "metadata.json":
        return content
    return json.dumps(json.loads(content) | {"date_saved": "1980-01-01@00:00:00"}).encode()


@dataclass(frozen=True)
class Wanted:
    """What an export is asked for. quantize: a level, or "auto". prefer: "speed" or "size", of levels that hold the floors."""

    to: str
    quantize: str
    data: Any
    min_agreement: float
    max_loss: float
    prefer: str


@dataclass(frozen=True)
class Exported:
    """What was written: its Parity, and of "auto" that of each level, or why there is none."""

    parity: Parity
    levels: dict[str, Parity | str]
    notes: tuple[str, ...]


def export(bundle: Bundle, out: Path, wanted: Wanted) -> Exported:
    """What Bundle.export says."""
    if wanted.to not in ("litert", "streaming", "saved-model"):
        raise ExportError(f"--to {wanted.to}: there are litert, streaming and saved-model")
    if wanted.quantize == AUTO and wanted.to != "litert":
        raise ExportError(f"--quantize {AUTO}: for --to litert; name a level")
    if wanted.to != "saved-model" and out.is_dir():
        raise ExportError(f"{out}: a folder, where a .tflite is to be written")
    if not (bundle.path / "model.keras").is_file():
        raise ModelError(f"{bundle.path}: has no model.keras to export from; name a bundle folder")
    check_place(out, ExportError)
    calibration, held, notes = real_inputs(bundle, wanted.data)
    network = load_network(bundle.path)
    if wanted.to == "saved-model":
        return Exported(_export_saved_model(bundle, network, held, out, wanted), {}, notes)
    if wanted.to == "streaming":
        model, parity = exporting.streaming(bundle.task, network, wanted.quantize, calibration, held)
        require(parity, wanted.min_agreement, wanted.max_loss)
        levels = {}
    else:
        network_says = told(bundle.task, exporting.keras_run(bundle.task, network), held)
        made = _levels(bundle.task, network, network_says, calibration, held, wanted)
        levels = {level: each if isinstance(each, str) else each[1] for level, each in made.items()}
        model, parity = made[_best(levels, wanted)]
    record = {k: v for k, v in bundle.record.items() if k not in ("files", "stream_parity", "held_out")}
    record |= {"parity": parity.brief(), "form": wanted.to}
    with damage_as(ExportError, out), new_file(out) as path:
        path.write_bytes(packed(bundle.name, model, record, bundle.task, held.inputs, parity))
        write_json(out.with_name(f"{out.stem}.{PARITY}"), parity.to_json())
    return Exported(parity, levels if wanted.quantize == AUTO else {}, notes)


def _levels(task: Task, network, says: Told, calibration: Arrays, held: Held, wanted: Wanted):
    """The file and the Parity of each level that is wanted, or why it can't be made."""
    signatures, found = task.signatures(network), {}
    for level in reversed(LEVELS) if wanted.quantize == AUTO else (wanted.quantize,):
        try:
            model = exporting.litert(signatures, level, calibration, task.quantised)
        except ExportError as error:
            if wanted.quantize != AUTO:
                raise
            found[level] = str(error)
            continue
        found[level] = model, exporting.parity(task, says, model, held, level)
    made = {level: each for level, each in found.items() if not isinstance(each, str)}
    if len(made) > 1:
        times = exporting.latencies(task, {level: model for level, (model, _) in made.items()}, held)
        found |= {
            level: (model, replace(told, latency=times[level])) for level, (model, told) in made.items()
        }
    return found


def _best(levels: dict[str, Parity | str], wanted: Wanted) -> str:
    """The fastest, or smallest, of those that hold the floors; of those about as fast the smallest. Raises ExportError."""
    made = {level: each for level, each in levels.items() if isinstance(each, Parity)}
    floors = wanted.min_agreement, wanted.max_loss
    if wanted.quantize != AUTO:
        require(made[wanted.quantize], *floors)
        return wanted.quantize
    good = [level for level, each in made.items() if not below(each, *floors)]
    if not good:
        said = "; ".join(f"{level} {below(each, *floors)}" for level, each in made.items())
        raise ExportError(f"no level holds the floors, so nothing was written: {said}")
    if wanted.prefer == "speed":
        fastest = min(made[level].latency for level in good)
        good = [level for level in good if made[level].latency <= ABOUT * fastest]
    return min(good, key=lambda level: made[level].bytes)


def real_inputs(bundle: Bundle, data) -> tuple[Arrays, Held, tuple[str, ...]]:
    """Inputs to take ranges from, and held-out examples to compare on; and what should be known of these."""
    recorded = bundle.record.get("source", "")
    beside = bundle.path / recorded
    source = data or (beside if beside.exists() else recorded)
    try:
        examples, held_out, notes = _examples(bundle, source, given=bool(data))
    except DataError as error:
        if data:
            raise ExportError(str(error)) from error
        raise ExportError(
            f"the data that {bundle.name} was trained on is not here ({recorded}); name real inputs to compare on "
            "with --data"
        ) from error
    random = np.random.default_rng(0)
    others = np.setdiff1d(np.arange(len(examples)), held_out)
    ranged = random.permutation(others if len(others) >= CALIBRATION else len(examples))[:CALIBRATION]
    calibration, _ = bundle.task.encode(taken(examples.raws, ranged))
    chosen = np.sort(random.permutation(held_out)[: bundle.task.pairs])
    held = _readable(bundle.task, examples.take(chosen), source)
    return calibration, held, notes


def _readable(task: Task, examples, source) -> Held:
    inputs, failures = task.encode(examples.raws)
    good = np.setdiff1d(np.arange(len(examples)), list(failures))
    if not len(good):
        raise ExportError(f"{source}: nothing in it could be read")
    return Held(inputs, examples.take(good))


def _examples(bundle: Bundle, source, given: bool):
    """Examples, the positions of those to compare on, and notes. Raises DataError."""
    try:
        examples = bundle.task.examples(source)
    except DataError:
        batches = list(bundle.task.read([source]))
        raws = joined(batch.raws for batch in batches)
        if not Path(source).exists() or len(failures_among(raws)) == len(raws):
            raise
        origins = joined(batch.origins for batch in batches)
        return Batch(raws, origins), np.arange(len(raws)), (UNLABELLED,)
    known, notes = bundle.task.known(examples)
    if not len(known):
        return replace(examples, truths=None), np.arange(len(examples)), tuple(notes)
    examples = known
    if examples.splits is not None and "test" in examples.splits:
        return examples, np.flatnonzero([each == "test" for each in examples.splits]), ()
    recorded = bundle.record.get("held_out")
    if recorded and bundle.record.get("data") == examples.fingerprint():
        return examples, np.asarray(recorded), ()
    return examples, np.arange(len(examples)), () if given else (NOT_APART,)


def _export_saved_model(bundle: Bundle, network, held: Held, out: Path, wanted: Wanted) -> Parity:
    if out.exists() and not (out / "saved_model.pb").is_file() and (out.is_file() or any(out.iterdir())):
        raise ExportError(f"{out}: there already, and not a SavedModel; choose another --out")
    task = bundle.task
    with damage_as(ExportError, out), new_folder(out) as folder:
        with quiet():
            exporting.archive(task.signatures(network), folder)
            given = told(task, exporting.saved_model(folder), held)
        size = sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())
        network_says = told(task, exporting.keras_run(task, network), held)
        parity = compared(task, "saved-model", network_says, given, held, size, 0.0)
        require(parity, wanted.min_agreement, wanted.max_loss)
        extra = folder / "assets.extra"
        extra.mkdir(exist_ok=True)
        for name, content in {
            BUNDLE: _json(bundle.record),
            PARITY: _json(parity.to_json()),
            **kept(task),
        }.items():
            (extra / name).write_bytes(content)
    return parity


def packed(
    name: str, model: bytes, record: dict[str, Any], task: Task, inputs: Arrays, parity: Parity
) -> bytes:
    """A .tflite that is a bundle in itself: what it says of itself in the standard metadata, and at its end a zip of the
    record, the word lists, the card and golden vectors of these encoded inputs.
    """
    inside = kept(task) | {
        CARD: card.text(name, record).encode("utf-8"),
        golden.FILE: golden.written(Runtime(model), inputs),
        PARITY: _json(parity.to_json()),
    }
    about = {
        "name": name,
        "description": f"A network for the task {record['task']}; {CARD} in the zip at the file's end tells of it.",
        "version": hashlib.sha256(model).hexdigest()[:12],
        "author": f"{AUTHOR} {record['versions']['dltasks']}",
        "license": f"that of the data; see {CARD}",
    }
    model = metadata.described(model, about, task.tensors(), [CARD, BUNDLE])
    record = record | {"model": _hashed(model), "members": {k: _hashed(v) for k, v in inside.items()}}
    return joined_file(model, {BUNDLE: _json(record), **inside})


def _hashed(content: bytes) -> dict[str, object]:
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _json(record: dict[str, Any]) -> bytes:
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
