"""How good answers are: scores, each with its 95 % interval and the count behind it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from dltasks.evaluation import metrics


@dataclass(frozen=True)
class Score:
    """A measured value with its 95 % interval and the number of examples behind it."""

    value: float
    low: float
    high: float
    count: int

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


@dataclass(frozen=True)
class Confusion:
    """`count` of the `of` examples of class `truth` were taken for class `guess`."""

    label: str
    prediction: str
    count: int
    total: int
    proportion: Score


@dataclass(frozen=True)
class Table:
    """Figures beside the scores, of each day say: rows of texts under the names of their columns."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Evaluation:
    """Scores by name, scores of each class, what is confused most, and tables of a task's own.

    notes: what a reader should know (what did not match, say).
    """

    count: int
    scores: dict[str, Score]
    classes: dict[str, dict[str, Score]] = field(default_factory=dict)
    confusion: tuple[Confusion, ...] = ()
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()

    def with_notes(self, notes: tuple[str, ...]) -> "Evaluation":
        """This evaluation with more to say of it."""
        return replace(self, notes=(*self.notes, *notes))

    def with_tables(self, tables: tuple[Table, ...]) -> "Evaluation":
        """This evaluation with more tables."""
        return replace(self, tables=(*self.tables, *tables))

    def to_json(self) -> dict[str, Any]:
        """Plain values, rounded to six digits."""
        return round_floats(asdict(self))


def round_floats(value):
    """Plain values of any depth, floats to six digits."""
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, dict):
        return {key: round_floats(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [round_floats(each) for each in value]
    return value


def evaluate_classification(
    labels: Sequence[str], probabilities: np.ndarray, truths: Sequence[str]
) -> Evaluation:
    """Scores of a classifier. probabilities: float (count, classes) in the order of `labels`."""
    position = {label: i for i, label in enumerate(labels)}
    true = np.array([position[each] for each in truths])
    guesses = probabilities.argmax(axis=1)
    counts = metrics.confusion(true, guesses, len(labels))
    scores = {"accuracy": proportion(int((guesses == true).sum()), len(true))}
    if len(labels) > 5:
        scores["top_5_accuracy"] = proportion(int(metrics.in_top(probabilities, true, 5).sum()), len(true))
    scores |= _resampled(probabilities, true, guesses, len(labels))
    return Evaluation(len(true), scores, _by_class(labels, counts), _confused(labels, counts))


def proportion(hits: int, count: int) -> Score:
    """A share with its Wilson interval."""
    return Score(hits / count if count else 0.0, *metrics.wilson(hits, count), count)


def hourly_rate(events: int, hours: float, count: int) -> Score:
    """Events an hour with their Poisson interval; `count` is the number of examples that the hours hold."""
    low, high = metrics.poisson(events)
    return Score(events / hours, low / hours, high / hours, count)


def _resampled(probabilities, truths, guesses, classes: int) -> dict[str, Score]:
    """The scores that have no interval in closed form, with the bootstrap's."""
    confidence, hits = probabilities.max(axis=1), guesses == truths
    losses = metrics.log_losses(probabilities, truths)

    def counted(rows):
        return metrics.confusion(truths[rows], guesses[rows], classes)

    measures = {
        "balanced_accuracy": lambda rows: metrics.balanced_accuracy(counted(rows)),
        "macro_f1": lambda rows: metrics.macro_f1(counted(rows)),
        "expected_calibration_error": lambda rows: metrics.expected_calibration_error(
            confidence[rows], hits[rows]
        ),
        "log_loss": lambda rows: float(losses[rows].mean()),
    }
    count = len(truths)
    everything = np.arange(count)
    most = {"log_loss": np.inf}
    return {
        name: Score(measure(everything), *metrics.bootstrap(measure, count, most.get(name, 1.0)), count)
        for name, measure in measures.items()
    }


def _by_class(labels: Sequence[str], counts: np.ndarray) -> dict[str, dict[str, Score]]:
    f1 = metrics.f1_scores(counts)
    table = {}
    for i in np.flatnonzero(counts.sum(axis=1)):
        found, there, guessed = int(counts[i, i]), int(counts[i].sum()), int(counts[:, i].sum())
        table[labels[i]] = {
            "recall": proportion(found, there),
            "precision": proportion(found, guessed),
            "f1": _f1(float(f1[i]), found, there + guessed - found),
        }
    return table


def _f1(value: float, found: int, either: int) -> Score:
    """F1 = 2 J / (1 + J) grows with J, the share of `found` in `either`, so its interval follows Wilson's."""
    low, high = metrics.wilson(found, either)
    return Score(value, 2 * low / (1 + low), 2 * high / (1 + high), either)


def _confused(labels: Sequence[str], counts: np.ndarray, most: int = 20) -> tuple[Confusion, ...]:
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    places = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = [np.unravel_index(place, wrong.shape) for place in places if wrong.flat[place]]
    return tuple(
        Confusion(
            labels[i],
            labels[j],
            int(counts[i, j]),
            int(counts[i].sum()),
            proportion(int(counts[i, j]), int(counts[i].sum())),
        )
        for i, j in pairs
    )
