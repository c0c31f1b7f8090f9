"""Bundle: a trained network on disk with all it needs to answer and to be judged."""

import difflib
import hashlib
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from io import BytesIO
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np

import dltasks
from dltasks import tasks
from dltasks.columns import Columns, joined, taken
from dltasks.errors import DamagedError, DataError, DltasksError, ModelError
from dltasks.evaluation import Evaluation
from dltasks.files import bounded, damage_as, plain, require_room, unzipped, within
from dltasks.hints import beyond, misfit
from dltasks.record import MOST, understood
from dltasks.report import Report
from dltasks.runtime import Runtime, in_order
from dltasks.task import Arrays, Batch, Task, restored

BUNDLE, CARD = "bundle.json", "README.md"
"""The files of a bundle that hold its record, and what people should know of it."""

STREAM = "stream.tflite"
"""The file of a bundle that takes a stream piece by piece, its state going in and coming out."""

DATE = (1980, 1, 1, 0, 0, 0)
"""Date of the files in a zip, so that equal contents give equal bytes."""

INSIDE = 64 << 20
"""Bytes that the files in a .tflite may unpack to."""

PACKED = 20
"""Times its size that a network of Keras may unpack to."""

AUTHOR = "made with dltasks"
"""How the author in the metadata of our files begins."""


