"""Labels of transactions, with the day, the card and the amount that the scores need."""

from dataclasses import dataclass, field

import numpy as np

from dltasks.data.columns import SHARED, Columns


@dataclass(frozen=True, eq=False)
class Labels(Columns):
    """Labels of transactions as columns of one length.

    Attributes:
        fraud: float32, 1 or 0, nan where it is not known.
        day: int, days since 1970 or the time column's zero.
        card: int, equal for equal cards; a transaction without a card has a number of its own.
        amount: float64, 0 where there is none.
        has_card_days: whether the table has cards and a time, so that `day` and `card` mean something.
    """

    fraud: np.ndarray
    day: np.ndarray
    card: np.ndarray
    amount: np.ndarray
    has_card_days: bool = field(default=True, metadata=SHARED)

    def class_names(self) -> list[str]:
        return [("genuine", "fraud")[int(value == 1)] for value in self.fraud]

    def row(self, position: int) -> dict[str, float]:
        return {name: getattr(self, name)[position] for name in ("fraud", "day", "card", "amount")}
