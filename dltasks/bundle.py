"""Bundle: a trained network on disk with all it needs to answer and to be judged."""

import difflib
import hashlib
import json
import platform
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

import dltasks
from dltasks import tasks
from dltasks.errors import DataError, DltasksError, ExportError, ModelError, PlanError
from dltasks.evaluation import Evaluation
from dltasks.files import damage_as, new_file, new_folder, write_json
from dltasks.runtime import Runtime, in_order
from dltasks.task import Task, text_lists

FORMAT = 1
"""Version of the layout of a bundle; a higher one is refused."""

_DATE = (1980, 1, 1, 0, 0, 0)
"""Date of members of a zip, so that equal contents give equal bytes."""


@dataclass(frozen=True)
class Bundle:
    """A trained network: its task, what is recorded of it, and the .tflite that answers.

    path: the folder or .tflite it was loaded from.
    """

    name: str
    path: Path
    task: Task
    record: dict[str, Any]
    runtime: Runtime

    def predict(self, *sources, threads: int | None = None) -> list[Any]:
        """An answer for each input; folders are walked. Raises the first DataError met."""
        answers = []
        for _, answer in self.predict_each(sources, threads):
            if isinstance(answer, DltasksError):
                raise answer
            answers.append(answer)
        return answers

    def predict_each(self, sources: Sequence[Any], threads: int | None = None) -> Iterator[tuple[str, Any]]:
        """Where each input came from and its answer, or its DataError, in the order of the inputs.

        Works on all cores if `threads` is None; memory does not grow with the number of inputs.
        """

        def answered(batch):
            return list(zip(batch.origins, self.task.answer(batch.raws, self.runtime.run), strict=True))

        for pairs in in_order(answered, self.task.read(sources), threads):
            yield from pairs

    def evaluate(self, data, part: str | None = None, threads: int | None = None) -> Evaluation:
        """Scores of the .tflite on labelled data.

        part: train, val, test or all; by default the test part where the data has one. Raises DataError.
        """
        examples, notes = self._labelled(data, part)
        answers, truths, failures = [], [], []
        batches = examples.cut(self.task.batch_size)
        run = self.runtime.run
        answered = in_order(lambda b: (b, self.task.answer(b.raws, run)), batches, threads)
        for batch, given in answered:
            for truth, answer in zip(batch.truths, given, strict=True):
                if isinstance(answer, DltasksError):
                    failures.append(f"skipped: {answer}")
                else:
                    answers.append(answer)
                    truths.append(truth)
        if not answers:
            raise DataError(f"{data}: none of the {len(examples)} examples could be read")
        return self.task.score(answers, truths).noted((*notes, *failures))

    def _labelled(self, data, part: str | None):
        examples = self.task.examples(data)
        notes = list(examples.notes)
        splits = examples.splits
        if part is None and splits and "test" in splits:
            part = "test"
            notes.append("scored on the test part of the data; --part all takes everything")
        if part not in (None, "all"):
            positions = [i for i, split in enumerate(splits or ()) if split == part]
            if not positions:
                raise DataError(f"{data}: has no {part} part")
            examples = examples.take(positions)
        known, more = self.task.known(examples)
        if not len(known):
            raise DataError(f"{data}: {'; '.join(more) or 'nothing that the model knows'}")
        return known, [*notes, *more]

    def export(
        self,
        out,
        to: str = "litert",
        quantize: str = "float16",
        data=None,
        floor: float | None = None,
    ):
        """Write the network to `out` as a .tflite (to="litert") or a SavedModel folder; gives its Parity.

        data: labelled or plain inputs to calibrate and compare on; the folder it was trained on by default.
        Nothing is written if fewer than `floor` (0.98) of the first answers agree. Raises ExportError.
        """
        from dltasks import exporting, training

        training.require_extra()
        training.import_frameworks()
        floor = exporting.FLOOR if floor is None else floor
        out, inputs = Path(out), self._real_inputs(data)
        network = load_network(self.path)
        if to == "saved-model":
            return _export_saved_model(self, network, inputs, out, floor)
        if to != "litert":
            raise ExportError(f"--to {to}: there are litert and saved-model")
        if out.is_dir():
            raise ExportError(f"{out}: a folder, where a .tflite is to be written")
        model = exporting.litert(network, quantize, inputs)
        parity = exporting.parity(self.task, network, model, inputs, quantize)
        exporting.require(parity, floor)
        record = {k: v for k, v in self.record.items() if k != "files"}
        record |= {"parity": parity.to_json()}
        with damage_as(ExportError, out), new_file(out) as path:
            path.write_bytes(packed(model, record, self.task))
        return parity

    def _real_inputs(self, data):
        """Encoded real inputs to calibrate and compare on, as many as parity wants."""
        from dltasks import exporting

        recorded = self.record.get("source", "")
        beside = self.path / recorded
        source = data or (beside if beside.exists() else recorded)
        try:
            raws = self._raws(source)
        except DataError as error:
            cure = "" if data else "; name inputs to compare on with --data"
            raise ExportError(f"{error}{cure}") from error
        order = np.random.default_rng(0).permutation(len(raws))[: exporting.PARITY]
        encoded, _ = self.task.encode([raws[i] for i in order])
        if not len(next(iter(encoded.values()))):
            raise ExportError(f"{source}: nothing in it could be read")
        return encoded

    def _raws(self, source) -> list[Any]:
        try:
            examples = self.task.examples(source)
            if examples.splits and "train" in examples.splits:
                examples = examples.take(i for i, s in enumerate(examples.splits) if s != "test")
            return list(examples.raws)
        except DataError:
            raws = [raw for batch in self.task.read([source]) for raw in batch.raws]
            if all(isinstance(raw, DataError) for raw in raws) or not Path(source).exists():
                raise
            return raws


