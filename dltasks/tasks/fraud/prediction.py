"""Predictions of fraud: of one transaction, and of many in columns."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dltasks.data.columns import SHARED, Columns


@dataclass(frozen=True)
class FraudPrediction:
    """Whether a transaction looks like fraud.

    Attributes:
        row: number in its file, from 1.
        probability: of fraud, 0 to 1; None of an unsupervised model.
        alert: whether the risk reaches the threshold.
        reasons: what raised the risk most.
        anomaly_score: of an unsupervised model, the fraction of usual transactions that are less unusual.
        id: of the transaction, where the table has ids.
    """

    row: int
    probability: float | None
    alert: bool
    reasons: tuple[str, ...] = ()
    anomaly_score: float | None = None
    id: Any = None

    @property
    def risk(self) -> float:
        """The probability, or the anomaly score of an unsupervised model."""
        risk = self.probability if self.anomaly_score is None else self.anomaly_score
        assert risk is not None
        return risk

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        name = "probability" if self.anomaly_score is None else "anomaly_score"
        return (
            {"row": self.row}
            | ({} if self.id is None else {"id": self.id})
            | {name: round(self.risk, 6), "alert": self.alert, "reasons": list(self.reasons)}
        )

    def display_rows(self) -> list[tuple[str, str]]:
        """Lines for people."""
        name = f"row {self.row}" if self.id is None else f"row {self.row} ({self.id})"
        return [(name, f"{self.risk:.2%}")]

    def note(self) -> str:
        """The alert and the reasons."""
        return "; ".join([*(["alert"] if self.alert else []), *self.reasons])

    @staticmethod
    def csv_columns() -> tuple[str, ...]:
        """Column names of `csv_rows`."""
        return "row", "id", "probability", "alert", "reason_1", "reason_2", "reason_3"

    def csv_rows(self) -> list[tuple[Any, ...]]:
        """One row of values for CSV."""
        reasons = (*self.reasons, "", "", "")[:3]
        id = "" if self.id is None else self.id
        return [(self.row, id, f"{self.risk:.6f}", str(self.alert).lower(), *reasons)]


@dataclass(frozen=True, eq=False)
class FraudPredictions(Columns):
    """Predictions in columns of one length.

    Attributes:
        risks: float, probabilities of fraud, or anomaly scores of an unsupervised model.
        alerts: bool.
        rows: row numbers in the file.
        reasons: tuples of phrases, or None.
        ids: of the transactions, or None.
        unsupervised: whether the risks are anomaly scores.
    """

    risks: np.ndarray
    alerts: np.ndarray
    rows: np.ndarray
    reasons: np.ndarray
    ids: np.ndarray
    unsupervised: bool = field(default=False, metadata=SHARED)

    def row(self, position: int) -> FraudPrediction:
        risk, id = float(self.risks[position]), self.ids[position]
        return FraudPrediction(
            row=int(self.rows[position]),
            probability=None if self.unsupervised else risk,
            alert=bool(self.alerts[position]),
            reasons=self.reasons[position] or (),
            anomaly_score=risk if self.unsupervised else None,
            id=id.item() if isinstance(id, np.generic) else id,
        )
