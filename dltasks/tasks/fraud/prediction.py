"""Predictions of fraud: one transaction, and many in columns."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dltasks.data.columns import SHARED, Columns


@dataclass(frozen=True)
class FraudPrediction:
    """Whether a transaction looks like fraud.

    row: in its file, from 1. probability: of fraud, from 0 to 1; of an unsupervised model, None. unusualness: of an
    unsupervised model, the share of usual transactions that are less unusual. reasons: what raised it most.
    """

    row: int
    probability: float | None
    alert: bool
    reasons: tuple[str, ...] = ()
    unusualness: float | None = None
    id: Any = None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        found = {"row": self.row} | ({} if self.id is None else {"id": self.id})
        if self.unusualness is None:
            found["probability"] = round(self.probability, 6)
        else:
            found["unusualness"] = round(self.unusualness, 6)
        return found | {"alert": self.alert, "reasons": list(self.reasons)}

    @property
    def share(self) -> float:
        """The probability, or the unusualness in its place."""
        return self.probability if self.unusualness is None else self.unusualness

    def display_rows(self) -> list[tuple[str, str]]:
        """Lines for people."""
        return [
            (f"row {self.row}" if self.id is None else f"row {self.row} ({self.id})", f"{self.share:.2%}")
        ]

    def note(self) -> str:
        """The reasons."""
        return (
            ("alert" if self.alert else "")
            + ("; " if self.alert and self.reasons else "")
            + "; ".join(self.reasons)
        )

    @staticmethod
    def csv_columns() -> tuple[str, ...]:
        """Names of the columns of `records`."""
        return "row", "id", "probability", "alert", "reason_1", "reason_2", "reason_3"

    def csv_rows(self) -> list[tuple]:
        """A row for CSV."""
        three = (*self.reasons, "", "", "")[:3]
        name = "" if self.id is None else self.id
        return [(self.row, name, f"{self.share:.6f}", str(self.alert).lower(), *three)]


@dataclass(frozen=True, eq=False)
class FraudPredictions(Columns):
    """Answers in columns of one length. shares: float32, of fraud or, `usual`, of usual transactions that are less
    unusual. reasons: tuples of phrases. ids: None where the table has none."""

    shares: np.ndarray
    alerts: np.ndarray
    rows: np.ndarray
    reasons: np.ndarray
    ids: np.ndarray
    unsupervised: bool = field(default=False, metadata=SHARED)

    def row(self, position: int) -> FraudPrediction:
        share, number = float(self.shares[position]), int(self.rows[position])
        name = self.ids[position]
        return FraudPrediction(
            number,
            None if self.unsupervised else share,
            bool(self.alerts[position]),
            self.reasons[position] or (),
            share if self.unsupervised else None,
            name.item() if isinstance(name, np.generic) else name,
        )
