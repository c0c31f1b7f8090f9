"""The manifest of a bundle, bundle.json: its fields, and their check when it is read."""

import json
from typing import Any, NotRequired, TypedDict

from dltasks._version import __version__
from dltasks.errors import ModelError
from dltasks.validation import type_error

FORMAT_VERSION = 1
"""Version of the bundle format; bundles of a newer one are refused."""

MAX_BYTES = 16 << 20
"""Maximum size of a bundle.json."""


class ScoreEntry(TypedDict):
    """A score with its 95 % interval and number of examples."""

    value: float
    low: float
    high: float
    count: int


class TableEntry(TypedDict):
    """A table of an evaluation."""

    title: str
    columns: list[str]
    rows: list[list[str]]


class EvaluationEntry(TypedDict):
    """Scores on the test split."""

    count: int
    scores: dict[str, ScoreEntry]
    tables: NotRequired[list[TableEntry]]


class ParityEntry(TypedDict):
    """How closely a .tflite file reproduces its network: see dltasks.export.parity."""

    quantize: str
    agreement: float
    max_difference: float
    count: int
    bytes: int
    latency: float


class SplitSizes(TypedDict):
    """Numbers of examples."""

    train: int
    val: int
    test: int


class TrainingEntry(TypedDict):
    """The training run; `seconds` is its duration."""

    examples: SplitSizes
    epochs: int
    best_epoch: int
    seconds: float
    interrupted: bool


class DataEntry(TypedDict):
    """Fingerprint of the data: see dltasks.data.batch."""

    files: int
    bytes: int
    sha256: str


class OriginEntry(TypedDict):
    """Weights that others made.

    Attributes:
        name: What the weights are, with its paper.
        license: Name of their license, and where its text is.
        source: Who published them, and the package that they come from.
        evaluation: What is known of their quality, in Markdown, where they were not trained further.
    """

    name: str
    license: str
    source: str
    evaluation: NotRequired[str]


class VersionsEntry(TypedDict):
    """Versions of the packages; further ones may follow."""

    dltasks: str


class HashEntry(TypedDict):
    """Size and hash of a file."""

    bytes: int
    sha256: str


class Manifest(TypedDict):
    """The content of a bundle.json, as far as it is used.

    Attributes:
        format: FORMAT_VERSION when it was written.
        task: Name of the task.
        fields: Fields of the task that are not assets.
        config: The training config.
        source: The training data as a path, relative to the bundle where possible.
        data_description: Origin and license of the data, in Markdown.
        limitations: Limitations of the model, in Markdown.
        parameters: Number of weights.
        evaluation: Scores on the test split; None if there was none.
        protocol: What the scores were measured on.
        parity: Parity of model.tflite, or of the exported file.
        training: The training run.
        data: Fingerprint of the training data.
        versions: Versions of the packages.
        files: sha256 of each file of a bundle folder.
        model: Hash of the network in an exported .tflite file.
        members: Hashes of the files in its zip.
        export_format: Format of an exported file.
        held_out: Indices of the test examples in the data as it was read.
        stream_parity: Parity of stream.tflite.
        origin: Where the weights come from, if they were not trained here.
        start: Where the weights come from that training started from.
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
    export_format: NotRequired[str]
    held_out: NotRequired[list[int]]
    stream_parity: NotRequired[ParityEntry]
    origin: NotRequired[OriginEntry]
    start: NotRequired[OriginEntry]


def parse_manifest(content: bytes, path: str) -> dict[str, Any]:
    """Parse and check a manifest.

    Args:
        content: Content of a bundle.json.
        path: Its path, for messages.

    Raises:
        ModelError: It is damaged, of a newer format, or lacks a field.
    """
    damaged = f"{path} is damaged; copy or train the bundle again"
    if len(content) > MAX_BYTES:
        raise ModelError(f"{path}: {len(content):,} bytes; at most {MAX_BYTES:,} are read")
    try:
        text = content.decode("utf-8")
        manifest = json.loads(text)
        if "\\ud" in text.lower():
            # JSON can contain half a surrogate pair, which can't be printed.
            json.dumps(manifest, ensure_ascii=False).encode("utf-8")
        version = manifest["format"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelError(damaged) from error
    if isinstance(version, int) and version > FORMAT_VERSION:
        shown = version if version < 1000 else "of many digits"
        raise ModelError(
            f"{path} has format {shown}; this dltasks {__version__} reads up to {FORMAT_VERSION}: "
            "pip install --upgrade dltasks"
        )
    if error_text := type_error(manifest, Manifest, "it"):
        raise ModelError(f"{damaged} ({error_text})")
    return manifest
