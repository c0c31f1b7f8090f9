"""A summary, and the sentences it is made of."""

from dataclasses import dataclass, field
from typing import Any

from dltasks.tasks.summary.documents import Document


@dataclass(frozen=True)
class Sentence:
    """A sentence of a text: where it stands there, in characters, and its score, from 0 to 1."""

    text: str
    start: int
    end: int
    score: float

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"text": self.text, "start": self.start, "end": self.end, "score": round(self.score, 4)}


@dataclass(frozen=True)
class SummaryPrediction:
    """A summary. sentences: those of the text that it is made of; none for a headline. notes: what to know of it."""

    summary: str
    sentences: tuple[Sentence, ...] = ()
    notes: tuple[str, ...] = ()
    document: Document | None = field(default=None, repr=False)

    def to_json(self) -> dict[str, Any]:
        """Plain values; of a page also its main text, as offsets count in that."""
        found = {"summary": self.summary, "sentences": [each.to_json() for each in self.sentences]}
        if self.document is not None and self.document.extracted:
            found["text"] = self.document.text
        return found | ({"notes": list(self.notes)} if self.notes else {})

    def display_rows(self) -> list[tuple[str, str]]:
        """Lines for people."""
        return [(self.summary, "")]

    def note(self) -> str:
        """What people should know of this answer, or nothing."""
        return "; ".join(self.notes)

    @staticmethod
    def csv_columns() -> tuple[str, ...]:
        """Names of the columns of `records`."""
        return "summary", "sentence", "start", "end", "score"

    def csv_rows(self) -> list[tuple]:
        """A row for each sentence, for CSV."""
        if not self.sentences:
            return [(self.summary, "", "", "", "")]
        return [(self.summary, e.text, e.start, e.end, f"{e.score:.4f}") for e in self.sentences]
