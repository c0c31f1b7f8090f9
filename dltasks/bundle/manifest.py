"""bundle.json: what a bundle records of itself, read with distrust: all of it that is used is there and of its kind."""

import json
from typing import Any, NotRequired, TypedDict

from dltasks._version import __version__
from dltasks.errors import ModelError
from dltasks.validation import type_error

FORMAT_VERSION = 1
"""Version of the layout of a bundle; a higher one is refused."""

MAX_BYTES = 16 << 20
"""Bytes of a bundle.json that are read."""


class ScoreEntry(TypedDict):
    value: float
    low: float
    high: float
    count: int


class TableEntry(TypedDict):
    title: str
    columns: list[str]
    rows: list[list[str]]


class EvaluationEntry(TypedDict):
    count: int
    scores: dict[str, ScoreEntry]
    tables: NotRequired[list[TableEntry]]


class ParityEntry(TypedDict):
    quantize: str
    agreement: float
    max_difference: float
    count: int
    bytes: int
    latency: float


class SplitSizes(TypedDict):
    train: int
    val: int
    test: int


class TrainingEntry(TypedDict):
    examples: SplitSizes
    epochs: int
    best_epoch: int
    seconds: float
    interrupted: bool


class DataEntry(TypedDict):
    files: int
    bytes: int
    sha256: str


class VersionsEntry(TypedDict):
    dltasks: str


class HashEntry(TypedDict):
    bytes: int
    sha256: str


class Manifest(TypedDict):
    """What a bundle.json holds of use. files: sha256 of each file of a folder; model, members: of the network of a .tflite, and
    of the files in its zip.
    """

    format: int
    task: str
    fields: dict[str, Any]
    config: dict[str, str | float | bool | list[str] | None]
    source: str
    data_description: str
    limitations: str
    parameters: int
    evaluation: EvaluationEntry | None
    protocol: str
    parity: ParityEntry
    training: TrainingEntry
    data: DataEntry
    versions: VersionsEntry
    files: NotRequired[dict[str, str]]
    model: NotRequired[HashEntry]
    members: NotRequired[dict[str, HashEntry]]
    form: NotRequired[str]
    held_out: NotRequired[list[int]]
    stream_parity: NotRequired[ParityEntry]


def parse_manifest(content: bytes, where: str) -> dict[str, Any]:
    """The record in a bundle.json. Raises ModelError if it is damaged, of a newer format, or not as records are."""
    damaged = f"{where} is damaged; copy or train the bundle again"
    if len(content) > MAX_BYTES:
        raise ModelError(f"{where}: {len(content):,} bytes; at most {MAX_BYTES:,} are read")
    try:
        text = content.decode("utf-8")
        record = json.loads(text)
        if "\\ud" in text.lower():
            # Half a letter, which JSON can say and no output can write.
            json.dumps(record, ensure_ascii=False).encode("utf-8")
        version = record["format"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelError(damaged) from error
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise ModelError(
            f"{where} has format {version if version < 1000 else 'of many digits'}; this dltasks {__version__} "
            f"reads up to {FORMAT_VERSION}: pip install --upgrade dltasks"
        )
    if wrong := type_error(record, Manifest, "it"):
        raise ModelError(f"{damaged} ({wrong})")
    return record
