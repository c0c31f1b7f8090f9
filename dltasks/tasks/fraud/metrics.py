"""Scores of the probabilities of transactions, and of what a budget of checked cards detects."""

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import numpy as np

from dltasks.evaluation import metrics
from dltasks.evaluation.results import Evaluation, Score, Table, proportion
from dltasks.tasks.fraud.budget import (
    BudgetSimulation,
    DayResult,
    card_precision,
    money_saved,
    recall_at_budget,
)
from dltasks.tasks.fraud.labels import Labels

CALIBRATION_EDGES = np.array([0, 0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 1])
"""Bounds of the ranges of the calibration table."""


def evaluate(
    probabilities: np.ndarray,
    labels: Labels,
    budget: int,
    alert_cost: float,
    threshold: float,
    format_day: Callable[[int], str],
    is_probability: bool = True,
) -> Evaluation:
    """Scores with 95 % intervals, bootstrapped over cards, and a row for each day.

    probabilities: (count,). budget: cards that can be checked a day. alert_cost: of one check.
    is_probability: whether these are probabilities and not scores of another kind.
    """
    known = np.flatnonzero(~np.isnan(labels.fraud))
    unlabeled = len(labels) - len(known)
    notes: tuple[str, ...] = (f"{unlabeled} transactions without a label left out",) if unlabeled else ()
    if not len(known):
        return Evaluation(0, {}, notes=(*notes, "no transaction has a label: nothing to score"))
    # Sorting what is sorted already is fast, and the bootstrap sorts often.
    known = known[np.argsort(-probabilities[known], kind="stable")]
    probabilities, labels = probabilities[known], cast(Labels, labels.take(known))
    labels = replace(labels, card=np.unique(labels.card, return_inverse=True)[1])
    simulation = BudgetSimulation(probabilities, labels)
    scores = _bootstrap_scores(simulation, budget, alert_cost, is_probability)
    if is_probability:
        scores |= _threshold_scores(probabilities >= threshold, labels.fraud == 1)
    results: tuple[Table, ...] = (
        (_day_table(simulation, budget, alert_cost, format_day),) if labels.has_card_days else ()
    )
    if is_probability:
        results += (_calibration_table(probabilities, labels.fraud == 1),)
    notes += _notes(simulation, budget)
    return Evaluation(len(known), scores, tables=results, notes=notes)


def _threshold_scores(is_alert: np.ndarray, is_fraud: np.ndarray) -> dict[str, Score]:
    hits = int((is_alert & is_fraud).sum())
    totals = {"precision_at_threshold": is_alert, "recall_at_threshold": is_fraud}
    return {name: proportion(hits, int(mask.sum())) for name, mask in totals.items() if mask.any()}


def _notes(simulation: BudgetSimulation, budget: int) -> tuple[str, ...]:
    notes = []
    cards = np.bincount(simulation.cards["day"] - simulation.cards["day"].min())
    if simulation.labels.has_card_days and budget >= np.median(cards[cards > 0]):
        notes.append(
            f"the budget of {budget} checks nearly every card of a day; --budget sets a smaller one when "
            "training"
        )
    if not (simulation.labels.fraud == 1).any():
        notes.append("no frauds here: average precision and ROC AUC mean nothing")
    return tuple(notes)


