"""The prediction for one photo."""

from dataclasses import dataclass
from typing import Any

from dltasks.tasks.classification import ClassPrediction


@dataclass(frozen=True)
class ImagePrediction(ClassPrediction):
    """The most probable labels of a photo.

    uncertain: whether the highest probability is below the confidence threshold of the model.
    """

    uncertain: bool

    def __repr__(self) -> str:
        return f"ImagePrediction(labels={self.labels}, uncertain={self.uncertain})"

    def to_json(self) -> dict[str, Any]:
        """The labels as plain values, and whether the prediction is uncertain."""
        return {"labels": self.labels_to_json(), "uncertain": self.uncertain}

    @staticmethod
    def csv_columns() -> tuple[str, ...]:
        """Names of the columns of `csv_rows`."""
        return "rank", "label", "probability", "uncertain"

    def csv_rows(self) -> list[tuple]:
        """A CSV row for each label."""
        return self.rank_labels(str(self.uncertain).lower())

    def note(self) -> str:
        """A warning for the reader of an uncertain prediction, otherwise empty."""
        return "uncertain: the photo may show none of this model's classes" if self.uncertain else ""
