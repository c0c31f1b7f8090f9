"""The features of a transaction: windows over the past, the hour of the day, and the table's own columns."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import numpy as np
import polars as pl

from dltasks.parallel import parallel_map
from dltasks.tasks.fraud import windows
from dltasks.tasks.fraud.layout import Layout
from dltasks.tasks.fraud.times import TimeParser, format_duration
from dltasks.tasks.fraud.windows import AMOUNT_RATIO, INDEX, TIMESTAMP

LAST_NIGHT_HOUR = 6
"""Last hour of the night, as in the Fraud Detection Handbook."""

Compute = Callable[[pl.DataFrame], pl.DataFrame]


@dataclass(frozen=True)
class Feature:
    """A column of numbers.

    Attributes:
        name: of the column.
        group: of features that describe the same thing; they are explained together.
        phrase: for people, with {} for the value; empty where another feature of the group says it better.
    """

    name: str
    group: str
    phrase: str = ""


@dataclass(frozen=True)
class FeaturePipeline:
    """How features are computed, in training as in prediction.

    Attributes:
        layout: the role of each column.
        time_parser: how the time column is read.
        window_lengths: microseconds.
        label_delay: microseconds until a label is known.
        missing_indicators: number columns with a feature for missing values.
        imputation_values: replacements of missing numbers by column.
        vocabularies: known values of each category; its id is its position, from 1.
    """

    layout: Layout
    time_parser: TimeParser
    window_lengths: tuple[int, ...]
    label_delay: int
    missing_indicators: tuple[str, ...] = ()
    imputation_values: dict[str, float] = field(default_factory=dict)
    vocabularies: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def windows(self) -> dict[str, int]:
        """Lengths by name, the shortest first."""
        return {format_duration(length): length for length in sorted(self.window_lengths)}

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        """The columns of `compute_features`, in their order."""
        features = []
        for name in self.layout.numbers:
            features.append(Feature(name, name, f"{name} is {{:.6g}}"))
            if name in self.missing_indicators:
                features.append(Feature(f"{name} missing", name, f"{name} is missing"))
        if self.layout.time:
            features.append(Feature("night", "night", "at night"))
        if self.layout.time and self.time_parser.has_dates:
            features.append(Feature("weekend", "weekend", "at the weekend"))
        for entity in self.layout.ordered_entities:
            features += self._entity_features(entity)
        return tuple(features)

    def _entity_features(self, entity: str) -> list[Feature]:
        """The features of one entity, in the order of `_window_computations`."""
        spans = {name: _span(name) for name in self.windows}
        features = _frequency(entity, spans)
        if entity in self.layout.amount_by:
            features += _spending(entity, spans)
        if self.layout.amount and entity == self.layout.card:
            features += _amounts(entity, spans)
        if entity in self.layout.fraud_rate_by and self.layout.label:
            features += _known_frauds(entity, spans, bool(self.layout.amount and self.layout.card))
        return [
            replace(feature, name=f"{entity} {feature.name}", group=f"{entity} {feature.group}")
            for feature in features
        ]

    def compute_features(self, frame: pl.DataFrame) -> np.ndarray:
        """float32 (count, features) of a typed frame, in the frame's order."""
        frame = frame.with_columns(pl.int_range(pl.len(), dtype=pl.UInt32).alias(INDEX))
        columns = {}
        for name in self.layout.numbers:
            columns[name] = frame[name].fill_null(self.imputation_values.get(name, 0.0))
            if name in self.missing_indicators:
                columns[f"{name} missing"] = frame[name].is_null()
        if self.layout.time:
            columns |= self._calendar_features(frame[TIMESTAMP])
        features = np.empty((frame.height, len(self.features)), np.float32)
        for i, column in enumerate(columns.values()):
            features[:, i] = column.cast(pl.Float32).to_numpy()
        start = len(columns)
        # Polars alone leaves cores idle: much of a window's work is single-threaded.
        for indices, block in parallel_map(_compute_block, self._window_computations(frame)):
            features[indices, start : start + block.shape[1]] = block
            start += block.shape[1]
        assert start == len(self.features)
        return features

    def _window_computations(self, frame: pl.DataFrame) -> Iterator[tuple[pl.DataFrame, Compute]]:
        """Rows in an entity's order, and what computes their features, in the order of `features`."""
        lengths = self.windows
        for entity in self.layout.ordered_entities:
            rows = windows.sort_by_entity(frame, entity)
            has_amounts = entity in self.layout.amount_by
            compute = windows.spending_features if has_amounts else windows.frequency_features
            yield rows, partial(compute, lengths=lengths)
            if self.layout.amount and entity == self.layout.card:
                rows = windows.add_amount_ratio(rows, lengths)
                frame = frame.with_columns(rows.select(INDEX, AMOUNT_RATIO).sort(INDEX)[AMOUNT_RATIO])
                yield rows, partial(windows.amount_features, lengths=lengths)
            if entity in self.layout.fraud_rate_by and self.layout.label:
                yield rows, partial(windows.known_fraud_features, lengths=lengths, delay=self.label_delay)

    def _calendar_features(self, timestamps: pl.Series) -> dict[str, pl.Series]:
        local = self.time_parser.local_times(timestamps)
        columns = {"night": local.dt.hour() <= LAST_NIGHT_HOUR}
        if self.time_parser.has_dates:
            columns["weekend"] = local.dt.weekday() >= 6
        return columns

    def compute_category_ids(self, frame: pl.DataFrame) -> np.ndarray:
        """int32 (count, categories): position in the vocabulary, from 1; 0 for unknown values."""
        category_ids = np.zeros((frame.height, len(self.vocabularies)), np.int32)
        for i, (name, values) in enumerate(self.vocabularies.items()):
            column = frame[name].replace_strict(
                list(values), list(range(1, len(values) + 1)), default=0, return_dtype=pl.Int32
            )
            category_ids[:, i] = column.to_numpy()
        return category_ids


