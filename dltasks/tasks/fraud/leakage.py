"""Columns that training leaves out: constant ones, and those that reveal the label."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from dltasks.evaluation import metrics
from dltasks.tasks.fraud.config import FraudConfig
from dltasks.tasks.fraud.layout import MAX_VOCABULARY, Layout
from dltasks.tasks.fraud.windows import FRAUD

MIN_LEAK_AUC = 0.999
"""Minimum ROC AUC of a column that was derived from the label."""

MAX_LEAK_ERRORS = 0.02
"""Maximum errors of such a column, as a fraction of the frauds: labels have mistakes too."""


@dataclass(frozen=True)
class DroppedColumn:
    """A column that is left out: constant, or leaking the label where there is an `auc`."""

    column: str
    auc: float | None = None

    def reason(self) -> str:
        """For people."""
        if self.auc is None:
            return f"{self.column!r} left out: it is constant or missing throughout the training split"
        return (
            f"{self.column!r} left out: it predicts the label by itself (ROC AUC {self.auc:.4f}), as if "
            f"derived from it; --number {self.column} or --category {self.column} keeps it"
        )


def find_dropped_columns(rows: pl.DataFrame, layout: Layout, config: FraudConfig) -> Iterator[DroppedColumn]:
    """Columns of the training rows that are constant, or that predict the label by themselves."""
    protected = (*config.number, *config.category, layout.amount)
    labeled = rows.filter(pl.col(FRAUD).is_not_null())
    for name in (*layout.numbers, *layout.categories):
        if rows[name].drop_nulls().n_unique() < 2:
            yield DroppedColumn(name)
        elif name not in protected and (auc := _leak_auc(labeled[name], labeled[FRAUD])) is not None:
            yield DroppedColumn(name, auc)


def _leak_auc(column: pl.Series, fraud: pl.Series) -> float | None:
    """ROC AUC of a column that predicts the label by itself; None for another column.

    Of a category with few values, the fraud rate at each value is the score.
    """
    if not fraud.len() or fraud.n_unique() < 2:
        return None
    if not column.dtype.is_numeric():
        if column.n_unique() > MAX_VOCABULARY:
            return None
        pairs = pl.DataFrame({"value": column, "fraud": fraud})
        column = pairs.select(pl.col("fraud").mean().over("value"))["fraud"]
    median: Any = column.cast(pl.Float64).median()
    values = column.cast(pl.Float64).fill_null(median).to_numpy()
    is_fraud = fraud.to_numpy() == 1
    auc = metrics.roc_auc(values, is_fraud)
    auc = max(auc, 1 - auc)
    is_leak = auc >= MIN_LEAK_AUC or _count_errors(values, is_fraud) <= MAX_LEAK_ERRORS * is_fraud.sum()
    return auc if is_leak else None


def _count_errors(values: np.ndarray, is_fraud: np.ndarray) -> int:
    """Rows on the wrong side of the best threshold."""
    order = np.argsort(values, kind="stable")
    ends = np.append(np.diff(values[order]) > 0, True)
    frauds_below = np.cumsum(is_fraud[order])[ends]
    genuine_below = np.cumsum(~is_fraud[order])[ends]
    frauds, genuine = is_fraud.sum(), (~is_fraud).sum()
    high_is_fraud = (frauds_below + genuine - genuine_below).min()
    low_is_fraud = (genuine_below + frauds - frauds_below).min()
    return int(min(high_is_fraud, low_is_fraud, frauds, genuine))
