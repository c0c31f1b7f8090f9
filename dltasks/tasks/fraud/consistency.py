"""Rules that the saved fields of a task must satisfy."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dltasks.tasks.fraud.layout import Layout
from dltasks.tasks.fraud.split import TimeSplit
from dltasks.tasks.fraud.times import TimeParser
from dltasks.validation import type_error

FIELD_TYPES = {"layout": Layout, "time_parser": TimeParser, "time_split": TimeSplit | None}
"""Classes whose fields are saved as plain objects."""


@dataclass(frozen=True)
class Rule:
    """An inconsistency. applies: whether a task has it. message: what it is."""

    applies: Callable[[Any], object]
    message: str


def _lacks_card(task: Any) -> bool:
    needs_card = task.history_length > 0 or task.exclude_known_fraud
    return needs_card and not task.pipeline.layout.card


def _has_repeated_value(task: Any) -> bool:
    return any(len(set(values)) < len(values) for values in task.vocabularies.values())


RULES = (
    Rule(
        lambda t: t.layout.get("entities") and not t.window_lengths,
        "it has entities and no windows over their past",
    ),
    Rule(_lacks_card, "it looks at cards and has no card column"),
    Rule(
        lambda t: t.exclude_known_fraud and not t.time_split,
        "it excludes cards with known fraud and has no training period",
    ),
    Rule(
        lambda t: set(t.vocabularies) - set(t.pipeline.layout.categories),
        "it has the vocabulary of a column that is not a category",
    ),
    Rule(_has_repeated_value, "it has a vocabulary with a repeated value"),
    Rule(
        lambda t: t.unsupervised and not t.error_quantiles,
        "it was trained without labels and has no error quantiles to compare with",
    ),
)
"""Inconsistencies between fields that are valid by themselves."""


def find_inconsistency(task: Any) -> str:
    """What is inconsistent in the fields of a task; empty where nothing is."""
    for name, kind in FIELD_TYPES.items():
        if error := type_error(getattr(task, name), kind, f"its field {name}"):
            return error
    pipeline = task.pipeline
    if error := pipeline.time_parser.validate() or pipeline.layout.validate():
        return error
    if broken := next((rule for rule in RULES if rule.applies(task)), None):
        return broken.message
    count = len(pipeline.features)
    if not len(task.baseline) == len(task.scale) == count:
        return f"it has {count} features and {len(task.baseline)} baseline values"
    return ""
