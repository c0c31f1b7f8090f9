"""Bundle: a trained network loaded from a bundle folder or a .tflite file, also a third-party one."""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints

from dltasks import registry
from dltasks.bundle.storage import (
    AUTHOR,
    MANIFEST_FILE,
    MODEL_FILE,
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
    """A trained network: its task, its manifest, and its .tflite file.

    Attributes:
        name: Name of the bundle or the .tflite file.
        path: The bundle folder or .tflite file it was loaded from.
        task: The task, with everything that prediction needs besides the network.
        manifest: Content of bundle.json.
        runtime: Runs the .tflite file.
    """

    name: str
    path: Path
    task: Task = field(repr=False)
    manifest: dict[str, Any] = field(repr=False)
    runtime: Runtime = field(repr=False)

    def model_summary(self) -> dict[str, Any]:
        """Summary of its .tflite file: see dltasks.litert.summary. Raises ModelError."""
        from dltasks.litert.summary import model_summary

        return model_summary(self.model_bytes())

    def model_bytes(self) -> bytes:
        """Content of its .tflite file. Raises ModelError."""
        if not self.path.is_dir():
            return read_tflite(self.path)
        with os_errors_as(ModelError, self.path):
            return read_verified(self.path, MODEL_FILE, self.manifest)

    def read_asset(self, name: str) -> bytes | None:
        """Content of one of its files; None if it has no such file. Raises ModelError."""
        if not self.path.is_dir():
            return files_in_tflite(self.model_bytes(), self.path).get(name)
        if name not in self.manifest.get("files", {}):
            return None
        with os_errors_as(ModelError, self.path):
            return read_verified(self.path, name, self.manifest)

    @property
    def is_streaming(self) -> bool:
        """Whether its .tflite file takes a stream in chunks, not whole inputs."""
        return self.manifest.get("export_format") == "streaming"

    def streaming_runtime(self) -> Runtime | None:
        """Runs the file that takes a stream in chunks; None if there is none. Raises ModelError."""
        if self.is_streaming:
            return self.runtime
        if STREAM_FILE not in self.manifest.get("files", {}):
            return None
        with os_errors_as(ModelError, self.path):
            runtime = Runtime(read_verified(self.path, STREAM_FILE, self.manifest))
        if error := runtime.streaming_shape_error(self.task.tensor_shapes()):
            raise ModelError(
                f"{self.path}: its {STREAM_FILE} and its {MANIFEST_FILE} do not match: {error}; "
                "train it again"
            )
        return runtime


def load_bundle(
    name: Any,
    labels: Sequence[str] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Bundle:
    """A bundled model by name, a bundle folder, or a .tflite file: see dltasks.load. Raises ModelError."""
    overrides = {"labels": labels, "mean": mean, "std": std}
    path = Path(name)
    if path.name == MODEL_FILE and (path.parent / MANIFEST_FILE).is_file() and labels is None:
        return load_bundle(path.parent)
    if path.suffix == ".tflite" or path.is_file():
        return _load_file(path, overrides)
    folder = find_bundle(name)
    if folder is None:
        raise ModelError(unknown_model(str(name), path))
    manifest = read_manifest(folder)
    with os_errors_as(ModelError, folder):
        model = read_verified(folder, MODEL_FILE, manifest)
        task = load_task(manifest, lambda name: read_verified(folder, name, manifest), folder)
    return Bundle(folder.name, folder, task, manifest, _load_runtime(model, task, manifest, folder))


def unknown_model(name: str, path: Path) -> str:
    """The message for a model that is neither bundled nor at this path, with the nearest name."""
    if path.is_dir():
        return f"{name}: no bundle here (no {MANIFEST_FILE}); train one with dltasks train"
    names = bundled_names()
    similar = difflib.get_close_matches(name, names, 1, 0.5)
    hint = f"did you mean {similar[0]}?" if similar else f"there are {', '.join(names) or 'none'}"
    return f"no model {name!r}; {hint} (a bundle folder or a .tflite file works too)"


def load_task(manifest: dict[str, Any], read: Callable[[str], bytes], path: Path) -> Task:
    """The task of a bundle, from its manifest and its assets.

    Args:
        manifest: Content of bundle.json.
        read: From the name of a file of the bundle to its content.
        path: Path of the bundle, for messages.

    Raises:
        ModelError: A field has the wrong type, is out of range, or does not fit the others.
    """
    kind = registry.find_task(manifest["task"])
    try:
        values = load_assets(kind, read)
    except (ValueError, KeyError) as error:
        raise ModelError(f"{path} is damaged: an asset can't be read ({error}); copy it again") from error
    annotations = get_type_hints(kind)
    for entry in fields(kind):
        if entry.name in values or entry.name not in manifest["fields"]:
            continue
        value, subject = manifest["fields"][entry.name], f"its field {entry.name}"
        if wrong := (
            type_error(value, annotations[entry.name], subject) or range_error(value, entry.metadata, subject)
        ):
            raise ModelError(f"{path} is damaged: {wrong}; copy or train the bundle again")
        values[entry.name] = value
    task = kind(**values)
    if wrong := task.validate():
        raise ModelError(f"{path} is damaged: {wrong}; copy or train the bundle again")
    return task


def _load_runtime(model: bytes, task: Task, manifest: dict[str, Any], path: Path) -> Runtime:
    """Runs the network of a bundle. Raises ModelError if its inputs and outputs are not those of the task."""
    runtime = Runtime(model)
    is_streaming = manifest.get("export_format") == "streaming"
    shape_error = runtime.streaming_shape_error if is_streaming else runtime.shape_error
    if error := shape_error(task.tensor_shapes()):
        raise ModelError(
            f"{path}: its network and its {MANIFEST_FILE} do not match: {error}; copy or train it again"
        )
    return runtime


def _load_file(path: Path, overrides: dict[str, Any]) -> Bundle:
    content = read_tflite(path)
    files = files_in_tflite(content, path)
    if MANIFEST_FILE not in files or any(value is not None for value in overrides.values()):
        return _load_third_party(path, content, overrides)
    model, manifest = unpack_tflite(content, files, path)
    task = load_task(manifest, files.__getitem__, path)
    return Bundle(path.stem, path, task, manifest, _load_runtime(model, task, manifest, path))


def _load_third_party(path: Path, content: bytes, overrides: dict[str, Any]) -> Bundle:
    """A .tflite file that dltasks did not write, for the first task that accepts it."""
    from dltasks.litert import sandbox
    from dltasks.litert.metadata import read_metadata
    from dltasks.litert.third_party import ThirdPartyModel

    metadata: dict[str, Any] = {}
    reasons: list[str] = []
    try:
        metadata = read_metadata(content)
    except ModelError as error:
        reasons.append(str(error))
    if metadata.get("author", "").startswith(AUTHOR):
        raise DamagedError(
            f"{path} is damaged: dltasks wrote it, but its {MANIFEST_FILE} can't be read; "
            "copy or export it again"
        )
    sandbox.check_in_subprocess(content, path)
    runtime = Runtime(content)
    model = ThirdPartyModel(runtime, metadata, files_in_tflite(content, path), **overrides)
    for name in registry.task_names():
        try:
            kind = registry.find_task(name)
            if not issubclass(kind, ThirdParty):
                continue
            adapter = kind.from_third_party(model)
        except ModelError as error:
            reasons += [str(error)] if str(error) else []
            continue
        adapted = runtime.with_adapters(adapter.names, adapter.preprocess, adapter.postprocess)
        return Bundle(path.stem, path, adapter.task, {"task": name}, adapted)
    raise ModelError(
        f"{path}: carries no {MANIFEST_FILE} (third-party, or truncated), and {'; '.join(reasons)}"
    )
