"""Whether a bundle or an exported file is whole, and still answers on this machine as it did when it was written."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dltasks.bundle.storage import (
    MANIFEST_FILE,
    STREAM_FILE,
    append_files,
    files_in_tflite,
    find_bundle,
    read_manifest,
    read_verified,
    unpack_tflite,
)
from dltasks.errors import ModelError
from dltasks.files import os_errors_as
from dltasks.litert import golden
from dltasks.litert.runtime import Runtime


@dataclass(frozen=True)
class Check:
    """What was looked at, whether it is as it should be, and what was found."""

    what: str
    passed: bool
    message: str


@dataclass(frozen=True)
class Verification:
    """What was checked of a model. difference: the largest of its golden vectors, where these could be run. parity: as it
    was recorded when the file was written."""

    model: str
    checks: tuple[Check, ...]
    difference: float | None
    parity: dict[str, Any] | None

    @property
    def passed(self) -> bool:
        """Whether all is as it should be."""
        return all(each.passed for each in self.checks)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "model": self.model,
            "passed": self.passed,
            "max_difference": self.difference,
            "checks": [vars(each) for each in self.checks],
            "parity": self.parity,
        }


def verify(name) -> Verification:
    """Hashes, format and golden vectors of a bundled model, a bundle folder or a .tflite that dltasks wrote.

    Raises ModelError where there is nothing that could be verified.
    """
    path = Path(name)
    folder = find_bundle(name)
    if folder is None and path.name == "model.tflite" and (path.parent / MANIFEST_FILE).is_file():
        folder = path.parent
    if folder is None and not path.is_file():
        raise ModelError(f"{name}: no bundle and no .tflite file here")
    whole = _of_folder if folder else _of_file
    checks, differences = [], []
    try:
        record, files = whole(folder or path)
        checks.append(Check("whole", True, f"{', '.join(files)}: hashes as recorded"))
    except ModelError as error:
        return Verification(str(name), (Check("whole", False, str(error)),), None, None)
    checks.append(
        Check("format", True, f"{record['format']}, written by dltasks {record['versions']['dltasks']}")
    )
    for check, difference in _answers(record, files):
        checks.append(check)
        differences.append(difference)
    return Verification(str(name), tuple(checks), max(differences, default=None), record.get("parity"))


def _of_folder(folder: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The record of a bundle, and its files, whole. Raises ModelError."""
    record = read_manifest(folder)
    with os_errors_as(ModelError, folder):
        return record, {each: read_verified(folder, each, record) for each in record.get("files", {})}


def _of_file(path: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The record of a .tflite, and what it is made of, whole. Raises ModelError."""
    with os_errors_as(ModelError, path):
        content = path.read_bytes()
    if content[4:8] != b"TFL3":
        raise ModelError(f"{path}: not a .tflite file")
    inside = files_in_tflite(content, path)
    if MANIFEST_FILE not in inside:
        raise ModelError(
            f"{path}: carries no {MANIFEST_FILE} (made elsewhere, or cut short), so there is nothing to verify it by"
        )
    model, record = unpack_tflite(content, inside, path)
    if append_files(model, inside) != content:
        raise ModelError(f"{path} was changed: there is more in it, or less, than dltasks wrote")
    return record, {"model.tflite": model} | {k: v for k, v in inside.items() if k != MANIFEST_FILE}


def _answers(record: dict[str, Any], files: dict[str, bytes]) -> Iterator[tuple[Check, float]]:
    """Golden vectors run again, of each file that has some."""
    for name, kept in (("model.tflite", golden.GOLDEN_FILE), (STREAM_FILE, golden.STREAM_GOLDEN_FILE)):
        if name not in files or kept not in files:
            continue
        most = golden.tolerance(record["parity"]["quantize"])
        try:
            found = golden.max_difference(Runtime(files[name]), files[kept])
        except ModelError as error:
            yield Check(f"answers of {name}", False, str(error)), float("inf")
            continue
        yield (
            Check(
                f"answers of {name}",
                found <= most,
                f"largest difference {found:.2g} from when it was written, of at most {most:g}",
            ),
            found,
        )
    if golden.GOLDEN_FILE not in files:
        yield (
            Check("answers", False, f"no {golden.GOLDEN_FILE}: written by an older dltasks; export it again"),
            0.0,
        )
