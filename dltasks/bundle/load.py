"""Bundle: a trained network on disk, loaded; also .tflite files that others made."""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints

from dltasks import registry
from dltasks.bundle.storage import (
    AUTHOR,
    MANIFEST_FILE,
    STREAM_FILE,
    bundled_names,
    files_in_tflite,
    find_bundle,
    read_manifest,
    read_tflite,
    read_verified,
    unpack_tflite,
)
from dltasks.errors import DamagedError, ModelError
from dltasks.fields import load_assets
from dltasks.files import os_errors_as
from dltasks.litert.runtime import Runtime
from dltasks.protocols import ThirdParty
from dltasks.task import Task
from dltasks.validation import range_error, type_error


@dataclass(frozen=True)
class Bundle:
    """A trained network: its task, what is recorded of it, and the .tflite that answers.

    path: the folder or .tflite it was loaded from.
    """

    name: str
    path: Path
    task: Task = field(repr=False)
    manifest: dict[str, Any] = field(repr=False)
    runtime: Runtime = field(repr=False)

    def model_summary(self) -> dict[str, Any]:
        """What its .tflite is made of: see dltasks.anatomy."""
        from dltasks.litert.summary import model_summary

        return model_summary(self.model_bytes())

    def model_bytes(self) -> bytes:
        """Its .tflite. Raises ModelError."""
        if not self.path.is_dir():
            return read_tflite(self.path)
        with os_errors_as(ModelError, self.path):
            return read_verified(self.path, "model.tflite", self.manifest)

    def read_asset(self, name: str) -> bytes | None:
        """The content of one of its files; None where it has no such file. Raises ModelError."""
        if not self.path.is_dir():
            return files_in_tflite(self.model_bytes(), self.path).get(name)
        with os_errors_as(ModelError, self.path):
            return (
                read_verified(self.path, name, self.manifest)
                if name in self.manifest.get("files", {})
                else None
            )

    @property
    def is_streaming(self) -> bool:
        """Whether the file takes a step of a stream at a time, and not a whole input."""
        return self.manifest.get("form") == "streaming"

    def streaming_runtime(self) -> Runtime | None:
        """What takes a stream piece by piece; None where there is only what takes a whole input."""
        if self.is_streaming:
            return self.runtime
        if STREAM_FILE not in self.manifest.get("files", {}):
            return None
        with os_errors_as(ModelError, self.path):
            runtime = Runtime(read_verified(self.path, STREAM_FILE, self.manifest))
        if wrong := runtime.streaming_shape_error(self.task.tensor_shapes()):
            raise ModelError(
                f"{self.path}: its {STREAM_FILE} and its bundle.json do not fit: {wrong}; train it again"
            )
        return runtime


def load_bundle(
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
    if path.name == "model.tflite" and (path.parent / MANIFEST_FILE).is_file() and labels is None:
        return load_bundle(path.parent)
    if path.suffix == ".tflite" or path.is_file():
        return _load_file(path, known)
    folder = find_bundle(name)
    if folder is None:
        raise ModelError(_unknown_model(str(name), path))
    record = read_manifest(folder)
    with os_errors_as(ModelError, folder):
        model = read_verified(folder, "model.tflite", record)
        task = load_task(record, lambda name: read_verified(folder, name, record), folder)
    return Bundle(folder.name, folder, task, record, _load_runtime(model, task, record, folder))


def _unknown_model(name: str, path: Path) -> str:
    known = bundled_names()
    if path.is_dir():
        return f"{name}: no bundle here (no bundle.json); train one with dltasks train"
    near = difflib.get_close_matches(name, known, 1, 0.5)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known) or 'none'}"
    return f"no model {name!r}; {hint} (a bundle folder or a .tflite file will do too)"


def load_task(record: dict[str, Any], read: Callable[[str], bytes], where) -> Task:
    """The task as it was recorded. read: from the name of a file that it keeps to its content."""
    kind = registry.find_task(record["task"])
    try:
        values = load_assets(kind, read)
    except (ValueError, KeyError) as error:
        raise ModelError(f"{where} is damaged: its words can't be read ({error}); copy it again") from error
    hints = get_type_hints(kind)
    for each in fields(kind):
        if each.name in values or each.name not in record["fields"]:
            continue
        value, called = record["fields"][each.name], f"its field {each.name}"
        if wrong := type_error(value, hints[each.name], called) or range_error(value, each.metadata, called):
            raise ModelError(f"{where} is damaged: {wrong}; copy or train the bundle again")
        values[each.name] = value
    task = kind(**values)
    if wrong := task.validate():
        raise ModelError(f"{where} is damaged: {wrong}; copy or train the bundle again")
    return task


def _load_runtime(model: bytes, task: Task, record: dict[str, Any], where) -> Runtime:
    """What runs the network of a bundle. Raises ModelError if it takes or gives other arrays than the task."""
    runtime = Runtime(model)
    streams = record.get("form") == "streaming"
    if (
        wrong := runtime.streaming_shape_error(task.tensor_shapes())
        if streams
        else runtime.shape_error(task.tensor_shapes())
    ):
        raise ModelError(
            f"{where}: its network and its bundle.json do not fit: {wrong}; copy or train it again"
        )
    return runtime


def _load_file(path: Path, known: dict[str, Any]) -> Bundle:
    content = read_tflite(path)
    if content[4:8] != b"TFL3":
        raise ModelError(f"{path}: not a .tflite file")
    inside = files_in_tflite(content, path)
    if MANIFEST_FILE not in inside or any(each is not None for each in known.values()):
        return _load_third_party(path, content, known)
    model, record = unpack_tflite(content, inside, path)
    task = load_task(record, inside.__getitem__, path)
    return Bundle(path.stem, path, task, record, _load_runtime(model, task, record, path))


def _load_third_party(path: Path, content: bytes, known: dict[str, Any]) -> Bundle:
    """A .tflite that dltasks did not write, taken by the first task that understands it."""
    from dltasks.litert import metadata, sandbox
    from dltasks.litert.third_party import ThirdPartyModel

    told, why = {}, []
    try:
        told = metadata.read_metadata(content)
    except ModelError as error:
        why.append(str(error))
    if told.get("author", "").startswith(AUTHOR):
        raise DamagedError(
            f"{path} is damaged: dltasks wrote it, and its end, with the record of it, can't be read; copy or export it "
            "again"
        )
    sandbox.check_in_subprocess(content, path)
    runtime = Runtime(content)
    stranger = ThirdPartyModel(runtime, told, files_in_tflite(content, path), **known)
    for name in registry.task_names():
        try:
            kind = registry.find_task(name)
            if not issubclass(kind, ThirdParty):
                continue
            found = kind.from_third_party(stranger)
        except ModelError as error:
            why += [str(error)] * bool(str(error))
            continue
        adapted = runtime.with_adapters(found.names, found.preprocess, found.postprocess)
        return Bundle(path.stem, path, found.task, {"task": name}, adapted)
    raise ModelError(
        f"{path}: carries no {MANIFEST_FILE} (made elsewhere, or cut short), and {'; '.join(why)}"
    )