def _export_saved_model(bundle: Bundle, network, inputs, out: Path, floor: float):
    from dltasks import exporting
    from dltasks.quiet import quiet

    if out.exists() and not (out / "saved_model.pb").is_file() and (out.is_file() or any(out.iterdir())):
        raise ExportError(f"{out}: there already, and not a SavedModel; choose another --out")
    with damage_as(ExportError, out), new_folder(out) as folder:
        with quiet():
            exporting.archive(network, folder)
            given = exporting.saved_model_outputs(folder, inputs)
        size = sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())
        expected = exporting.outputs_of(network, inputs)
        parity = exporting.compared(bundle.task, "saved-model", expected, given, size, 0.0)
        exporting.require(parity, floor)
        extra = folder / "assets.extra"
        extra.mkdir(exist_ok=True)
        for name, text in members(bundle.record, bundle.task).items():
            (extra / name).write_text(text, encoding="utf-8")
    return parity


def models_folders() -> list[Path]:
    """Where bundled models may stand."""
    return [folder for each in dltasks.__path__ if (folder := Path(each) / "models").is_dir()]


def names() -> list[str]:
    """The bundled models."""
    found = {each.parent.name for folder in models_folders() for each in folder.glob("*/bundle.json")}
    return sorted(found)


def find_folder(name) -> Path | None:
    """The folder of a bundled model or of a bundle on disk; None if `name` is neither."""
    for folder in (*(each / str(name) for each in models_folders()), Path(name)):
        if (folder / "bundle.json").is_file():
            return folder
    return None


def for_task(task: str) -> str:
    """The first bundled model of a task. Raises ModelError if there is none."""
    for name in names():
        if read_record(find_folder(name))["task"] == task:
            return name
    raise ModelError(f"no bundled model for {task}; name one with --model")


