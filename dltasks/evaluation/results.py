"""Results of an evaluation: scores with their 95 % intervals, confusions and tables."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from dltasks.evaluation import metrics

MAX_CONFUSIONS = 20
"""Maximum number of confused pairs of classes that are listed."""


@dataclass(frozen=True)
class Score:
    """A score with its 95 % interval.

    Attributes:
        value: The score.
        low: Lower end of the interval.
        high: Upper end of the interval.
        count: Number of examples behind it.
    """

    value: float
    low: float
    high: float
    count: int

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


@dataclass(frozen=True)
class Confusion:
    """A pair of confused classes.

    Attributes:
        label: The class that the examples have.
        prediction: The class that was predicted.
        count: Number of examples with this label and this prediction.
        total: Number of examples with this label.
        proportion: count / total.
    """

    label: str
    prediction: str
    count: int
    total: int
    proportion: Score


@dataclass(frozen=True)
class Table:
    """Figures that belong to the scores, such as those of each day: rows of texts under named columns."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Evaluation:
    """Scores of a model on labeled data.

    Attributes:
        count: Number of examples.
        scores: Scores by name, the most important first.
        classes: Scores of each class, by class and name.
        confusion: The most frequent confusions.
        tables: Tables particular to the task.
        notes: Remarks for the user, such as skipped examples.
    """

    count: int
    scores: dict[str, Score]
    classes: dict[str, dict[str, Score]] = field(default_factory=dict)
    confusion: tuple[Confusion, ...] = ()
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()

    def with_notes(self, notes: tuple[str, ...]) -> "Evaluation":
        """The evaluation with further notes."""
        return replace(self, notes=(*self.notes, *notes))

    def with_tables(self, tables: tuple[Table, ...]) -> "Evaluation":
        """The evaluation with further tables."""
        return replace(self, tables=(*self.tables, *tables))

    def to_json(self) -> dict[str, Any]:
        """Plain values, rounded to six decimals."""
        return round_floats(asdict(self))


def round_floats(value: Any) -> Any:
    """Plain values of any depth, with floats rounded to six decimals."""
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, dict):
        return {key: round_floats(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [round_floats(item) for item in value]
    return value


def evaluate_classification(
    class_names: Sequence[str], probabilities: np.ndarray, labels: Sequence[str]
) -> Evaluation:
    """Scores of a classifier.

    Args:
        class_names: Names of the classes.
        probabilities: Float array of shape (count, classes), in the order of `class_names`.
        labels: The label of each example.
    """
    index = {name: i for i, name in enumerate(class_names)}
    expected = np.array([index[label] for label in labels])
    predictions = probabilities.argmax(axis=1)
    counts = metrics.confusion(expected, predictions, len(class_names))
    scores = {"accuracy": proportion(int((predictions == expected).sum()), len(expected))}
    if len(class_names) > 5:
        hits = int(metrics.in_top(probabilities, expected, 5).sum())
        scores["top_5_accuracy"] = proportion(hits, len(expected))
    scores |= _bootstrapped_scores(probabilities, expected, predictions, len(class_names))
    return Evaluation(
        len(expected), scores, _class_scores(class_names, counts), _confusions(class_names, counts)
    )


def proportion(hits: int, count: int) -> Score:
    """A proportion with its Wilson interval."""
    return Score(hits / count if count else 0.0, *metrics.wilson_interval(hits, count), count)


def hourly_rate(events: int, hours: float, count: int) -> Score:
    """Events per hour with their Poisson interval.

    Args:
        events: Number of events.
        hours: Time in which they occurred.
        count: Number of examples within that time.
    """
    low, high = metrics.poisson_interval(events)
    return Score(events / hours, low / hours, high / hours, count)


def _bootstrapped_scores(
    probabilities: np.ndarray, labels: np.ndarray, predictions: np.ndarray, classes: int
) -> dict[str, Score]:
    """The scores that have no interval in closed form."""
    confidence, hits = probabilities.max(axis=1), predictions == labels
    losses = metrics.log_losses(probabilities, labels)

    def confusion(rows: np.ndarray) -> np.ndarray:
        return metrics.confusion(labels[rows], predictions[rows], classes)

    measures = {
        "balanced_accuracy": lambda rows: metrics.balanced_accuracy(confusion(rows)),
        "macro_f1": lambda rows: metrics.macro_f1(confusion(rows)),
        "expected_calibration_error": lambda rows: metrics.expected_calibration_error(
            confidence[rows], hits[rows]
        ),
        "log_loss": lambda rows: float(losses[rows].mean()),
    }
    count = len(labels)
    maxima = {"log_loss": np.inf}
    return {
        name: Score(
            measure(np.arange(count)),
            *metrics.bootstrap_interval(measure, count, maxima.get(name, 1.0)),
            count,
        )
        for name, measure in measures.items()
    }


def _class_scores(class_names: Sequence[str], counts: np.ndarray) -> dict[str, dict[str, Score]]:
    f1 = metrics.f1_scores(counts)
    scores = {}
    for i in np.flatnonzero(counts.sum(axis=1)).tolist():
        hits, labeled, predicted = int(counts[i, i]), int(counts[i].sum()), int(counts[:, i].sum())
        scores[class_names[i]] = {
            "recall": proportion(hits, labeled),
            "precision": proportion(hits, predicted),
            "f1": _f1(float(f1[i]), hits, labeled + predicted - hits),
        }
    return scores


def _f1(value: float, hits: int, union: int) -> Score:
    """F1 = 2 J / (1 + J) grows with the Jaccard index J = hits / union, hence its interval from Wilson's."""
    low, high = metrics.wilson_interval(hits, union)
    return Score(value, 2 * low / (1 + low), 2 * high / (1 + high), union)


def _confusions(class_names: Sequence[str], counts: np.ndarray) -> tuple[Confusion, ...]:
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:MAX_CONFUSIONS].tolist()
    pairs = [divmod(position, len(counts)) for position in order if wrong.flat[position]]
    return tuple(
        Confusion(
            class_names[label],
            class_names[prediction],
            int(counts[label, prediction]),
            int(counts[label].sum()),
            proportion(int(counts[label, prediction]), int(counts[label].sum())),
        )
        for label, prediction in pairs
    )
