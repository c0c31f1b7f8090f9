"""What a network is told of each transaction: numbers made of windows, of the hour and of the table's own columns."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import numpy as np
import polars as pl

from dltasks.parallel import parallel_map
from dltasks.tasks.fraud import windows
from dltasks.tasks.fraud.layout import Layout
from dltasks.tasks.fraud.times import Clock, told
from dltasks.tasks.fraud.windows import MOMENT, PLACE, TIMES

NIGHT = 6
"""The last hour of the night, as the Fraud Detection Handbook has it."""


@dataclass(frozen=True)
class Feature:
    """A column of numbers.

    kin: features that tell of the same share it. phrase: in plain words, {} for the value; nothing where one of its kin
    says it better.
    """

    name: str
    kin: str
    phrase: str = ""


@dataclass(frozen=True)
class Recipe:
    """All that features are made by, the same in training and prediction.

    lengths: of the windows, in microseconds. delay: after which a label is known. indicated: numbers whose absence is
    told. fills: what stands for a number that is missing, by its name. vocabularies: the values of each category.
    """

    layout: Layout
    clock: Clock
    lengths: tuple[int, ...]
    label_delay: int
    indicated: tuple[str, ...] = ()
    fills: dict[str, float] = field(default_factory=dict)
    vocabularies: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def windows(self) -> dict[str, int]:
        """Lengths by what people call them, the shortest first."""
        return {told(each): each for each in sorted(self.lengths)}

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        """The columns that `numbers` makes, in their order."""
        found = []
        for name in self.layout.numbers:
            found.append(Feature(name, name, f"{name} is {{:.6g}}"))
            if name in self.indicated:
                found.append(Feature(f"{name} missing", name, f"{name} is missing"))
        if self.layout.time:
            found.append(Feature("night", "night", "at night"))
        if self.layout.time and self.clock.dated:
            found.append(Feature("weekend", "weekend", "at the weekend"))
        for entity in self.layout.ordered:
            found += self._of(entity)
        return tuple(found)

    def _of(self, entity: str) -> list[Feature]:
        """The features of one entity, in the order in which `windows` gives them."""
        found = self._pace(entity)
        if entity in self.layout.amount_by:
            found = self._spending(entity)
        if self.layout.amount and entity == self.layout.card:
            found += self._habits(entity)
        if entity in self.layout.fraud_rate_by and self.layout.label:
            found += self._verdicts(entity)
        return [replace(each, name=f"{entity} {each.name}", kin=f"{entity} {each.kin}") for each in found]

    def _pace(self, entity: str) -> list[Feature]:
        return [
            Feature("since", "pace", f"{{:.2g}} days since the last one of this {entity}"),
            *(
                Feature(f"count {each}", "pace", f"{{:.0f}} of this {entity} in {_in(each)}")
                for each in self.windows
            ),
        ]

    def _spending(self, entity: str) -> list[Feature]:
        found, longest = self._pace(entity), list(self.windows)[-1]
        for each in self.windows:
            ratio = f"amount {{:.1f}} times the {entity}'s {each} mean" if each == longest else ""
            found += [
                Feature(f"sum {each}", "level", f"{{:.2f}} in all of this {entity} in {_in(each)}"),
                Feature(f"mean {each}", "level", f"{{:.2f}} is the {entity}'s {each} mean"),
                Feature(f"deviation {each}", "level"),
                Feature(f"ratio {each}", "amount", ratio),
                Feature(f"z {each}", "amount"),
            ]
        return found

    def _habits(self, entity: str) -> list[Feature]:
        found = [
            Feature("usual", "level", f"{{:.2f}} is what this {entity} usually pays"),
            Feature("times", "amount", f"amount {{:.1f}} times what this {entity} usually pays"),
        ]
        for each in self.windows:
            found += [
                Feature(
                    f"highest {each}",
                    "lately",
                    f"up to {{:.1f}} times the {entity}'s usual amount in {_in(each)}",
                ),
                Feature(
                    f"high {each}",
                    "lately",
                    f"{{:.0f}} unusually high amounts of this {entity} in {_in(each)}",
                ),
            ]
        return found

    def _verdicts(self, entity: str) -> list[Feature]:
        found, plain = [], bool(self.layout.amount and self.layout.card)
        for each in self.windows:
            span = _in(each)
            told = f"{{:.0f}} transactions of this {entity} in {span} are old enough to be known"
            found.append(Feature(f"known {each}", "traffic", told if each == list(self.windows)[-1] else ""))
            found.append(
                Feature(f"rate {each}", "frauds", f"{{:.0%}} of this {entity}'s known of {span} were frauds")
            )
            if plain:
                told = f"{{:.0f}} known frauds of usual amounts at this {entity} in {span}"
                found.append(Feature(f"plain {each}", "frauds", told))
        for each in windows.LAST:
            found.append(
                Feature(
                    f"last {each}", "frauds", f"{{:.0%}} of this {entity}'s last {each} known were frauds"
                )
            )
        return [
            *found,
            Feature("run", "frauds", f"the last {{:.0f}} known of this {entity} were all frauds"),
            Feature("run days", "frauds", f"frauds at this {entity} began {{:.0f}} days ago"),
            Feature("fraud days", "frauds", f"{{:.0f}} days since the last known fraud at this {entity}"),
            *([Feature("plain days", "frauds")] if plain else []),
        ]

    def numbers(self, frame: pl.DataFrame) -> np.ndarray:
        """float32 (count, features) of a typed frame, in the frame's order."""
        frame = frame.with_columns(pl.int_range(pl.len(), dtype=pl.UInt32).alias(PLACE))
        columns = {}
        for name in self.layout.numbers:
            columns[name] = frame[name].fill_null(self.fills.get(name, 0.0))
            if name in self.indicated:
                columns[f"{name} missing"] = frame[name].is_null()
        if self.layout.time:
            columns |= self._hours(frame[MOMENT])
        found = np.empty((frame.height, len(self.features)), np.float32)
        for i, values in enumerate(columns.values()):
            found[:, i] = values.cast(pl.Float32).to_numpy()
        at = len(columns)
        # Polars alone leaves cores idle: much of a window's work is one thread's.
        for places, block in parallel_map(_block, self._windowed(frame)):
            found[places, at : at + block.shape[1]] = block
            at += block.shape[1]
        assert at == len(self.features)
        return found

    def _windowed(self, frame: pl.DataFrame) -> Iterator[tuple[pl.DataFrame, Callable]]:
        """Rows in an entity's order, and what makes features of them; in the order of `features`."""
        lengths = self.windows
        for entity in self.layout.ordered:
            rows = windows.sorted_by(frame, entity)
            yield (
                rows,
                partial(
                    windows.spending if entity in self.layout.amount_by else windows.pace, lengths=lengths
                ),
            )
            if self.layout.amount and entity == self.layout.card:
                rows = windows.timed(rows, lengths)
                frame = frame.with_columns(rows.select(PLACE, TIMES).sort(PLACE)[TIMES])
                yield rows, partial(windows.habits, lengths=lengths)
            if entity in self.layout.fraud_rate_by and self.layout.label:
                yield rows, partial(windows.verdicts, lengths=lengths, delay=self.label_delay)

    def _hours(self, moments: pl.Series) -> dict[str, pl.Series]:
        wall = self.clock.wall(moments)
        found = {"night": wall.dt.hour() <= NIGHT}
        if self.clock.dated:
            found["weekend"] = wall.dt.weekday() >= 6
        return found

    def codes(self, frame: pl.DataFrame) -> np.ndarray:
        """int32 (count, categories): the place of each value in its vocabulary, from 1; 0 where it is not known."""
        found = np.zeros((frame.height, len(self.vocabularies)), np.int32)
        for i, (name, words) in enumerate(self.vocabularies.items()):
            codes = frame[name].replace_strict(
                list(words), list(range(1, len(words) + 1)), default=0, return_dtype=pl.Int32
            )
            found[:, i] = codes.to_numpy()
        return found


def _in(window: str) -> str:
    """ "7-day" as "7 days"."""
    number, _, unit = window.partition("-")
    return f"{number} {unit}{'s' * (number != '1')}"


def _block(windowed: tuple[pl.DataFrame, Callable]) -> tuple[np.ndarray, np.ndarray]:
    """Places of rows, and their features, float32 (count, features)."""
    rows, made = windowed
    return rows[PLACE].to_numpy(), made(rows).cast(pl.Float32).to_numpy(order="c")