def load(name, labels: Sequence[str] | None = None) -> Bundle:
    """A bundled model by name, a bundle folder, or a .tflite file.

    labels: names of the outputs, for a .tflite that does not carry them. Raises ModelError.
    """
    path = Path(name)
    if path.suffix == ".tflite" or path.is_file():
        return _load_file(path, labels)
    folder = find_folder(name)
    if folder is None:
        raise ModelError(_unknown(str(name), path))
    record = read_record(folder)
    with damage_as(ModelError, folder):
        model = _checked(folder, "model.tflite", record)
        texts = {
            each: _checked(folder, f"{each}.txt", record).decode("utf-8")
            for each in text_lists(tasks.find(record["task"]))
        }
    return Bundle(folder.name, folder, _task(record, texts, folder), record, Runtime(model))


def _unknown(name: str, path: Path) -> str:
    known = names()
    if path.is_dir():
        return f"{name}: no bundle here (no bundle.json); train one with dltasks train"
    near = difflib.get_close_matches(name, known, 1, 0.5)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known) or 'none'}"
    return f"no model {name!r}; {hint} (a bundle folder or a .tflite file will do too)"


def read_record(folder: Path) -> dict[str, Any]:
    """What bundle.json says. Raises ModelError if it is damaged or of a newer format."""
    try:
        text = (folder / "bundle.json").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{folder}/bundle.json can't be read ({error})") from error
    return _understood(text, f"{folder}/bundle.json")


def _understood(text: str, where: str) -> dict[str, Any]:
    try:
        record = json.loads(text)
        version = record["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{where} is damaged; copy or train the bundle again") from error
    if version > FORMAT:
        raise ModelError(
            f"{where} has format {version}; this dltasks {dltasks.__version__} reads up to {FORMAT}: "
            "pip install --upgrade dltasks"
        )
    return record


def _checked(folder: Path, name: str, record: dict[str, Any]) -> bytes:
    """The bytes of a file whose sha256 is as recorded. Raises ModelError."""
    try:
        content = (folder / name).read_bytes()
    except FileNotFoundError as error:
        raise ModelError(f"{folder}/{name} is missing; copy or train the bundle again") from error
    if hashlib.sha256(content).hexdigest() != record.get("files", {}).get(name):
        raise ModelError(
            f"{folder}/{name} is damaged or was changed: its sha256 is not that of bundle.json; "
            "copy or train the bundle again"
        )
    return content


def _task(record: dict[str, Any], texts: dict[str, str], where) -> Task:
    kind = tasks.find(record["task"])
    known = {each.name for each in fields(kind)}
    values = {name: tuple(text.splitlines()) for name, text in texts.items()}
    values |= {name: value for name, value in record["fields"].items() if name in known}
    try:
        return kind(**values)
    except TypeError as error:
        raise ModelError(f"{where}: bundle.json lacks a field ({error})") from error


def _load_file(path: Path, labels: Sequence[str] | None) -> Bundle:
    with damage_as(ModelError, path):
        content = path.read_bytes()
    if content[4:8] != b"TFL3":
        raise ModelError(f"{path}: not a .tflite file")
    inside = _members(content)
    if "bundle.json" in inside and labels is None:
        record = _understood(inside["bundle.json"].decode("utf-8", "replace"), f"{path}: bundle.json")
        model = content[: record["model"]["bytes"]]
        if hashlib.sha256(model).hexdigest() != record["model"]["sha256"]:
            raise ModelError(f"{path} is damaged: its sha256 is not as recorded; copy or export it again")
        texts = {
            each: inside[f"{each}.txt"].decode("utf-8") for each in text_lists(tasks.find(record["task"]))
        }
        return Bundle(path.stem, path, _task(record, texts, path), record, Runtime(model))
    return _adopted(path, content, labels or _labels_inside(inside))


def _labels_inside(inside: dict[str, bytes]) -> list[str] | None:
    texts = [content for name, content in inside.items() if name.endswith(".txt")]
    return texts[0].decode("utf-8").splitlines() if texts else None


def _adopted(path: Path, model: bytes, labels: Sequence[str] | None) -> Bundle:
    """A .tflite that dltasks did not write, taken by the first task that understands its shapes."""
    runtime = Runtime(model)
    reasons = []
    for name in tasks.names():
        try:
            task, renamed = tasks.find(name).adopt(runtime, labels)
        except ModelError as error:
            reasons.append(str(error))
            continue
        return Bundle(path.stem, path, task, {"task": name}, runtime.renamed(renamed))
    raise ModelError(f"{path}: not written by dltasks, and {'; '.join(reasons) or 'not understood'}")


