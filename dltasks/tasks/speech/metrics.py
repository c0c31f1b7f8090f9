"""Scores of predictions for clips beyond those of every classifier, and limitations for the model card."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from dltasks.evaluation import metrics
from dltasks.evaluation.results import Evaluation, Score, evaluate_classification, hourly_rate, proportion
from dltasks.tasks.speech.data import SILENCE, UNKNOWN
from dltasks.tasks.speech.detector import OperatingPoint


def evaluate(task: Any, probabilities: np.ndarray, labels: Sequence[str]) -> Evaluation:
    """Accuracy with and without silence, false alarms on background and other words, equal error rates.

    probabilities: float (count, classes). A word that is not a label of the task counts as unknown.
    """
    indices = np.array(task.label_indices(labels))
    names = [task.labels[i] for i in indices]
    evaluation = evaluate_classification(task.labels, probabilities, names)
    scores = {"accuracy": evaluation.scores["accuracy"], **_score_words(task, probabilities, indices)}
    scores |= _count_false_alarms(task, probabilities, indices)
    return replace(
        evaluation,
        scores={**scores, **evaluation.scores},
        classes=_add_equal_error_rates(task, evaluation, probabilities, indices),
    )


def _score_words(task: Any, probabilities: np.ndarray, indices: np.ndarray) -> dict[str, Score]:
    is_word = indices != task.labels.index(SILENCE)
    if is_word.all() or not is_word.any():
        return {}
    hits = probabilities.argmax(axis=1) == indices
    return {"accuracy_without_silence": proportion(int(hits[is_word].sum()), int(is_word.sum()))}


def _count_false_alarms(task: Any, probabilities: np.ndarray, indices: np.ndarray) -> dict[str, Score]:
    """Clips without a command where one is above its threshold: of background sound, and of other words."""
    accepted = (probabilities >= task.detector_config.column_thresholds).any(axis=1)
    scores = {}
    background = indices == task.labels.index(SILENCE)
    if background.any():
        hours = background.sum() * task.seconds / 3600
        scores["false_alarms_per_hour_of_background"] = hourly_rate(
            int(accepted[background].sum()), hours, int(background.sum())
        )
    if UNKNOWN in task.labels and (others := indices == task.labels.index(UNKNOWN)).any():
        scores["false_alarms_on_other_words"] = proportion(int(accepted[others].sum()), int(others.sum()))
    return scores


def _add_equal_error_rates(
    task: Any, evaluation: Evaluation, probabilities: np.ndarray, indices: np.ndarray
) -> dict[str, dict[str, Score]]:
    classes = {}
    for name, scores in evaluation.classes.items():
        column = task.labels.index(name)
        is_class = indices == column
        classes[name] = dict(scores)
        if not is_class.all():
            classes[name]["equal_error_rate"] = _equal_error_rate(probabilities[:, column], is_class)
    return classes


def _equal_error_rate(probabilities: np.ndarray, is_class: np.ndarray) -> Score:
    """With the bootstrap's interval; samples without clips of the class, or of only these, are left out."""

    def measure(rows: np.ndarray) -> float:
        sample = is_class[rows]
        if sample.all() or not sample.any():
            return np.nan
        return metrics.equal_error_rate(probabilities[rows], sample)

    value = measure(np.arange(len(is_class)))
    low, high = metrics.bootstrap_interval(measure, len(is_class), 1.0)
    return Score(value, float(low), float(high), int(is_class.sum()))


def describe_limitations(task: Any) -> str:
    """The thresholds, how they were chosen, and the errors for each budget as a table."""
    if not task.operating_points:
        return ""
    chosen = next(point for point in task.operating_points if point["chosen"])
    thresholds = [
        f"{command} {threshold:g}"
        for command, threshold in zip(task.detector_config.commands, task.thresholds, strict=True)
        if command
    ]
    rows = "\n".join(_table_row(point) for point in task.operating_points)
    return (
        "In a stream, a command is detected when its smoothed probability reaches its threshold "
        f"({', '.join(thresholds)}). The thresholds are chosen for at most {chosen['budget_per_hour']:g} "
        f"false alarms per hour, on {chosen['hours']:g} hours of sound mixed from the validation clips: one "
        "command and one other word every ten seconds on average, over background sound 5 to 25 dB below "
        "them. The table shows the errors on each half of the speakers with thresholds fitted to the other "
        "half; the thresholds of the model are fitted to both. The mix repeats clips, so the intervals are "
        "too narrow for new speakers. The score for false alarms per hour of background is different: it "
        "compares single seconds of background sound with the same thresholds.\n\n"
        "| budget per hour | false alarms per hour | 95 % interval | commands missed | 95 % interval |\n"
        f"|---|---|---|---|---|\n{rows}\n\n![False alarms and missed commands](false_alarms.png)\n\n"
    )


def _table_row(point: OperatingPoint) -> str:
    hours = point["hours"]
    budget = f"{point['budget_per_hour']:g}{' (chosen)' if point['chosen'] else ''}"
    low, high = (value / hours for value in metrics.poisson_interval(point["false_alarms"]))
    least, most = metrics.wilson_interval(point["missed"], point["commands"])
    missed = point["missed"] / max(1, point["commands"])
    return (
        f"| {budget} | {point['false_alarms'] / hours:.2f} | {low:.2f} to {high:.2f} | "
        f"{missed:.1%} of {point['commands']} | {least:.1%} to {most:.1%} |"
    )