@dataclass(frozen=True)
class Bundle:
    """A trained network: its task, what is recorded of it, and the .tflite that answers.

    path: the folder or .tflite it was loaded from.
    """

    name: str
    path: Path
    task: Task = field(repr=False)
    record: dict[str, Any] = field(repr=False)
    runtime: Runtime = field(repr=False)

    def anatomy(self) -> dict[str, Any]:
        """What its .tflite is made of: see dltasks.anatomy."""
        from dltasks.anatomy import anatomy

        return anatomy(self.content())

    def content(self) -> bytes:
        """Its .tflite. Raises ModelError."""
        if not self.path.is_dir():
            return _file(self.path)
        with damage_as(ModelError, self.path):
            return checked(self.path, "model.tflite", self.record)

    def kept(self, name: str) -> bytes | None:
        """The content of one of its files; None where it has no such file. Raises ModelError."""
        if not self.path.is_dir():
            return files_inside(self.content(), self.path).get(name)
        with damage_as(ModelError, self.path):
            return checked(self.path, name, self.record) if name in self.record.get("files", {}) else None

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
        for batch, answers in self.answered(sources, threads):
            yield from zip(batch.origins, answers, strict=True)

    def answered(
        self, sources: Sequence[Any], threads: int | None = None
    ) -> Iterator[tuple[Batch, Sequence[Any]]]:
        """As predict_each, batch by batch."""
        self._require_whole()
        batches = self.task.read(sources)
        yield from in_order(lambda b: (b, self.task.answer(b.raws, self.run)), batches, threads)

    def run(self, inputs: Arrays, signature: str | None = None) -> Arrays:
        """What its network gives for encoded inputs. Raises ModelError if that is not what the network's file said it gives."""
        outputs = self.runtime.run(inputs, signature)
        rows = None if signature else len(next(iter(inputs.values())))
        for name, shape in self.task.shapes().items():
            if name in outputs and not _fits(outputs[name].shape, (rows, *shape)):
                raise ModelError(
                    f"{self.path}: gives {name} {outputs[name].shape}, where {(rows, *shape)} is wanted"
                )
        return outputs

    def evaluate(
        self,
        data,
        part: str | None = None,
        threads: int | None = None,
        report: Report | None = None,
    ) -> Evaluation:
        """Scores of the .tflite on labelled data.

        part: train, val, test or all; by default the test part where the data has one. report: hears how far
        it is. Raises DataError.
        """
        self._require_whole()
        report = report or Report()
        examples, notes = self._labelled(data, part)
        answers, truths, failures, done = [], [], [], 0
        batches = examples.cut(self.task.batch_size)
        for batch, given in in_order(lambda b: (b, self.task.answer(b.raws, self.run)), batches, threads):
            failed = failures_among(given)
            failures += [f"skipped: {given[i]}" for i in failed]
            good = np.setdiff1d(np.arange(len(batch)), failed)
            answers.append(taken(given, good))
            truths.append(taken(batch.truths, good))
            done += len(batch)
            report.step("answering", done, len(examples))
        if len(failures) == len(examples):
            raise DataError(f"{data}: none of the {len(examples)} examples could be read")
        return self.task.score(joined(answers), joined(truths)).noted((*notes, *failures))

    @property
    def streams(self) -> bool:
        """Whether the file takes a step of a stream at a time, and not a whole input."""
        return self.record.get("form") == "streaming"

    def stepwise(self) -> Runtime | None:
        """What takes a stream piece by piece; None where there is only what takes a whole input."""
        if self.streams:
            return self.runtime
        if STREAM not in self.record.get("files", {}):
            return None
        with damage_as(ModelError, self.path):
            runtime = Runtime(checked(self.path, STREAM, self.record))
        if wrong := runtime.streaming_flaw(self.task.shapes()):
            raise ModelError(
                f"{self.path}: its {STREAM} and its bundle.json do not fit: {wrong}; train it again"
            )
        return runtime

    def _require_whole(self) -> None:
        if self.streams:
            raise ModelError(
                f"{self.path}: takes a step of a stream at a time; it can listen (dltasks listen), and answers nothing else"
            )

    def _labelled(self, data, part: str | None):
        whole = examples = self.task.examples(data)
        notes = list(examples.notes)
        splits = examples.splits
        if part is None and splits is not None and "test" in splits:
            part = "test"
            notes.append("scored on the test part of the data; --part all takes everything")
        if part not in (None, "all"):
            positions = [i for i, split in enumerate(() if splits is None else splits) if split == part]
            if not positions:
                raise DataError(f"{data}: has no {part} part")
            examples = examples.take(positions)
        if part != "test" and self.record.get("data") == whole.fingerprint():
            notes.append(
                "the model was trained on this very data, so these scores flatter it; dltasks show has those of "
                "the part kept apart"
            )
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
        min_agreement: float = 0.98,
        max_loss: float = 0.01,
        prefer: str = "speed",
    ):
        """Write the network to `out` as a .tflite (to="litert"; "streaming" for one step of a stream) or as a
        SavedModel folder ("saved-model"); gives its `parity` with the network, and the `levels` of "auto".

        quantize: none, float16, weights8, dynamic, int8, or "auto": the fastest of them that holds the floors (prefer="size":
        the smallest). data: labelled or plain inputs to calibrate and compare on; what was held out of the data it was
        trained on by default. Nothing is written if fewer than `min_agreement` of the first answers agree, or if the
        first score is lower than the network's by more than `max_loss`. Raises ExportError.
        """
        from dltasks import training

        training.require_extra()
        from dltasks import writing

        wanted = writing.Wanted(to, quantize, data, min_agreement, max_loss, prefer)
        return writing.export(self, Path(out), wanted)


def _fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(shape) == len(wanted) and all(b in (None, a) for a, b in zip(shape, wanted, strict=True))


def failures_among(answers: Sequence[Any]) -> list[int]:
    """Positions of the inputs that could not be answered; of answers in columns all could."""
    if isinstance(answers, Columns):
        return []
    return [i for i, each in enumerate(answers) if isinstance(each, DltasksError)]


def models_folders() -> list[Path]:
    """Where bundled models may stand."""
    return [folder for each in dltasks.__path__ if (folder := Path(each) / "models").is_dir()]


def names() -> list[str]:
    """The bundled models."""
    found = {each.parent.name for folder in models_folders() for each in folder.glob(f"*/{BUNDLE}")}
    return sorted(found)


def find_folder(name) -> Path | None:
    """The folder of a bundled model or of a bundle on disk; None if `name` is neither."""
    for folder in (*(each / str(name) for each in models_folders()), Path(name)):
        if (folder / BUNDLE).is_file():
            return folder
    return None