def _frequency(entity: str, spans: dict[str, str]) -> list[Feature]:
    """Features of `windows.frequency_features`. spans: windows as phrases, by name."""
    return [
        Feature("days since last", "frequency", f"{{:.2g}} days since the last one of this {entity}"),
        *(
            Feature(f"count {name}", "frequency", f"{{:.0f}} of this {entity} in {span}")
            for name, span in spans.items()
        ),
    ]


def _spending(entity: str, spans: dict[str, str]) -> list[Feature]:
    """The other features of `windows.spending_features`."""
    features, longest = [], list(spans)[-1]
    for name, span in spans.items():
        ratio = f"amount {{:.1f}} times the {entity}'s {name} mean" if name == longest else ""
        features += [
            Feature(f"sum {name}", "level", f"{{:.2f}} in all of this {entity} in {span}"),
            Feature(f"mean {name}", "level", f"{{:.2f}} is the {entity}'s {name} mean"),
            Feature(f"deviation {name}", "level"),
            Feature(f"ratio {name}", "amount", ratio),
            Feature(f"z-score {name}", "amount"),
        ]
    return features


def _amounts(entity: str, spans: dict[str, str]) -> list[Feature]:
    """Features of `windows.amount_features`."""
    features = [
        Feature("median amount", "level", f"{{:.2f}} is what this {entity} usually pays"),
        Feature("amount ratio", "amount", f"amount {{:.1f}} times what this {entity} usually pays"),
    ]
    for name, span in spans.items():
        highest = f"up to {{:.1f}} times the {entity}'s usual amount in {span}"
        count = f"{{:.0f}} unusually high amounts of this {entity} in {span}"
        features += [
            Feature(f"max amount ratio {name}", "recent amounts", highest),
            Feature(f"high amounts {name}", "recent amounts", count),
        ]
    return features


def _known_frauds(entity: str, spans: dict[str, str], has_ratio: bool) -> list[Feature]:
    """Features of `windows.known_fraud_features`."""
    features, longest = [], list(spans)[-1]
    for name, span in spans.items():
        count = f"{{:.0f}} transactions of this {entity} in {span} are old enough to be known"
        rate = f"{{:.0%}} of this {entity}'s known of {span} were frauds"
        features.append(Feature(f"known count {name}", "volume", count if name == longest else ""))
        features.append(Feature(f"fraud rate {name}", "frauds", rate))
        if has_ratio:
            ordinary = f"{{:.0f}} known frauds of usual amounts at this {entity} in {span}"
            features.append(Feature(f"ordinary frauds {name}", "frauds", ordinary))
    for recent in windows.RECENT_COUNTS:
        rate = f"{{:.0%}} of this {entity}'s last {recent} known were frauds"
        features.append(Feature(f"fraud rate of last {recent}", "frauds", rate))
    features += [
        Feature("fraud streak", "frauds", f"the last {{:.0f}} known of this {entity} were all frauds"),
        Feature("streak days", "frauds", f"frauds at this {entity} began {{:.0f}} days ago"),
        Feature("days since fraud", "frauds", f"{{:.0f}} days since the last known fraud at this {entity}"),
    ]
    return [*features, *([Feature("days since first ordinary fraud", "frauds")] if has_ratio else [])]


def _span(window: str) -> str:
    """ "7-day" as "7 days"."""
    number, _, unit = window.partition("-")
    return f"{number} {unit}{'s' * (number != '1')}"


def _compute_block(computation: tuple[pl.DataFrame, Compute]) -> tuple[np.ndarray, np.ndarray]:
    """Indices of rows, and their features, float32 (count, features)."""
    rows, compute = computation
    return rows[INDEX].to_numpy(), compute(rows).cast(pl.Float32).to_numpy(order="c")
