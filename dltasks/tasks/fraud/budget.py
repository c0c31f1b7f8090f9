"""A budget of checks: which cards it checks on each day, and the alerts that it allows in a period."""

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dltasks.errors import ConfigError
from dltasks.tasks.fraud.labels import Labels
from dltasks.tasks.fraud.times import DAY, HOUR
from dltasks.tasks.fraud.transactions import Transactions

PERIODS = {"hour": HOUR, "day": DAY, "week": 7 * DAY}
"""Microseconds of each period of a budget."""


@dataclass(frozen=True)
class DayResult:
    """What a budget detects on one day.

    Attributes:
        day: number of the day.
        cards: that paid and were not detected before.
        defrauded: of these cards.
        checked: cards checked.
        detected: defrauded cards among the checked ones.
        saved: amount of the frauds on the detected cards.
        lost: amount of all frauds.
    """

    day: int
    cards: float
    defrauded: float
    checked: float
    detected: float
    saved: float
    lost: float


@dataclass(frozen=True)
class BudgetSimulation:
    """The cards with the highest probabilities are checked each day.

    A card that was detected is not checked on later days (Fraud Detection Handbook, chapter 4, card precision
    top-k). probabilities: (count,).
    """

    probabilities: np.ndarray
    labels: Labels

    @cached_property
    def cards(self) -> dict[str, np.ndarray]:
        """A row for each card on each day it paid: day, card, highest probability, fraud, and amount lost."""
        key = self.labels.day.astype(np.int64) * (int(self.labels.card.max()) + 1) + self.labels.card
        _, first, index = np.unique(key, return_index=True, return_inverse=True)
        highest = np.full(len(first), -np.inf)
        np.maximum.at(highest, index, self.probabilities)
        is_fraud = self.labels.fraud == 1
        return {
            "day": self.labels.day[first],
            "card": self.labels.card[first],
            "probability": highest,
            "fraud": np.bincount(index, is_fraud, len(first)) > 0,
            "lost": np.bincount(index, np.where(is_fraud, self.labels.amount, 0.0), len(first)),
        }

    @cached_property
    def _by_probability(self) -> list[tuple[int, np.ndarray]]:
        return self._rank_days("probability")

    def _rank_days(self, column: str) -> list[tuple[int, np.ndarray]]:
        """Each day and the rows of its cards, the highest first."""
        order = np.lexsort((-self.cards[column].astype(float), self.cards["day"]))
        days, first = np.unique(self.cards["day"][order], return_index=True)
        return list(zip(days.tolist(), np.split(order, first[1:]), strict=True))

    def simulate(
        self, budget: int, weights: np.ndarray | None = None, perfect: bool = False
    ) -> list[DayResult]:
        """The result of each day.

        weights: how often each card (by its number) counts. perfect: whether frauds are known in advance.
        """
        cards = self.cards
        is_detected = np.zeros(int(cards["card"].max()) + 1, bool)
        results = []
        for day, ranked in self._rank_days("fraud") if perfect else self._by_probability:
            rows = ranked[~is_detected[cards["card"][ranked]]]
            counts = np.ones(len(rows)) if weights is None else weights[cards["card"][rows]]
            counts_before = np.cumsum(counts) - counts
            checked = np.clip(budget - counts_before, 0, counts)
            is_fraud = cards["fraud"][rows]
            is_detected[cards["card"][rows[is_fraud & (checked > 0)]]] = True
            results.append(
                DayResult(
                    day=int(day),
                    cards=float(counts.sum()),
                    defrauded=float(counts[is_fraud].sum()),
                    checked=float(checked.sum()),
                    detected=float(checked[is_fraud].sum()),
                    saved=float((checked * cards["lost"][rows])[is_fraud].sum()),
                    lost=float((counts * cards["lost"][rows]).sum()),
                )
            )
        return results


def card_precision(days: list[DayResult], budget: int) -> float:
    """Mean over the days of the detected cards per card of the budget."""
    return float(np.mean([day.detected / budget for day in days]))


def recall_at_budget(days: list[DayResult]) -> float:
    """Detected cards per defrauded card; nan without frauds."""
    defrauded = sum(day.defrauded for day in days)
    return sum(day.detected for day in days) / defrauded if defrauded else float("nan")


def money_saved(days: list[DayResult], alert_cost: float) -> float:
    """Amount of the detected frauds less the cost of all checks."""
    return sum(day.saved - alert_cost * day.checked for day in days)


def parse_budget(text: str) -> tuple[int, str]:
    """Cards and period of "100/day". Raises ConfigError."""
    match = re.fullmatch(r"\s*(\d+)\s*(?:/|per|an? )?\s*(?:(hour|day|week)s?|([hdw]))?\s*", text.lower())
    if not match or not int(match[1]):
        raise ConfigError(
            f"--budget {text}: expected a number of cards per hour, day or week, such as 100/day"
        )
    short = {"h": "hour", "d": "day", "w": "week"}
    return int(match[1]), match[2] or short.get(match[3], "day")


def select_alerts(transactions: Transactions, risks: np.ndarray, cards: int, period: str) -> np.ndarray:
    """bool (count,): the riskiest transaction of each of the `cards` riskiest cards of each period.

    risks: (count,) probabilities. A table without a time column is one period.
    """
    labels = transactions.labels
    timestamps = transactions.table.timestamps[transactions.indices]
    periods = labels.day if period == "day" else timestamps // PERIODS[period]
    order = np.lexsort((np.arange(len(risks)), -risks, periods))
    # The riskiest transaction of a card in a period comes first, and stands for the card.
    pairs = np.stack([periods[order], labels.card[order]])
    _, first = np.unique(pairs, axis=1, return_index=True)
    riskiest = order[np.sort(first)]
    rank = np.arange(len(riskiest)) - np.searchsorted(periods[riskiest], periods[riskiest], "left")
    is_alert = np.zeros(len(risks), bool)
    is_alert[riskiest[rank < cards]] = True
    return is_alert
