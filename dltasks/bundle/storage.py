"""How a bundle lies on disk: its files, their hashes, and the zip at the end of a .tflite."""

import hashlib
import zipfile
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

from dltasks.bundle.manifest import MAX_BYTES, parse_manifest
from dltasks.errors import DamagedError, ModelError
from dltasks.files import is_plain_name, os_errors_as, read_inside, read_limited, unzip

MANIFEST_FILE, CARD_FILE = "bundle.json", "README.md"
"""The files of a bundle that hold its record, and what people should know of it."""

STREAM_FILE = "stream.tflite"
"""The file of a bundle that takes a stream piece by piece, its state going in and coming out."""

ZIP_DATE = (1980, 1, 1, 0, 0, 0)
"""Date of the files in a zip, so that equal contents give equal bytes."""

MAX_UNZIPPED_BYTES = 64 << 20
"""Bytes that the files in a .tflite may unpack to."""

MAX_COMPRESSION_RATIO = 20
"""Times its size that a network of Keras may unpack to."""

AUTHOR = "made with dltasks"
"""How the author in the metadata of our files begins."""


def bundled_folders() -> list[Path]:
    """Where bundled models may stand."""
    # A checkout that is not installed has models/ beside the package: find_spec knows both places.
    spec = find_spec("dltasks.models")
    return [] if spec is None else [Path(each) for each in spec.submodule_search_locations or ()]


def bundled_names() -> list[str]:
    """The bundled models."""
    found = {each.parent.name for folder in bundled_folders() for each in folder.glob(f"*/{MANIFEST_FILE}")}
    return sorted(found)


def find_bundle(name) -> Path | None:
    """The folder of a bundled model or of a bundle on disk; None if `name` is neither."""
    for folder in (*(each / str(name) for each in bundled_folders()), Path(name)):
        if (folder / MANIFEST_FILE).is_file():
            return folder
    return None


def default_model(task: str) -> str:
    """The first bundled model of a task. Raises ModelError if there is none."""
    for name in bundled_names():
        if read_manifest(find_bundle(name))["task"] == task:
            return name
    raise ModelError(f"no bundled model for {task}; name one with --model")


def read_manifest(folder: Path) -> dict[str, Any]:
    """What bundle.json says. Raises ModelError if it is damaged or of a newer format."""
    try:
        content = read_inside(folder, MANIFEST_FILE, MAX_BYTES)
    except OSError as error:
        raise ModelError(f"{folder}/bundle.json can't be read ({error})") from error
    record = parse_manifest(content, f"{folder}/bundle.json")
    if outside := [name for name in record.get("files", {}) if not is_plain_name(name)]:
        raise ModelError(
            f"{folder}/bundle.json names {outside[0]!r:.80}, which is not the name of a file beside it"
        )
    return record


def read_verified(folder: Path, name: str, record: dict[str, Any]) -> bytes:
    """The bytes of a file in the folder whose sha256 is as recorded. Raises ModelError."""
    try:
        content = read_inside(folder, name)
    except FileNotFoundError as error:
        raise ModelError(f"{folder}/{name} is missing; copy or train the bundle again") from error
    if hashlib.sha256(content).hexdigest() != record.get("files", {}).get(name):
        raise ModelError(
            f"{folder}/{name} is damaged or was changed: its sha256 is not that of bundle.json; "
            "copy or train the bundle again"
        )
    return content


def read_tflite(path: Path) -> bytes:
    """What stands in a .tflite. Raises ModelError."""
    with os_errors_as(ModelError, path):
        return read_limited(path)


def unpack_tflite(content: bytes, inside: dict[str, bytes], path: Path) -> tuple[bytes, dict[str, Any]]:
    """The network and the record of a .tflite that dltasks wrote, whole as they were written. Raises ModelError."""
    record = parse_manifest(inside[MANIFEST_FILE], f"{path}: {MANIFEST_FILE}")
    try:
        model = content[: record["model"]["bytes"]]
        wanted = {"": record["model"], **record.get("members", {})}
        given = {name: hashlib.sha256(inside[name] if name else model).hexdigest() for name in wanted}
        changed = [name for name, each in wanted.items() if given[name] != each["sha256"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path} is damaged: its {MANIFEST_FILE} does not fit it ({error!r})") from error
    if changed:
        where = f"{changed[0]} in it" if changed[0] else "it"
        raise ModelError(
            f"{path} is damaged: the sha256 of {where} is not as recorded; copy or export it again"
        )
    return model, record


def files_in_tflite(content: bytes, path: Path) -> dict[str, bytes]:
    """Files of the zip that a .tflite may end with; they are never written anywhere. nothing where it has no zip.

    Raises ModelError if they are too large or damaged.
    """
    if not zipfile.is_zipfile(BytesIO(content)):
        return {}
    try:
        return unzip(content, MAX_UNZIPPED_BYTES)
    except zipfile.BadZipFile as error:
        raise DamagedError(
            f"{path} is damaged: the files in it can't be read ({error}); copy or export it again"
        ) from error


def append_files(model: bytes, inside: dict[str, bytes]) -> bytes:
    """A .tflite with a zip of these files at its end; equal contents give equal bytes."""
    file = BytesIO(model)
    file.seek(0, 2)
    with zipfile.ZipFile(file, "a") as archive:
        for name, content in inside.items():
            # Readers of standard metadata take no packed files.
            archive.writestr(zipfile.ZipInfo(name, ZIP_DATE), content, zipfile.ZIP_STORED)
    return file.getvalue()
