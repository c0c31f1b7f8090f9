"""How good answers to clips are, beyond what every classifier is scored by."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dltasks.evaluation import metrics
from dltasks.evaluation.results import Evaluation, Score, evaluate_classification, hourly_rate, proportion
from dltasks.tasks.speech.data import SILENCE, UNKNOWN


def evaluate(task, probabilities: np.ndarray, truths: Sequence[str]) -> Evaluation:
    """Accuracy with and without silence, false alarms on background sound and other words, equal error rates.

    probabilities: float (count, classes); a truth that is no label is an unknown word.
    """
    places = np.array(task.places(truths))
    names = [task.labels[i] for i in places]
    found = evaluate_classification(task.labels, probabilities, names)
    scores = {"accuracy": found.scores["accuracy"], **_on_words(task, probabilities, places)}
    scores |= _false_accepts(task, probabilities, places)
    return replace(
        found,
        scores={**scores, **found.scores},
        classes=_with_equal_errors(task, found, probabilities, places),
    )


def _on_words(task, probabilities, places) -> dict[str, Score]:
    words = places != task.labels.index(SILENCE)
    if words.all() or not words.any():
        return {}
    hits = probabilities.argmax(axis=1) == places
    return {"accuracy_without_silence": proportion(int(hits[words].sum()), int(words.sum()))}


def _false_accepts(task, probabilities, places) -> dict[str, Score]:
    """Clips without a command in which one is above its threshold: of background sound, and of other words."""
    accepted = (probabilities >= task.hearing.limits).any(axis=1)
    scores = {}
    background = places == task.labels.index(SILENCE)
    if background.any():
        hours = background.sum() * task.seconds / 3600
        scores["false_accepts_per_hour_of_background"] = hourly_rate(
            int(accepted[background].sum()), hours, int(background.sum())
        )
    if UNKNOWN in task.labels and (others := places == task.labels.index(UNKNOWN)).any():
        scores["false_accepts_of_other_words"] = proportion(int(accepted[others].sum()), int(others.sum()))
    return scores


def _with_equal_errors(task, found: Evaluation, probabilities, places) -> dict[str, dict[str, Score]]:
    classes = {}
    for name, values in found.classes.items():
        column = task.labels.index(name)
        own = places == column
        classes[name] = dict(values)
        if not own.all():
            classes[name]["equal_error_rate"] = _equal_error(probabilities[:, column], own)
    return classes


def _equal_error(probabilities: np.ndarray, own: np.ndarray) -> Score:
    """With the bootstrap's interval; draws without a clip of the word, or of none but it, say nothing."""

    def measure(rows):
        there = own[rows]
        if there.all() or not there.any():
            return np.nan
        return metrics.equal_error_rate(probabilities[rows], there)

    value = measure(np.arange(len(own)))
    return Score(value, *metrics.bootstrap(measure, len(own), 1.0), int(own.sum()))


def limitations(task) -> str:
    """The thresholds, what they were chosen for, and the curve as a table."""
    if not task.operating_points:
        return ""
    chosen = next(each for each in task.operating_points if each["chosen"])
    commands = [
        f"{command} {threshold:g}"
        for command, threshold in zip(task.hearing.commands, task.thresholds, strict=True)
        if command
    ]
    rows = "\n".join(_row(each) for each in task.operating_points)
    return (
        "False accepts an hour of background count each second of it once, heard by itself, against these thresholds; "
        "what is heard of a stream is in the table.\n\n"
        f"Listening, a command counts above its threshold ({', '.join(commands)}): chosen for at most "
        f"{chosen['budget_per_hour']:g} false alarms an hour on {chosen['hours']:g} hours mixed from the validation "
        "clips, in which a command and another word are each said every ten seconds or so over background sound 5 to "
        "25 dB below them. Each half of the speakers was heard with thresholds fitted to the other half; those of "
        "the model are fitted to both. Clips come again in it, so the intervals are too narrow for new speakers.\n\n"
        "| budget, an hour | false alarms an hour | 95 % interval | commands missed | 95 % interval |\n"
        f"|---|---|---|---|---|\n{rows}\n\n![the same drawn](false_alarms.png)\n\n"
    )


def _row(point: dict) -> str:
    hours = point["hours"]
    low, high = (value / hours for value in metrics.poisson(point["false_accepts"]))
    least, most = metrics.wilson(point["missed"], point["commands"])
    missed = point["missed"] / max(1, point["commands"])
    return (
        f"| {point['budget_per_hour']:g}{' (chosen)' if point['chosen'] else ''} | {point['false_accepts'] / hours:.2f} | "
        f"{low:.2f} to {high:.2f} | {missed:.1%} of {point['commands']} | {least:.1%} to {most:.1%} |"
    )
