"""Training examples: the label of a text, and a text with its headline."""

from dataclasses import dataclass
from typing import Any

from dltasks.errors import DataError
from dltasks.tasks.summary.documents import Document


@dataclass(frozen=True)
class Reference:
    """The label of a text.

    summaries: its reference summaries. oracle_scores: of each of its sentences, 0 to 1, where they were
    computed.
    """

    summaries: tuple[str, ...]
    oracle_scores: tuple[float, ...] = ()


@dataclass(frozen=True)
class HeadlineExample:
    """A text with the headline that the network is trained to write."""

    document: Document | DataError
    headline: str


def document_of(example: Any) -> Any:
    """The document, path or bytes of an input, with or without its headline."""
    return example.document if isinstance(example, HeadlineExample) else example