def _bootstrap_scores(
    simulation: BudgetSimulation, budget: int, alert_cost: float, is_probability: bool
) -> dict[str, Score]:
    """The scores that can be measured, with bootstrap intervals over cards."""
    probabilities, labels = simulation.probabilities, simulation.labels
    is_fraud, cards = labels.fraud == 1, int(labels.card.max()) + 1
    losses = metrics.log_losses(np.stack([1 - probabilities, probabilities], 1), is_fraud.astype(int))

    def measure(card_weights: np.ndarray) -> dict[str, float]:
        weights = card_weights[labels.card]
        values = {
            "average_precision": metrics.average_precision(probabilities, is_fraud, weights),
            "roc_auc": metrics.roc_auc(probabilities, is_fraud, weights),
        }
        if labels.has_card_days:
            days = simulation.simulate(budget, card_weights)
            values["card_precision"] = card_precision(days, budget)
            values["recall_at_budget"] = recall_at_budget(days)
            if labels.amount.any():
                values["money_saved"] = money_saved(days, alert_cost)
        if is_probability:
            values["log_loss"] = float((losses * weights).sum() / weights.sum())
            values["calibration_error"] = calibration_error(probabilities, is_fraud, weights)
        return values

    def measure_sample(positions: np.ndarray) -> np.ndarray:
        weights = np.bincount(positions, minlength=cards).astype(float)
        return np.array(list(measure(weights).values()))

    values = measure(np.ones(cards))
    minima = [-np.inf if name == "money_saved" else 0.0 for name in values]
    maxima = [np.inf if name in ("money_saved", "log_loss") else 1.0 for name in values]
    lows, highs = map(
        np.atleast_1d,
        metrics.bootstrap_interval(measure_sample, cards, np.array(maxima), minimum=np.array(minima)),
    )
    return {
        name: Score(float(value), float(low), float(high), len(is_fraud))
        for (name, value), low, high in zip(values.items(), lows, highs, strict=True)
        if not np.isnan(value)
    }


def calibration_error(probabilities: np.ndarray, is_fraud: np.ndarray, weights: np.ndarray) -> float:
    """Mean difference of probability and fraud rate over ten bins of equally many transactions."""
    edges = np.quantile(probabilities, np.linspace(0, 1, 11)[1:-1])
    bins = np.searchsorted(edges, probabilities, side="right")
    gaps = np.bincount(bins, (probabilities - is_fraud) * weights, 10)
    return float(np.abs(gaps).sum() / weights.sum())


def _calibration_table(probabilities: np.ndarray, is_fraud: np.ndarray) -> Table:
    """The fraud rate in each range of probability."""
    edges = CALIBRATION_EDGES
    bins = np.clip(np.searchsorted(edges, probabilities, side="right") - 1, 0, len(edges) - 2)
    rows = []
    for i in range(len(edges) - 1):
        mask = bins == i
        if not mask.any():
            continue
        rate = proportion(int(is_fraud[mask].sum()), int(mask.sum()))
        rows.append(
            (
                f"{edges[i]:g} to {edges[i + 1]:g}",
                str(rate.count),
                f"{probabilities[mask].mean():.4f}",
                str(rate),
            )
        )
    columns = ("probability", "transactions", "mean", "fraud rate, 95 % interval")
    return Table("Calibration", columns, tuple(rows))


def _day_table(
    simulation: BudgetSimulation, budget: int, alert_cost: float, format_day: Callable[[int], str]
) -> Table:
    """What the budget detects on each day, beside a perfect classifier."""
    days, perfect_days = simulation.simulate(budget), simulation.simulate(budget, perfect=True)
    rows = [
        _day_row(format_day(day.day), [day], [perfect], budget, alert_cost)
        for day, perfect in zip(days, perfect_days, strict=True)
    ]
    rows.append(_day_row("all days", days, perfect_days, budget, alert_cost))
    columns = ("day", "cards", "defrauded", "detected", "card precision", "perfect", "money saved")
    title = f"Card precision by day: the {budget} riskiest cards are checked, detected cards not again"
    return Table(title, columns, tuple(rows))


def _day_row(
    name: str, days: list[DayResult], perfect_days: list[DayResult], budget: int, alert_cost: float
) -> tuple[str, ...]:
    return (
        name,
        f"{sum(day.cards for day in days):.0f}",
        f"{sum(day.defrauded for day in days):.0f}",
        f"{sum(day.detected for day in days):.0f}",
        f"{card_precision(days, budget):.3f}",
        f"{card_precision(perfect_days, budget):.3f}",
        f"{money_saved(days, alert_cost):.2f} of {sum(day.lost for day in days):.2f}",
    )
