"""The prediction for one photo."""

from dataclasses import dataclass
from typing import Any

from dltasks.errors import printable
from dltasks.tasks.classification import ClassPrediction, Label


@dataclass(frozen=True)
class ImagePrediction(ClassPrediction):
    """The most probable labels of a photo.

    Attributes:
        uncertain: Whether the probability of the answer is below the confidence threshold of the model.
        group: What the most probable labels have in common, where that is the better answer: "cat" for a
            photo between several kinds of cats. Its probability is the sum of theirs.
    """

    uncertain: bool
    group: Label | None = None

    def __repr__(self) -> str:
        group = f"group={self.group}, " if self.group else ""
        return f"ImagePrediction({group}labels={self.labels}, uncertain={self.uncertain})"

    def to_json(self) -> dict[str, Any]:
        """The labels as plain values, their group, and whether the prediction is uncertain."""
        group = {"group": self.group.to_json()} if self.group else {}
        return group | {"labels": self.labels_to_json(), "uncertain": self.uncertain}

    @property
    def answer(self) -> Label:
        """The group, or the most probable label where there is none."""
        return self.group or self.labels[0]

    @property
    def heading(self) -> str:
        """The group and its probability, which people read above the labels."""
        return f"{printable(self.group.label)} {self.group.probability:.1%}" if self.group else ""

    @staticmethod
    def csv_columns() -> tuple[str, ...]:
        """Names of the columns of `csv_rows`."""
        return "rank", "label", "probability", "uncertain", "group", "group_probability"

    def csv_rows(self) -> list[tuple]:
        """A CSV row for each label."""
        group = (self.group.label, f"{self.group.probability:.4f}") if self.group else ("", "")
        return [(*row, *group) for row in self.rank_labels(str(self.uncertain).lower())]

    def note(self) -> str:
        """A warning for the reader of an uncertain prediction, otherwise empty."""
        return "uncertain: the photo may show none of this model's classes" if self.uncertain else ""
