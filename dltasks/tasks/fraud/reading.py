"""From a table as people have it to typed columns, and the rows that make no sense by name."""

import re
from dataclasses import dataclass

import numpy as np
import polars as pl

from dltasks.data.tables import FILE_COLUMN, ROW_COLUMN
from dltasks.errors import DataError
from dltasks.tasks.fraud import times
from dltasks.tasks.fraud.layout import Layout
from dltasks.tasks.fraud.times import Clock
from dltasks.tasks.fraud.windows import AMOUNT, FRAUD, MOMENT, PLACE

YES = ("1", "1.0", "true", "t", "yes", "y", "fraud", "fraudulent")
NO = (
    "0",
    "0.0",
    "false",
    "f",
    "no",
    "n",
    "genuine",
    "legit",
    "legitimate",
    "normal",
    "ok",
    "nonfraud",
    "non-fraud",
)


STRAY = 0.02
"""Share of the labels that may say neither; with more of them the column is another kind of label."""

LARGEST = 1e30
"""A number beyond this is no measurement; single precision, which networks compute in, ends soon after."""


@dataclass(frozen=True)
class Problem:
    """A row that can't be used, and why; `place` is its position in the frame. kind: of the reason."""

    place: int
    file: str
    row: int
    reason: str
    kind: str

    def error(self) -> DataError:
        return DataError(f"{self.file}, row {self.row}: {self.reason}")


@dataclass(frozen=True, eq=False)
class Typed:
    """A table with typed columns: PLACE, MOMENT, AMOUNT, FRAUD, numbers and categories by name; and all of it as it was
    read, whose rows PLACE counts."""

    frame: pl.DataFrame
    plain: pl.DataFrame
    problems: tuple[Problem, ...] = ()

    def without_problems(self) -> "Typed":
        """Only the rows that can be used; the problems are still told."""
        if not self.problems:
            return self
        good = np.setdiff1d(np.arange(self.frame.height), [each.place for each in self.problems])
        return Typed(self.frame[good], self.plain, self.problems)


def typed(
    frame: pl.DataFrame, layout: Layout, clock: Clock | None, positive: str | None, now: int | None
) -> Typed:
    """The frame with its columns as numbers, moments and texts.

    positive: the label that says fraud, where it is not one of YES. now: a moment; what is later than the day after it
    makes no sense. Raises DataError for labels of more than two kinds.
    """
    plain, frame = frame.drop(FILE_COLUMN, ROW_COLUMN), frame.with_row_index(PLACE)
    if layout.id and layout.id not in frame.columns:
        frame = frame.with_columns(pl.lit(None, dtype=pl.String).alias(layout.id))
    problems: list[Problem] = []

    def complain(kind: str, bad: pl.Series, reason) -> None:
        for place in bad.arg_true().to_list():
            row = int(frame[ROW_COLUMN][place])
            problems.append(Problem(place, str(frame[FILE_COLUMN][place]), row, reason(place), kind))

    columns = [label(frame, layout, positive, complain)]
    if layout.time:
        clock = times.fitted(clock, frame[layout.time], str(frame[FILE_COLUMN][0]))
        moments, wanted = clock.moments(frame[layout.time]), clock.wanted(frame[layout.time])
        complain(
            f"{layout.time} not a time",
            moments.is_null(),
            lambda i: f"{layout.time} is {_shown(frame[layout.time][i])}; wanted {wanted}",
        )
        if now is not None and clock.dated:
            complain(
                f"{layout.time} still to come",
                (moments > now).fill_null(False),
                lambda i: f"{layout.time} is {clock.told(moments[i])}, which is still to come",
            )
        columns.append(moments.alias(MOMENT))
    else:
        columns.append(pl.Series(MOMENT, [0], dtype=pl.Int64).new_from_index(0, frame.height).alias(MOMENT))
    numbers = {name: _number(frame, name, name == layout.amount, complain) for name in layout.numbers}
    amount = numbers.get(layout.amount)
    columns.append(
        (pl.Series([0.0]).new_from_index(0, frame.height) if amount is None else amount).alias(AMOUNT)
    )
    categories = [frame[each].cast(pl.String).alias(each) for each in layout.categories]
    if layout.id:
        _complain_of_twins(frame, layout.id, complain)
    problems.sort(key=lambda each: each.place)
    return Typed(frame.with_columns(*columns, *numbers.values(), *categories), plain, tuple(problems))


