"""Transactions as the task's raw inputs: rows of a table with features and labels."""

from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import polars as pl

from dltasks.data.columns import SHARED, Columns
from dltasks.data.tables import FILE_COLUMN, ROW_COLUMN
from dltasks.tasks.fraud.features import FeaturePipeline
from dltasks.tasks.fraud.labels import Labels
from dltasks.tasks.fraud.windows import AMOUNT, FRAUD, TIMESTAMP


@dataclass(frozen=True, eq=False)
class TransactionTable:
    """All transactions of a table, one per row.

    Attributes:
        features: float32 (count, features).
        category_ids: int32 (count, categories).
        history: int32 (count, history length), rows of the card's last transactions up to this one, the
            newest last; -1 where there is none.
        files: file names.
        rows: row numbers in the file, from 1.
        ids: identifiers of the table, or None.
        labels: of all rows.
        timestamps: int64, see times.SECOND.
        task_fields: fields of the task that the training table determines.
        splits: "train", "val", "test" or "" of each row of a table to train on.
    """

    features: np.ndarray
    category_ids: np.ndarray
    history: np.ndarray
    files: np.ndarray
    rows: np.ndarray
    ids: np.ndarray | None
    labels: Labels
    timestamps: np.ndarray
    task_fields: dict[str, Any]
    splits: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Transactions(Columns):
    """Some rows of a TransactionTable. A row is Transactions of one."""

    indices: np.ndarray
    table: TransactionTable = field(metadata=SHARED)

    def row(self, position: int) -> "Transactions":
        return cast(Transactions, self.take([position]))

    @property
    def labels(self) -> Labels:
        """The labels of these rows."""
        return cast(Labels, self.table.labels.take(self.indices))

    @property
    def files(self) -> Any:
        """The file names of these rows, an array."""
        return self.table.files[self.indices]


def build_table(
    frame: pl.DataFrame, pipeline: FeaturePipeline, history_length: int, task_fields: dict[str, Any]
) -> TransactionTable:
    """The features and labels of a typed frame."""
    layout = pipeline.layout
    cards = _card_numbers(frame, layout.card)
    timestamps = frame[TIMESTAMP].to_numpy()
    labels = Labels(
        fraud=frame[FRAUD].cast(pl.Float32).fill_null(float("nan")).to_numpy(),
        day=pipeline.time_parser.day_numbers(timestamps),
        card=cards,
        amount=frame[AMOUNT].to_numpy(),
        has_card_days=bool(layout.time and layout.card),
    )
    return TransactionTable(
        features=pipeline.compute_features(frame),
        category_ids=pipeline.compute_category_ids(frame),
        history=_history(timestamps, cards, history_length),
        files=frame[FILE_COLUMN].cast(pl.String).to_numpy(),
        rows=frame[ROW_COLUMN].to_numpy(),
        ids=frame[layout.id].to_numpy() if layout.id in frame.columns else None,
        labels=labels,
        timestamps=timestamps,
        task_fields=task_fields,
    )


def _card_numbers(frame: pl.DataFrame, card: str | None) -> np.ndarray:
    """A number for each card, from 0; a transaction without a card has a number of its own."""
    own = pl.int_range(pl.len(), dtype=pl.Int64)
    if card is None:
        return frame.select(own.alias("card"))["card"].to_numpy()
    ranks = frame.select(pl.col(card).rank("dense").cast(pl.Int64).alias("card"))["card"]
    highest: Any = ranks.max()
    unused = frame.select((own + (highest or 0) + 1).alias("own"))["own"]
    return (ranks.fill_null(unused) - 1).to_numpy()


def _history(timestamps: np.ndarray, cards: np.ndarray, length: int) -> np.ndarray:
    """int32 (count, length): see TransactionTable."""
    count = len(timestamps)
    history = np.full((count, length), -1, np.int32)
    if not length:
        return history
    order = np.lexsort((np.arange(count), timestamps, cards))
    first = np.searchsorted(cards[order], cards[order], "left")
    for steps_back in range(length):
        position = np.arange(count) - steps_back
        exists = position >= first
        history[order[exists], length - 1 - steps_back] = order[position[exists]]
    return history
