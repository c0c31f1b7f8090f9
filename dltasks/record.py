"""bundle.json: what a bundle records of itself, read with distrust: all of it that is used is there and of its kind."""

import json
from typing import Any, NotRequired, TypedDict

import dltasks
from dltasks.errors import ModelError
from dltasks.hints import misfit

FORMAT = 1
"""Version of the layout of a bundle; a higher one is refused."""

MOST = 16 << 20
"""Bytes of a bundle.json that are read."""


class Score(TypedDict):
    value: float
    low: float
    high: float
    count: int


class Table(TypedDict):
    title: str
    columns: list[str]
    rows: list[list[str]]


class Test(TypedDict):
    count: int
    scores: dict[str, Score]
    tables: NotRequired[list[Table]]


class Parity(TypedDict):
    quantize: str
    agreement: float
    difference: float
    count: int
    bytes: int
    latency: float


class Counts(TypedDict):
    train: int
    val: int
    test: int


class Training(TypedDict):
    examples: Counts
    epochs: int
    best_epoch: int
    seconds: float
    interrupted: bool


class Data(TypedDict):
    files: int
    bytes: int
    sha256: str


class Versions(TypedDict):
    dltasks: str


class Hashed(TypedDict):
    bytes: int
    sha256: str


class Record(TypedDict):
    """What a bundle.json holds of use. files: sha256 of each file of a folder; model, members: of the network of a .tflite, and
    of the files in its zip.
    """

    format: int
    task: str
    fields: dict[str, Any]
    plan: dict[str, str | float | bool | list[str] | None]
    source: str
    about: str
    caveats: str
    parameters: int
    test: Test | None
    protocol: str
    parity: Parity
    training: Training
    data: Data
    versions: Versions
    files: NotRequired[dict[str, str]]
    model: NotRequired[Hashed]
    members: NotRequired[dict[str, Hashed]]
    form: NotRequired[str]
    held_out: NotRequired[list[int]]
    stream_parity: NotRequired[Parity]


def understood(content: bytes, where: str) -> dict[str, Any]:
    """The record in a bundle.json. Raises ModelError if it is damaged, of a newer format, or not as records are."""
    damaged = f"{where} is damaged; copy or train the bundle again"
    if len(content) > MOST:
        raise ModelError(f"{where}: {len(content):,} bytes; at most {MOST:,} are read")
    try:
        text = content.decode("utf-8")
        record = json.loads(text)
        if "\\ud" in text.lower():
            # Half a letter, which JSON can say and no output can write.
            json.dumps(record, ensure_ascii=False).encode("utf-8")
        version = record["format"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelError(damaged) from error
    if isinstance(version, int) and version > FORMAT:
        raise ModelError(
            f"{where} has format {version if version < 1000 else 'of many digits'}; this dltasks {dltasks.__version__} "
            f"reads up to {FORMAT}: pip install --upgrade dltasks"
        )
    if wrong := misfit(record, Record, "it"):
        raise ModelError(f"{damaged} ({wrong})")
    return record
