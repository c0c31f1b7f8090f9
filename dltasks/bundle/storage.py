"""A bundle on disk: its files, their hashes, and the zip at the end of a .tflite file."""

import zipfile
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

from dltasks.bundle.manifest import MAX_BYTES, parse_manifest
from dltasks.errors import DamagedError, ModelError
from dltasks.files import hash_bytes, is_plain_name, os_errors_as, read_inside, read_limited, unzip
from dltasks.litert.runtime import is_tflite

MANIFEST_FILE, CARD_FILE = "bundle.json", "README.md"
"""Files of a bundle with its manifest and its model card."""

MODEL_FILE, STREAM_FILE = "model.tflite", "stream.tflite"
"""Files of a bundle that take whole inputs, and a stream in chunks, with the state as input and output."""

ZIP_DATE = (1980, 1, 1, 0, 0, 0)
"""Date of the files in a zip, so that equal contents give equal bytes."""

MAX_UNZIPPED_BYTES = 64 << 20
"""Maximum number of bytes that the files in a .tflite file may unzip to."""

MAX_COMPRESSION_RATIO = 20
"""Maximum ratio of the unzipped to the zipped size of a Keras network."""

AUTHOR = "made with dltasks"
"""Beginning of the author in the metadata of files written by dltasks."""


def bundled_folders() -> list[Path]:
    """Folders that may contain bundled models."""
    # A checkout that is not installed has models/ beside the package: find_spec knows both places.
    spec = find_spec("dltasks.models")
    return [] if spec is None else [Path(folder) for folder in spec.submodule_search_locations or ()]


def bundled_names() -> list[str]:
    """Names of the bundled models."""
    return sorted(
        {path.parent.name for folder in bundled_folders() for path in folder.glob(f"*/{MANIFEST_FILE}")}
    )


def find_bundle(name: Any) -> Path | None:
    """The folder of a bundled model or of a bundle on disk; None if `name` is neither."""
    for folder in (*(folder / str(name) for folder in bundled_folders()), Path(name)):
        if (folder / MANIFEST_FILE).is_file():
            return folder
    return None


def default_model(task: str) -> str:
    """Name of the first bundled model of a task. Raises ModelError if there is none."""
    for name in bundled_names():
        folder = find_bundle(name)
        if folder is not None and read_manifest(folder)["task"] == task:
            return name
    raise ModelError(f"no bundled model for {task}; name one with --model")


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a bundle folder. Raises ModelError if it is damaged or of a newer format."""
    path = folder / MANIFEST_FILE
    try:
        content = read_inside(folder, MANIFEST_FILE, MAX_BYTES)
    except OSError as error:
        raise ModelError(f"{path} can't be read ({error})") from error
    manifest = parse_manifest(content, str(path))
    if outside := [name for name in manifest.get("files", {}) if not is_plain_name(name)]:
        raise ModelError(f"{path} names {outside[0]!r:.80}, which is not the name of a file beside it")
    return manifest


def read_verified(folder: Path, name: str, manifest: dict[str, Any]) -> bytes:
    """The content of a file of a bundle folder. Raises ModelError if its sha256 is not as recorded."""
    try:
        content = read_inside(folder, name)
    except FileNotFoundError as error:
        raise ModelError(f"{folder}/{name} is missing; copy or train the bundle again") from error
    if hash_bytes(content) != manifest.get("files", {}).get(name):
        raise ModelError(
            f"{folder}/{name} is damaged or was changed: its sha256 is not that of {MANIFEST_FILE}; "
            "copy or train the bundle again"
        )
    return content


def read_tflite(path: Path) -> bytes:
    """The content of a .tflite file. Raises ModelError if it can't be read or is no .tflite file."""
    with os_errors_as(ModelError, path):
        content = read_limited(path)
    if not is_tflite(content):
        raise ModelError(f"{path}: not a .tflite file")
    return content


def unpack_tflite(content: bytes, files: dict[str, bytes], path: Path) -> tuple[bytes, dict[str, Any]]:
    """The network and the manifest of a .tflite file that dltasks wrote.

    Args:
        content: Content of the file.
        files: The files in its zip.
        path: Path of the file, for messages.

    Raises:
        ModelError: The manifest is damaged, or a sha256 is not as recorded in it.
    """
    manifest = parse_manifest(files[MANIFEST_FILE], f"{path}: {MANIFEST_FILE}")
    try:
        model = content[: manifest["model"]["bytes"]]
        entries = {"": manifest["model"], **manifest.get("members", {})}
        changed = [
            name
            for name, entry in entries.items()
            if hash_bytes(files[name] if name else model) != entry["sha256"]
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path} is damaged: its {MANIFEST_FILE} does not fit it ({error!r})") from error
    if changed:
        subject = f"{changed[0]} in it" if changed[0] else "it"
        raise ModelError(
            f"{path} is damaged: the sha256 of {subject} is not as recorded; copy or export it again"
        )
    return model, manifest


def files_in_tflite(content: bytes, path: Path) -> dict[str, bytes]:
    """The files in the zip at the end of a .tflite file; empty if it has none. Nothing is written to disk.

    Raises DamagedError if the zip is damaged or too large.
    """
    if not zipfile.is_zipfile(BytesIO(content)):
        return {}
    try:
        return unzip(content, MAX_UNZIPPED_BYTES)
    except zipfile.BadZipFile as error:
        raise DamagedError(
            f"{path} is damaged: the files in it can't be read ({error}); copy or export it again"
        ) from error


def append_files(model: bytes, files: dict[str, bytes]) -> bytes:
    """A .tflite file with a zip of these files at its end; equal contents give equal bytes."""
    buffer = BytesIO(model)
    buffer.seek(0, 2)
    with zipfile.ZipFile(buffer, "a") as archive:
        for name, content in files.items():
            # Readers of the standard metadata can't read compressed files.
            archive.writestr(zipfile.ZipInfo(name, ZIP_DATE), content, zipfile.ZIP_STORED)
    return buffer.getvalue()
