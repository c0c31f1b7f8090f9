"""Prediction for a clip: the most probable command and the next labels."""

from dataclasses import dataclass
from typing import Any

from dltasks.tasks.classification import ClassPrediction


@dataclass(frozen=True)
class SpeechPrediction(ClassPrediction):
    """The command in a clip, with the most probable labels.

    time_seconds: middle of the command in a clip longer than the network's input; None otherwise.
    """

    time_seconds: float | None = None

    @property
    def command(self) -> str:
        """The most probable label."""
        return self.labels[0].label

    @property
    def probability(self) -> float:
        """The probability of the command, from 0 to 1."""
        return self.labels[0].probability

    def __repr__(self) -> str:
        return f"SpeechPrediction(command={self.command!r}, probability={self.probability:.4f})"

    def to_json(self) -> dict[str, Any]:
        """The command, its probability, the most probable labels, and the time in a longer clip."""
        plain = {
            "command": self.command,
            "probability": round(self.probability, 4),
            "labels": self.labels_to_json(),
        }
        return plain if self.time_seconds is None else {**plain, "time_seconds": round(self.time_seconds, 3)}

    @staticmethod
    def csv_columns() -> tuple[str, ...]:
        """Names of the columns of `csv_rows`."""
        return "rank", "label", "probability", "time_seconds"

    def csv_rows(self) -> list[tuple]:
        """A row for each label."""
        return self.rank_labels("" if self.time_seconds is None else f"{self.time_seconds:.3f}")

    def note(self) -> str:
        """The time in a longer clip, for people; empty otherwise."""
        return "" if self.time_seconds is None else f"at {self.time_seconds:.2f} s"