def for_task(task: str) -> str:
    """The first bundled model of a task. Raises ModelError if there is none."""
    for name in names():
        if read_record(find_folder(name))["task"] == task:
            return name
    raise ModelError(f"no bundled model for {task}; name one with --model")


def load(
    name,
    labels: Sequence[str] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Bundle:
    """A bundled model by name, a bundle folder, or a .tflite file.

    Of a .tflite made elsewhere that does not say so itself: labels, the names of its outputs; mean and std, one or one a colour:
    its input takes (pixel - mean) / std. Raises ModelError.
    """
    known = {"labels": labels, "mean": mean, "std": std}
    path = Path(name)
    if path.name == "model.tflite" and (path.parent / BUNDLE).is_file() and labels is None:
        return load(path.parent)
    if path.suffix == ".tflite" or path.is_file():
        return _load_file(path, known)
    folder = find_folder(name)
    if folder is None:
        raise ModelError(_unknown(str(name), path))
    record = read_record(folder)
    with damage_as(ModelError, folder):
        model = checked(folder, "model.tflite", record)
        task = _task(record, lambda name: checked(folder, name, record), folder)
    return Bundle(folder.name, folder, task, record, _runtime(model, task, record, folder))


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
        content = within(folder, BUNDLE, MOST)
    except OSError as error:
        raise ModelError(f"{folder}/bundle.json can't be read ({error})") from error
    record = understood(content, f"{folder}/bundle.json")
    if outside := [name for name in record.get("files", {}) if not plain(name)]:
        raise ModelError(
            f"{folder}/bundle.json names {outside[0]!r:.80}, which is not the name of a file beside it"
        )
    return record


def checked(folder: Path, name: str, record: dict[str, Any]) -> bytes:
    """The bytes of a file in the folder whose sha256 is as recorded. Raises ModelError."""
    try:
        content = within(folder, name)
    except FileNotFoundError as error:
        raise ModelError(f"{folder}/{name} is missing; copy or train the bundle again") from error
    if hashlib.sha256(content).hexdigest() != record.get("files", {}).get(name):
        raise ModelError(
            f"{folder}/{name} is damaged or was changed: its sha256 is not that of bundle.json; "
            "copy or train the bundle again"
        )
    return content


def _task(record: dict[str, Any], read: Callable[[str], bytes], where) -> Task:
    """The task as it was recorded. read: from the name of a file that it keeps to its content."""
    kind = tasks.find(record["task"])
    try:
        values = restored(kind, read)
    except (ValueError, KeyError) as error:
        raise ModelError(f"{where} is damaged: its words can't be read ({error}); copy it again") from error
    hints = get_type_hints(kind)
    for each in fields(kind):
        if each.name in values or each.name not in record["fields"]:
            continue
        value, called = record["fields"][each.name], f"its field {each.name}"
        if wrong := misfit(value, hints[each.name], called) or beyond(value, each.metadata, called):
            raise ModelError(f"{where} is damaged: {wrong}; copy or train the bundle again")
        values[each.name] = value
    task = kind(**values)
    if wrong := task.flaw():
        raise ModelError(f"{where} is damaged: {wrong}; copy or train the bundle again")
    return task


def _runtime(model: bytes, task: Task, record: dict[str, Any], where) -> Runtime:
    """What runs the network of a bundle. Raises ModelError if it takes or gives other arrays than the task."""
    runtime = Runtime(model)
    streams = record.get("form") == "streaming"
    if wrong := runtime.streaming_flaw(task.shapes()) if streams else runtime.flaw(task.shapes()):
        raise ModelError(
            f"{where}: its network and its bundle.json do not fit: {wrong}; copy or train it again"
        )
    return runtime


def _file(path: Path) -> bytes:
    """What stands in a .tflite. Raises ModelError."""
    with damage_as(ModelError, path):
        return bounded(path)


def _load_file(path: Path, known: dict[str, Any]) -> Bundle:
    content = _file(path)
    if content[4:8] != b"TFL3":
        raise ModelError(f"{path}: not a .tflite file")
    inside = files_inside(content, path)
    if BUNDLE not in inside or any(each is not None for each in known.values()):
        return _adopted(path, content, known)
    model, record = unpacked(content, inside, path)
    task = _task(record, inside.__getitem__, path)
    return Bundle(path.stem, path, task, record, _runtime(model, task, record, path))


def unpacked(content: bytes, inside: dict[str, bytes], path: Path) -> tuple[bytes, dict[str, Any]]:
    """The network and the record of a .tflite that dltasks wrote, whole as they were written. Raises ModelError."""
    record = understood(inside[BUNDLE], f"{path}: {BUNDLE}")
    try:
        model = content[: record["model"]["bytes"]]
        wanted = {"": record["model"], **record.get("members", {})}
        given = {name: hashlib.sha256(inside[name] if name else model).hexdigest() for name in wanted}
        changed = [name for name, each in wanted.items() if given[name] != each["sha256"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path} is damaged: its {BUNDLE} does not fit it ({error!r})") from error
    if changed:
        where = f"{changed[0]} in it" if changed[0] else "it"
        raise ModelError(
            f"{path} is damaged: the sha256 of {where} is not as recorded; copy or export it again"
        )
    return model, record


def _adopted(path: Path, content: bytes, known: dict[str, Any]) -> Bundle:
    """A .tflite that dltasks did not write, taken by the first task that understands it."""
    from dltasks import metadata, trial
    from dltasks.stranger import Stranger

    told, why = {}, []
    try:
        told = metadata.read(content)
    except ModelError as error:
        why.append(str(error))
    if told.get("author", "").startswith(AUTHOR):
        raise DamagedError(
            f"{path} is damaged: dltasks wrote it, and its end, with the record of it, can't be read; copy or export it "
            "again"
        )
    trial.require(content, path)
    runtime = Runtime(content)
    stranger = Stranger(runtime, told, files_inside(content, path), **known)
    for name in tasks.names():
        try:
            found = tasks.find(name).adopt(stranger)
        except ModelError as error:
            why += [str(error)] * bool(str(error))
            continue
        adapted = runtime.adapted(found.names, found.given, found.answered)
        return Bundle(path.stem, path, found.task, {"task": name}, adapted)
    raise ModelError(f"{path}: carries no {BUNDLE} (made elsewhere, or cut short), and {'; '.join(why)}")


def files_inside(content: bytes, path: Path) -> dict[str, bytes]:
    """Files of the zip that a .tflite may end with; they are never written anywhere. nothing where it has no zip.

    Raises ModelError if they are too large or damaged.
    """
    if not zipfile.is_zipfile(BytesIO(content)):
        return {}
    try:
        return unzipped(content, INSIDE)
    except zipfile.BadZipFile as error:
        raise DamagedError(
            f"{path} is damaged: the files in it can't be read ({error}); copy or export it again"
        ) from error


def joined_file(model: bytes, inside: dict[str, bytes]) -> bytes:
    """A .tflite with a zip of these files at its end; equal contents give equal bytes."""
    file = BytesIO(model)
    file.seek(0, 2)
    with zipfile.ZipFile(file, "a") as archive:
        for name, content in inside.items():
            # Readers of standard metadata take no packed files.
            archive.writestr(zipfile.ZipInfo(name, DATE), content, zipfile.ZIP_STORED)
    return file.getvalue()


def load_network(folder: Path):
    """The Keras model of a bundle. Raises ModelError."""
    from dltasks import training

    training.require_extra()
    training.import_frameworks()
    import keras

    if not (folder / "model.keras").is_file():
        raise ModelError(f"{folder}: has no model.keras to start from; name a bundle folder")
    record = read_record(folder)
    with damage_as(ModelError, folder):
        content = checked(folder, "model.keras", record)
    # The task's own layers must be known before Keras reads of them.
    tasks.find_network(record["task"])
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            require_room(archive, max(INSIDE, PACKED * len(content)))
        return keras.saving.load_model(folder / "model.keras", compile=False, safe_mode=True)
    except Exception as error:  # Keras raises whatever a damaged zip leads to
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ModelError(f"{folder}/model.keras can't be loaded ({reason})") from error
