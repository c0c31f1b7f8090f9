"""How good the probabilities of transactions are, and what a budget of checked cards finds."""

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from dltasks.data.columns import SHARED, Columns
from dltasks.evaluation import metrics
from dltasks.evaluation.results import Evaluation, Score, Table, proportion


@dataclass(frozen=True, eq=False)
class Outcomes(Columns):
    """What became of transactions: all that scores need of each, columns of one length.

    fraud: float32, 1 or 0, nan where nobody knows. day: int, days since the clock's zero. card: int, equal for equal
    cards; a transaction without a card is a card of its own. amount: float64, 0 where there is none. carded: whether
    days and cards mean anything.
    """

    fraud: np.ndarray
    day: np.ndarray
    card: np.ndarray
    amount: np.ndarray
    carded: bool = field(default=True, metadata=SHARED)

    def class_names(self) -> list[str]:
        return [("genuine", "fraud")[int(each == 1)] for each in self.fraud]

    def row(self, position: int) -> dict[str, float]:
        return {name: getattr(self, name)[position] for name in ("fraud", "day", "card", "amount")}


@dataclass(frozen=True)
class Checking:
    """The days of cards under a budget: each day the cards with the highest probabilities are checked.

    A card that was found out is not checked on later days (Fraud Detection Handbook, chapter 4, card precision top-k).
    """

    probabilities: np.ndarray
    outcomes: Outcomes

    @cached_property
    def cards(self) -> dict[str, np.ndarray]:
        """A row for each card on each day it paid: day, card, highest probability, whether defrauded, and money lost."""
        key = self.outcomes.day.astype(np.int64) * (int(self.outcomes.card.max()) + 1) + self.outcomes.card
        _, first, place = np.unique(key, return_index=True, return_inverse=True)
        highest = np.full(len(first), -np.inf)
        np.maximum.at(highest, place, self.probabilities)
        fraud = self.outcomes.fraud == 1
        return {
            "day": self.outcomes.day[first],
            "card": self.outcomes.card[first],
            "probability": highest,
            "fraud": np.bincount(place, fraud, len(first)) > 0,
            "lost": np.bincount(place, np.where(fraud, self.outcomes.amount, 0.0), len(first)),
        }

    @cached_property
    def _riskiest(self) -> list[tuple[int, np.ndarray]]:
        return self._ranked("probability")

    def _ranked(self, by: str) -> list[tuple[int, np.ndarray]]:
        """Each day and the rows of its cards, the highest first."""
        order = np.lexsort((-self.cards[by].astype(float), self.cards["day"]))
        days, first = np.unique(self.cards["day"][order], return_index=True)
        return list(zip(days.tolist(), np.split(order, first[1:]), strict=True))

    def days(
        self, budget: int, weights: np.ndarray | None = None, perfect: bool = False
    ) -> list[dict[str, float]]:
        """What the budget finds on each day.

        weights: how often each card (by its number) counts. perfect: as if fraud were known.
        """
        cards = self.cards
        caught = np.zeros(int(cards["card"].max()) + 1, bool)
        found = []
        for day, ranked in self._ranked("fraud") if perfect else self._riskiest:
            rows = ranked[~caught[cards["card"][ranked]]]
            times = np.ones(len(rows)) if weights is None else weights[cards["card"][rows]]
            before = np.cumsum(times) - times
            checked = np.clip(budget - before, 0, times)
            hit = cards["fraud"][rows]
            caught[cards["card"][rows[hit & (checked > 0)]]] = True
            found.append(
                {
                    "day": int(day),
                    "cards": float(times.sum()),
                    "defrauded": float(times[hit].sum()),
                    "checked": float(checked.sum()),
                    "found": float(checked[hit].sum()),
                    "saved": float((checked * cards["lost"][rows])[hit].sum()),
                    "lost": float((times * cards["lost"][rows]).sum()),
                }
            )
        return found


def evaluate(
    probabilities: np.ndarray,
    outcomes: Outcomes,
    budget: int,
    cost: float,
    threshold: float,
    told,
    probable: bool = True,
) -> Evaluation:
    """Scores with 95 % intervals, bootstrapped over cards, and a row for each day.

    probabilities: (count,). budget: cards that can be checked a day. cost: of checking one. told: names a day.
    probable: whether they are probabilities, and not scores of another kind.
    """
    there = np.flatnonzero(~np.isnan(outcomes.fraud))
    left = len(outcomes) - len(there)
    notes = (f"{left} transactions without a label left out",) if left else ()
    if not len(there):
        return Evaluation(0, {}, notes=(*notes, "no transaction has a label: nothing to score"))
    # What is sorted is sorted again in no time, which the bootstrap does often.
    there = there[np.argsort(-probabilities[there], kind="stable")]
    probabilities, outcomes = probabilities[there], outcomes.take(there)
    outcomes = replace(outcomes, card=np.unique(outcomes.card, return_inverse=True)[1])
    fraud, checking = outcomes.fraud == 1, Checking(probabilities, outcomes)
    scores = _bootstrapped(checking, budget, cost, probable)
    if probable:
        alerts = probabilities >= threshold
        found = int((alerts & fraud).sum())
        for name, of in (("precision_at_threshold", alerts), ("recall_at_threshold", fraud)):
            if of.any():
                scores[name] = proportion(found, int(of.sum()))
    tables = (by_day(checking, budget, cost, told),) if outcomes.carded else ()
    if probable:
        tables += (calibration(probabilities, fraud),)
    cards = np.bincount(checking.cards["day"] - checking.cards["day"].min())
    if outcomes.carded and budget >= np.median(cards[cards > 0]):
        notes += (
            f"the budget of {budget} checks nearly every card of a day; --budget sets a smaller one when training",
        )
    if not fraud.any():
        notes += ("no frauds here: average precision and ROC AUC say nothing",)
    return Evaluation(len(fraud), scores, tables=tables, notes=notes)