def _members(content: bytes) -> dict[str, bytes]:
    """Files of the zip that a .tflite may end with."""
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            return {each: archive.read(each) for each in archive.namelist()}
    except zipfile.BadZipFile:
        return {}


def members(record: dict[str, Any], task: Task) -> dict[str, str]:
    """The text files that go with a network: bundle.json and the word lists."""
    texts = {f"{each}.txt": lines(getattr(task, each)) for each in text_lists(task)}
    return {"bundle.json": json.dumps(record, indent=1, ensure_ascii=False), **texts}


def lines(words: Sequence[str]) -> str:
    """One word a line."""
    return "".join(f"{each}\n" for each in words)


def packed(model: bytes, record: dict[str, Any], task: Task) -> bytes:
    """A .tflite that is a bundle in itself: the record and the word lists as a zip at its end."""
    record = record | {"model": {"bytes": len(model), "sha256": hashlib.sha256(model).hexdigest()}}
    file = BytesIO(model)
    file.seek(0, 2)
    with zipfile.ZipFile(file, "a") as archive:
        for name, text in members(record, task).items():
            archive.writestr(zipfile.ZipInfo(name, _DATE), text)
    return file.getvalue()


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
    from dltasks import card, exporting

    with damage_as(PlanError, out), new_folder(out) as folder:
        save_network(network, folder / "model.keras", training.plan.precision)
        chosen = data.parts.val + data.parts.train[: exporting.PARITY]
        inputs = exporting.sample(data.inputs, chosen, exporting.PARITY)
        level = training.plan.quantize
        model = exporting.litert(network, level, inputs)
        parity = exporting.parity(task, network, model, inputs, level)
        exporting.require(parity, exporting.FLOOR)
        (folder / "model.tflite").write_bytes(model)
        report.line(f"scoring the {len(data.parts.test)} examples to judge by with the .tflite")
        evaluation = _judged(task, Runtime(model), data)
        for name in text_lists(task):
            (folder / f"{name}.txt").write_text(lines(getattr(task, name)), encoding="utf-8")
        record = _record(task, network, training, parity, evaluation)
        hashed = sorted(each for each in folder.iterdir() if each.is_file())
        record["files"] = {e.name: hashlib.sha256(e.read_bytes()).hexdigest() for e in hashed}
        (folder / "README.md").write_text(card.text(out.name, record), encoding="utf-8")
        write_json(folder / "bundle.json", record)
    return load(out)


def _judged(task: Task, runtime: Runtime, data) -> Evaluation | None:
    if not data.parts.test:
        return None
    positions = data.parts.test
    pieces = [positions[at : at + task.batch_size] for at in range(0, len(positions), task.batch_size)]
    answers = in_order(lambda rows: task.decode(runtime.run(data.part(rows))), pieces)
    return task.score([each for some in answers for each in some], data.truths_at(positions))


def _record(task: Task, network, training: Training, parity, evaluation) -> dict[str, Any]:
    words = set(text_lists(task))
    return {
        "format": FORMAT,
        "task": tasks.name_of(task),
        "fields": {k: v for k, v in asdict(task).items() if k not in words},
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


def load_network(folder: Path):
    """The Keras model of a bundle. Raises ModelError."""
    from dltasks import training

    training.require_extra()
    training.import_frameworks()
    import keras

    if not (folder / "model.keras").is_file():
        raise ModelError(f"{folder}: has no model.keras to start from; name a bundle folder")
    with damage_as(ModelError, folder):
        _checked(folder, "model.keras", read_record(folder))
    try:
        return keras.saving.load_model(folder / "model.keras", compile=False, safe_mode=True)
    except (ValueError, TypeError, KeyError) as error:
        raise ModelError(f"{folder}/model.keras can't be loaded ({error})") from error
