"""Predictions of the summary task."""

from dataclasses import dataclass, field
from typing import Any

from dltasks.tasks.summary.documents import Document


@dataclass(frozen=True)
class Sentence:
    """A sentence of a text.

    Attributes:
        text: the sentence, verbatim.
        start: index of its first character in the text.
        end: index after its last character.
        score: 0 to 1.
    """

    text: str
    start: int
    end: int
    score: float

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"text": self.text, "start": self.start, "end": self.end, "score": round(self.score, 4)}


@dataclass(frozen=True)
class SummaryPrediction:
    """A summary of a text.

    Attributes:
        summary: the summary on one line.
        sentences: the sentences that it consists of; none for a headline.
        notes: what the user should know about it.
        document: the text.
    """

    summary: str
    sentences: tuple[Sentence, ...] = ()
    notes: tuple[str, ...] = ()
    document: Document | None = field(default=None, repr=False)

    def to_json(self) -> dict[str, Any]:
        """Plain values; for an HTML page also its main text, which the offsets refer to."""
        values: dict[str, Any] = {
            "summary": self.summary,
            "sentences": [sentence.to_json() for sentence in self.sentences],
        }
        if self.document is not None and self.document.is_main_text:
            values["text"] = self.document.text
        return values | ({"notes": list(self.notes)} if self.notes else {})

    def display_rows(self) -> list[tuple[str, str]]:
        """Lines for people."""
        return [(self.summary, "")]

    def note(self) -> str:
        """The notes on one line."""
        return "; ".join(self.notes)

    @staticmethod
    def csv_columns() -> tuple[str, ...]:
        """Names of the columns of `csv_rows`."""
        return "summary", "sentence", "start", "end", "score"

    def csv_rows(self) -> list[tuple[Any, ...]]:
        """One row for each sentence."""
        if not self.sentences:
            return [(self.summary, "", "", "", "")]
        return [(self.summary, s.text, s.start, s.end, f"{s.score:.4f}") for s in self.sentences]