def _bootstrapped(checking: Checking, budget: int, cost: float, probable: bool) -> dict[str, Score]:
    """What can be measured, with the bootstrap's interval over cards."""
    probabilities, outcomes = checking.probabilities, checking.outcomes
    fraud, cards = outcomes.fraud == 1, int(outcomes.card.max()) + 1
    losses = metrics.log_losses(np.stack([1 - probabilities, probabilities], 1), fraud.astype(int))

    def measured(weights: np.ndarray) -> dict[str, float]:
        """Of cards that count so often."""
        each = weights[outcomes.card]
        found = {
            "average_precision": metrics.average_precision(probabilities, fraud, each),
            "roc_auc": metrics.roc_auc(probabilities, fraud, each),
        }
        if outcomes.carded:
            days = checking.days(budget, weights)
            found["card_precision"] = _precision(days, budget)
            found["recall_at_budget"] = _recall(days)
            if outcomes.amount.any():
                found["money_saved"] = _saved(days, cost)
        if probable:
            found["log_loss"] = float((losses * each).sum() / each.sum())
            found["calibration_error"] = calibration_error(probabilities, fraud, each)
        return found

    def of_drawn(positions: np.ndarray) -> np.ndarray:
        return np.array(list(measured(np.bincount(positions, minlength=cards).astype(float)).values()))

    values = measured(np.ones(cards))
    least = [-np.inf if name == "money_saved" else 0.0 for name in values]
    most = [np.inf if name in ("money_saved", "log_loss") else 1.0 for name in values]
    lows, highs = metrics.bootstrap(of_drawn, cards, np.array(most), least=np.array(least))
    return {
        name: Score(float(value), float(low), float(high), len(fraud))
        for (name, value), low, high in zip(values.items(), lows, highs, strict=True)
        if not np.isnan(value)
    }


def _precision(days: list[dict[str, float]], budget: int) -> float:
    return float(np.mean([each["found"] / budget for each in days]))


def _recall(days: list[dict[str, float]]) -> float:
    defrauded = sum(each["defrauded"] for each in days)
    return sum(each["found"] for each in days) / defrauded if defrauded else float("nan")


def _saved(days: list[dict[str, float]], cost: float) -> float:
    return sum(each["saved"] - cost * each["checked"] for each in days)


def calibration_error(probabilities: np.ndarray, fraud: np.ndarray, weights: np.ndarray) -> float:
    """Mean distance of probability and share of frauds over ten bins of equally many transactions."""
    edges = np.quantile(probabilities, np.linspace(0, 1, 11)[1:-1])
    place = np.searchsorted(edges, probabilities, side="right")
    gaps = np.bincount(place, (probabilities - fraud) * weights, 10)
    return float(np.abs(gaps).sum() / weights.sum())


def calibration(probabilities: np.ndarray, fraud: np.ndarray) -> Table:
    """How often transactions of each range of probability were frauds."""
    edges = np.array([0, 0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 1])
    place = np.clip(np.searchsorted(edges, probabilities, side="right") - 1, 0, len(edges) - 2)
    rows = []
    for i in range(len(edges) - 1):
        chosen = place == i
        if not chosen.any():
            continue
        hits = proportion(int(fraud[chosen].sum()), int(chosen.sum()))
        rows.append(
            (
                f"{edges[i]:g} to {edges[i + 1]:g}",
                str(hits.count),
                f"{probabilities[chosen].mean():.4f}",
                f"{hits.value:.4f} [{hits.low:.4f}, {hits.high:.4f}]",
            )
        )
    return Table(
        "Calibration", ("probability", "transactions", "mean", "share of frauds, 95 % interval"), tuple(rows)
    )


def by_day(checking: Checking, budget: int, cost: float, told) -> Table:
    """What the budget finds on each day, and what a perfect classifier would: the ceiling."""
    days, best = checking.days(budget), checking.days(budget, perfect=True)
    rows = [
        (
            told(each["day"]),
            f"{each['cards']:.0f}",
            f"{each['defrauded']:.0f}",
            f"{each['found']:.0f}",
            f"{each['found'] / budget:.3f}",
            f"{ideal['found'] / budget:.3f}",
            f"{each['saved'] - cost * each['checked']:.2f} of {each['lost']:.2f}",
        )
        for each, ideal in zip(days, best, strict=True)
    ]
    mean, ceiling = (_precision(each, budget) for each in (days, best))
    total = f"{_saved(days, cost):.2f} of {sum(each['lost'] for each in days):.2f}"
    sums = [f"{sum(each[name] for each in days):.0f}" for name in ("cards", "defrauded", "found")]
    rows.append(("all days", *sums, f"{mean:.3f}", f"{ceiling:.3f}", total))
    columns = ("day", "cards", "defrauded", "found", "card precision", "perfect", "money saved")
    title = f"Checking the {budget} riskiest cards a day, none again that was found out"
    return Table(title, columns, tuple(rows))
