"""Fields of a task: values within limits, and assets, which a bundle stores in files of their own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from dltasks.task import Task

MAX_LINES = 1_000_000
"""Maximum number of lines of a text asset."""

ASSET = "asset"
"""Key of an AssetFormat in the metadata of a field."""


@dataclass(frozen=True)
class AssetFormat:
    """How the value of a field is stored in a file.

    Attributes:
        suffix: Suffix of the file's name; the stem is the field's name.
        encode: From the value to the content of the file.
        decode: From the content back to the value. Raises ValueError.
    """

    suffix: str
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]


def bounded(
    default: Any,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """A field whose value in a bundle.json must be within limits: see dltasks.validation.range_error."""
    return field(default=default, metadata={"minimum": minimum, "maximum": maximum, "choices": choices})


def text_asset(*, default: tuple[str, ...]) -> Any:
    """A field of texts that is stored as a text file, one text per line."""
    return field(default=default, metadata={ASSET: AssetFormat(".txt", _encode_lines, _decode_lines)})


def binary_asset(*, default: bytes) -> Any:
    """A field of bytes that is stored as a file."""
    return field(default=default, metadata={ASSET: AssetFormat(".bin", bytes, bytes)}, repr=False)


def _encode_lines(lines: Sequence[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode("utf-8")


def _decode_lines(content: bytes) -> tuple[str, ...]:
    if content.count(b"\n") > MAX_LINES:
        raise ValueError(f"more than {MAX_LINES:,} lines")
    return tuple(content.decode("utf-8").splitlines())


def asset_names(task: Any) -> dict[str, str]:
    """File names of the assets of a task or of a class of tasks, by field."""
    return {name: name + asset.suffix for name, asset in _formats(task).items()}


def save_assets(task: Task) -> dict[str, bytes]:
    """Contents of the assets of a task, by file name."""
    return {name + asset.suffix: asset.encode(getattr(task, name)) for name, asset in _formats(task).items()}


def load_assets(kind: type[Task], read: Callable[[str], bytes]) -> dict[str, Any]:
    """Values of the fields that `save_assets` stored.

    Args:
        kind: A class of tasks.
        read: From the name of a file to its content.
    """
    return {name: asset.decode(read(name + asset.suffix)) for name, asset in _formats(kind).items()}


def _formats(task: Any) -> dict[str, AssetFormat]:
    return {entry.name: entry.metadata[ASSET] for entry in fields(task) if ASSET in entry.metadata}
