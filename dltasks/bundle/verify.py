"""Verification: whether a bundle or an exported file is intact and still gives the same outputs."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dltasks.bundle.storage import (
    MANIFEST_FILE,
    MODEL_FILE,
    STREAM_FILE,
    append_files,
    files_in_tflite,
    find_bundle,
    read_manifest,
    read_tflite,
    read_verified,
    unpack_tflite,
)
from dltasks.errors import ModelError
from dltasks.files import os_errors_as
from dltasks.litert import golden
from dltasks.litert.runtime import Runtime

GOLDEN_FILES = {MODEL_FILE: golden.GOLDEN_FILE, STREAM_FILE: golden.STREAM_GOLDEN_FILE}
"""Names of the files with the golden vectors of .tflite files."""


@dataclass(frozen=True)
class Check:
    """A check and its result: what was checked, whether it passed, and the details."""

    what: str
    passed: bool
    message: str


@dataclass(frozen=True)
class Verification:
    """The verification of a model.

    Attributes:
        model: Name or path of the model.
        checks: The checks, in order.
        difference: Largest difference of the outputs for its golden vectors; None if these could not be run.
        parity: Parity with the Keras network, as recorded when the file was written.
    """

    model: str
    checks: tuple[Check, ...]
    difference: float | None
    parity: dict[str, Any] | None

    @property
    def passed(self) -> bool:
        """Whether all checks passed."""
        return all(check.passed for check in self.checks)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "model": self.model,
            "passed": self.passed,
            "max_difference": self.difference,
            "checks": [vars(check) for check in self.checks],
            "parity": self.parity,
        }


def verify(name: Any) -> Verification:
    """Verify a model: its hashes, its format and its golden vectors.

    Args:
        name: Name of a bundled model, or path of a bundle folder or a .tflite file that dltasks wrote.

    Raises:
        ModelError: There is no such model.
    """
    path = Path(name)
    folder = find_bundle(name)
    if folder is None and path.name == MODEL_FILE and (path.parent / MANIFEST_FILE).is_file():
        folder = path.parent
    if folder is None and not path.is_file():
        raise ModelError(f"{name}: no bundle and no .tflite file here")
    try:
        manifest, files = _read_folder(folder) if folder else _read_file(path)
    except ModelError as error:
        return Verification(str(name), (Check("intact", False, str(error)),), None, None)
    version = manifest["versions"]["dltasks"]
    checks = [
        Check("intact", True, f"{', '.join(files)}: hashes as recorded"),
        Check("format", True, f"version {manifest['format']}, written by dltasks {version}"),
    ]
    differences = []
    for check, difference in _check_outputs(manifest, files):
        checks.append(check)
        differences.append(difference)
    return Verification(str(name), tuple(checks), max(differences, default=None), manifest.get("parity"))


def _read_folder(folder: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The manifest and the files of a bundle folder. Raises ModelError if they are not intact."""
    manifest = read_manifest(folder)
    with os_errors_as(ModelError, folder):
        return manifest, {name: read_verified(folder, name, manifest) for name in manifest.get("files", {})}


def _read_file(path: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The manifest and the parts of a .tflite file. Raises ModelError if they are not intact."""
    content = read_tflite(path)
    files = files_in_tflite(content, path)
    if MANIFEST_FILE not in files:
        raise ModelError(
            f"{path}: carries no {MANIFEST_FILE} (third-party, or truncated), so it can't be verified"
        )
    model, manifest = unpack_tflite(content, files, path)
    if append_files(model, files) != content:
        raise ModelError(f"{path} was changed: it contains more, or less, than dltasks wrote")
    return manifest, {MODEL_FILE: model} | {k: v for k, v in files.items() if k != MANIFEST_FILE}


def _check_outputs(manifest: dict[str, Any], files: dict[str, bytes]) -> Iterator[tuple[Check, float]]:
    """The golden vectors of each file that has some, run again, with the largest difference."""
    for name, golden_file in GOLDEN_FILES.items():
        if name in files and golden_file in files:
            tolerance = golden.tolerance(manifest["parity"]["quantize"])
            yield _check_golden(name, files[name], files[golden_file], tolerance)
    if golden.GOLDEN_FILE not in files:
        message = f"no {golden.GOLDEN_FILE}: written by an older dltasks; export it again"
        yield Check("outputs", False, message), 0.0


def _check_golden(name: str, model: bytes, content: bytes, tolerance: float) -> tuple[Check, float]:
    try:
        difference = golden.max_difference(Runtime(model), content)
    except ModelError as error:
        return Check(f"outputs of {name}", False, str(error)), float("inf")
    message = (
        f"largest difference {difference:.2g} from when it was written; at most {tolerance:g} is allowed"
    )
    return Check(f"outputs of {name}", difference <= tolerance, message), difference