def _number(frame: pl.DataFrame, name: str, required: bool, complain) -> pl.Series:
    column = frame[name]
    found = column.cast(pl.Float64, strict=False)
    complain(
        f"{name} not a number",
        found.is_null() & column.is_not_null(),
        lambda i: f"{name} is {_shown(column[i])}; wanted a number{_with_a_point(column[i])}",
    )
    infinite = found.is_infinite().fill_null(False)
    complain(f"{name} infinite", infinite, lambda i: f"{name} is infinite; wanted a number")
    complain(
        f"{name} too large",
        (found.is_finite() & (found.abs() > LARGEST)).fill_null(False),
        lambda i: f"{name} is {found[i]:g}; wanted a number of at most {LARGEST:g}",
    )
    found = found.fill_nan(None)
    if required:
        absent = found.is_null() & (
            column.is_null() | column.cast(pl.Float64, strict=False).is_nan().fill_null(False)
        )
        complain(f"{name} missing", absent, lambda i: f"{name} is missing; wanted a number")
    return found.alias(name)


def _with_a_point(value) -> str:
    """How a number with a comma would be written."""
    found = re.fullmatch(r"\s*(-?\d{1,3}(?:[. ]?\d{3})*),(\d+)\s*", str(value))
    return f" with a decimal point, {re.sub('[. ]', '', found[1])}.{found[2]}" if found else ""


def _complain_of_twins(frame: pl.DataFrame, name: str, complain) -> None:
    ids = frame[name]
    again = ids.is_not_null() & ~ids.is_first_distinct()
    if not again.any():
        return
    firsts = frame.select(pl.col(PLACE).first().over(name).alias("first"))["first"]

    def reason(place):
        file, row = frame[FILE_COLUMN][firsts[place]], frame[ROW_COLUMN][firsts[place]]
        return f"{name} {_shown(ids[place])} came already in {file}, row {row}"

    complain(f"{name} repeated", again, reason)


def label(frame: pl.DataFrame, layout: Layout, positive: str | None, complain=None) -> pl.Series:
    """FRAUD as 1, 0 or null. Raises DataError for labels of more than two kinds; of a few stray ones `complain` is told."""
    if not layout.label or layout.label not in frame.columns:
        return pl.Series(FRAUD, [None], dtype=pl.Float64).new_from_index(0, frame.height).alias(FRAUD)
    column = frame[layout.label]
    texts = column.cast(pl.String).str.strip_chars().str.to_lowercase()
    stray = texts.is_not_null() & ~texts.is_in([*YES, *NO]).fill_null(False)
    if complain and positive is None and 0 < stray.sum() <= STRAY * stray.len():
        wanted = "wanted 1 for fraud and 0 for none"
        name = layout.label
        complain(f"{name} not a label", stray, lambda i: f"{name} is {_shown(column[i])}; {wanted}")
        texts = texts.set(stray, None)
    yes, no = _meaning(texts, layout.label, positive, str(frame[FILE_COLUMN][0]))
    found = pl.Series(FRAUD, [None], dtype=pl.Float64).new_from_index(0, frame.height)
    found = found.set(texts.is_in(no).fill_null(False), 0.0).set(texts.is_in(yes).fill_null(False), 1.0)
    return found.alias(FRAUD)


def _meaning(texts: pl.Series, name: str, positive: str | None, where: str) -> tuple[list[str], list[str]]:
    """The values that say fraud, and those that say none. Raises DataError."""
    values = texts.drop_nulls().unique().sort().to_list()
    shown = ", ".join(values[:5]) + (" ..." if len(values) > 5 else "")
    if positive is not None:
        wanted = positive.strip().lower()
        if wanted not in values and len(values) > 1:
            raise DataError(f"{where}: no row has {name} {positive!r}; there are {shown}")
        return [wanted], [each for each in values if each != wanted]
    strange = [each for each in values if each not in (*YES, *NO)]
    if len(values) > 2 or (strange and len(values) != 2):
        raise DataError(
            f"{where}: {name} has {len(values)} values ({shown}); wanted two, 1 for fraud and 0 for none (or name the one "
            "that says fraud with --positive when training)"
        )
    if strange:
        raise DataError(
            f"{where}: {name} is {shown}: name the one that says fraud with --positive when training"
        )
    return [each for each in values if each in YES], [each for each in values if each in NO]


def _shown(value) -> str:
    return "missing" if value is None else repr(value)
