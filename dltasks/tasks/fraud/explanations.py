"""Reasons for a risk: what raised its log-odds most above those of a typical transaction, in plain words."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dltasks.litert.runtime import Arrays, Run
from dltasks.tasks.fraud.features import FeaturePipeline

ORDER_PAIRS = 2
"""Pairs of orders, one the reverse of the other, in which groups of features are added."""

MIN_CONTRIBUTION = 0.1
"""Minimum contribution of a reason, in natural log-odds."""

MAX_REASONS = 3
"""Maximum number of reasons."""

MIN_ANOMALY_SCORE = 0.95
"""Minimum anomaly score that is explained."""

HISTORY = "history"
"""Group of the card's last transactions."""

Predict = Callable[[Arrays], np.ndarray]


def explain_risky(task: Any, risks: np.ndarray, encoded: Arrays, run: Run) -> np.ndarray:
    """Phrases, object (count,), for transactions riskier than the average; None for the others.

    Of an unsupervised model, e / (1 + e) of the unbounded error e stands for a probability.
    """

    def predict(inputs: Arrays) -> np.ndarray:
        outputs = run(inputs)
        if not task.unsupervised:
            return outputs["probability"]
        return outputs["reconstruction_error"] / (1 + outputs["reconstruction_error"])

    reasons = np.full(len(risks), None, object)
    least = MIN_ANOMALY_SCORE if task.unsupervised else task.prior
    risky = np.flatnonzero(risks > least) if task.with_reasons else ()
    if len(risky):
        baseline, scale = np.asarray(task.baseline, np.float32), np.asarray(task.scale, np.float32)
        explainer = Explainer(task.pipeline, baseline, scale, predict)
        selected = {name: values[risky] for name, values in encoded.items()}
        for index, phrases in zip(risky, explainer.explain(selected), strict=True):
            reasons[index] = phrases
    return reasons


@dataclass(frozen=True, eq=False)
class Explainer:
    """Explains the predictions of one model.

    Attributes:
        pipeline: that computes the features.
        baseline: float32 (features,), a typical transaction.
        scale: float32 (features,), the usual range of each feature.
        predict: from network inputs to probabilities (count,) or (count, 1).
    """

    pipeline: FeaturePipeline
    baseline: np.ndarray
    scale: np.ndarray
    predict: Predict

    def explain(self, inputs: Arrays) -> list[tuple[str, ...]]:
        """At most MAX_REASONS phrases for each row of `inputs`, the strongest first.

        Contributions are Shapley values of groups of features that describe the same thing, estimated over
        antithetic orders (Castro, Gomez and Tejada, 2009; Mitchell et al., 2022).
        """
        groups = feature_groups(self.pipeline, HISTORY in inputs)
        names = list(groups)
        reasons = []
        for row, values in enumerate(contributions(groups, self.baseline, inputs, self.predict)):
            strongest = np.argsort(-values, kind="stable")[:MAX_REASONS]
            reasons.append(
                tuple(
                    self._phrase(names[i], groups[names[i]], inputs, row)
                    for i in strongest
                    if values[i] >= MIN_CONTRIBUTION
                )
            )
        return reasons

    def _phrase(self, name: str, columns: list[int], inputs: Arrays, row: int) -> str:
        """The phrase of the group's feature that is farthest from the baseline."""
        if name == HISTORY:
            return f"what this {self.pipeline.layout.card} did before"
        if name in self.pipeline.vocabularies:
            category_id = int(inputs["category_ids"][row, columns[0] - len(self.baseline)])
            values = self.pipeline.vocabularies[name]
            return f"{name} is {values[category_id - 1] if category_id else 'one never seen in training'}"
        features = self.pipeline.features
        columns = [column for column in columns if features[column].phrase]
        distances = np.abs(inputs["features"][row, columns] - self.baseline[columns]) / self.scale[columns]
        farthest = columns[int(np.argmax(distances))]
        return features[farthest].phrase.format(float(inputs["features"][row, farthest]))


def contributions(
    groups: dict[str, list[int]], baseline: np.ndarray, inputs: Arrays, predict: Predict
) -> np.ndarray:
    """Natural log-odds (count, groups) that each group adds."""
    count = len(next(iter(inputs.values())))
    start = baseline_inputs(inputs, baseline)
    start_odds, final_odds = log_odds(predict(first_row(start))), log_odds(predict(inputs))
    totals = np.zeros((count, len(groups)))
    random = np.random.default_rng(0)
    orders = [random.permutation(len(groups)) for _ in range(ORDER_PAIRS)]
    orders += [order[::-1] for order in orders]
    names = list(groups)
    for order in orders:
        current = {name: values.copy() for name, values in start.items()}
        before = np.full(count, start_odds[0])
        for step, group in enumerate(order):
            _copy_group(current, inputs, names[group], groups[names[group]], len(baseline))
            after = final_odds if step == len(order) - 1 else log_odds(predict(current))
            totals[:, group] += after - before
            before = after
    return totals / len(orders)


def log_odds(probabilities: np.ndarray) -> np.ndarray:
    """Natural, float64 (count,), of probabilities clipped to 1e-7 from 0 and 1."""
    clipped = np.clip(np.asarray(probabilities, np.float64).reshape(-1), 1e-7, 1 - 1e-7)
    return np.log(clipped / (1 - clipped))


def feature_groups(pipeline: FeaturePipeline, with_history: bool) -> dict[str, list[int]]:
    """Columns of each group of features; those of categories follow the features."""
    groups: dict[str, list[int]] = {}
    for i, feature in enumerate(pipeline.features):
        groups.setdefault(feature.group, []).append(i)
    for i, name in enumerate(pipeline.vocabularies):
        groups[name] = [len(pipeline.features) + i]
    return groups | ({HISTORY: []} if with_history else {})


def baseline_inputs(inputs: Arrays, baseline: np.ndarray) -> Arrays:
    """As many typical transactions: baseline features, unknown categories, no history."""
    return {
        name: np.tile(baseline, (len(values), 1)) if name == "features" else np.zeros_like(values)
        for name, values in inputs.items()
    }


def first_row(inputs: Arrays) -> Arrays:
    """The first row of each array."""
    return {name: values[:1] for name, values in inputs.items()}


def _copy_group(current: Arrays, inputs: Arrays, name: str, columns: list[int], width: int) -> None:
    """Copy these columns of `inputs` to `current`; the first `width` are features, the others categories."""
    if name == HISTORY:
        for array in ("history", "history_mask"):
            current[array] = inputs[array]
        return
    for column in columns:
        if column < width:
            current["features"][:, column] = inputs["features"][:, column]
        else:
            current["category_ids"][:, column - width] = inputs["category_ids"][:, column - width]
