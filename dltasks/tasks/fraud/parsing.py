"""From a table as it was read to typed columns, and the rows that cannot be used."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from dltasks.data.tables import FILE_COLUMN, ROW_COLUMN
from dltasks.errors import DataError
from dltasks.tasks.fraud.layout import Layout
from dltasks.tasks.fraud.times import TimeParser, refit_date_order
from dltasks.tasks.fraud.windows import AMOUNT, FRAUD, INDEX, TIMESTAMP

FRAUD_VALUES = ("1", "1.0", "true", "t", "yes", "y", "fraud", "fraudulent")
GENUINE_VALUES = (
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

MAX_STRAY_FRACTION = 0.02
"""Maximum fraction of labels with another value; with more of them the column is another kind of label."""

MAX_NUMBER = 1e30
"""Largest number taken for a measurement; single precision, which networks compute in, ends soon after."""


@dataclass(frozen=True)
class RowProblem:
    """A row that cannot be used.

    Attributes:
        index: of the row in the frame.
        file: that holds the row.
        row: its number in the file, from 1.
        reason: for people.
        kind: of the reason.
    """

    index: int
    file: str
    row: int
    reason: str
    kind: str

    def error(self) -> DataError:
        return DataError(f"{self.file}, row {self.row}: {self.reason}")


@dataclass(frozen=True, eq=False)
class TypedTable:
    """A table with typed columns.

    Attributes:
        frame: INDEX, TIMESTAMP, AMOUNT, FRAUD, and the numbers and categories by name.
        original: the table as it was read; INDEX counts its rows.
        problems: the rows that cannot be used.
    """

    frame: pl.DataFrame
    original: pl.DataFrame
    problems: tuple[RowProblem, ...] = ()

    def without_problems(self) -> "TypedTable":
        """Only the rows that can be used, with the same problems."""
        if not self.problems:
            return self
        usable = np.setdiff1d(np.arange(self.frame.height), [problem.index for problem in self.problems])
        return TypedTable(self.frame[usable], self.original, self.problems)


class _ProblemLog:
    """Collects the problems of a frame."""

    def __init__(self, frame: pl.DataFrame):
        self.frame, self.problems = frame, list[RowProblem]()

    def add(self, kind: str, mask: pl.Series, reason: Callable[[int], str]) -> None:
        """A problem for each true row. reason: from an index to text."""
        for index in mask.arg_true().to_list():
            file, row = str(self.frame[FILE_COLUMN][index]), int(self.frame[ROW_COLUMN][index])
            self.problems.append(RowProblem(index, file, row, reason(index), kind))


def parse_columns(
    frame: pl.DataFrame,
    layout: Layout,
    time_parser: TimeParser | None,
    positive_label: str | None,
    latest: int | None,
) -> TypedTable:
    """The frame with its columns as numbers, timestamps and texts.

    positive_label: the value that means fraud, where it is not one of FRAUD_VALUES. latest: a timestamp;
    later ones lie in the future. Raises DataError for labels of more than two kinds.
    """
    original, frame = frame.drop(FILE_COLUMN, ROW_COLUMN), frame.with_row_index(INDEX)
    if layout.id and layout.id not in frame.columns:
        frame = frame.with_columns(pl.lit(None, dtype=pl.String).alias(layout.id))
    log = _ProblemLog(frame)
    labels = parse_labels(frame, layout, positive_label, log)
    timestamps = _parse_timestamps(frame, layout.time, time_parser, latest, log)
    numbers = {name: _parse_number(frame, name, name == layout.amount, log) for name in layout.numbers}
    amount = numbers[layout.amount] if layout.amount in numbers else _constant(0.0, pl.Float64, frame.height)
    categories = [frame[name].cast(pl.String).alias(name) for name in layout.categories]
    if layout.id:
        _check_repeated_ids(frame, layout.id, log)
    columns = [labels, timestamps, amount.alias(AMOUNT), *numbers.values(), *categories]
    problems = sorted(log.problems, key=lambda problem: problem.index)
    return TypedTable(frame.with_columns(*columns), original, tuple(problems))


def _constant(value: Any, dtype: Any, count: int) -> pl.Series:
    return pl.repeat(value, count, dtype=dtype, eager=True)


def _parse_timestamps(
    frame: pl.DataFrame, name: str | None, parser: TimeParser | None, latest: int | None, log: _ProblemLog
) -> pl.Series:
    if name is None or parser is None:
        return _constant(0, pl.Int64, frame.height).alias(TIMESTAMP)
    column = frame[name]
    fitted = refit_date_order(parser, column, str(frame[FILE_COLUMN][0]))
    timestamps, expected = fitted.timestamps(column), fitted.expected_format(column)
    log.add(
        f"{name} not a time",
        timestamps.is_null(),
        lambda i: f"{name} is {_display(column[i])}; expected {expected}",
    )
    if latest is not None and fitted.has_dates:
        log.add(
            f"{name} in the future",
            (timestamps > latest).fill_null(False),
            lambda i: f"{name} is {fitted.format_timestamp(timestamps[i])}, which is in the future",
        )
    return timestamps.alias(TIMESTAMP)


def _parse_number(frame: pl.DataFrame, name: str, is_required: bool, log: _ProblemLog) -> pl.Series:
    column = frame[name]
    numbers = column.cast(pl.Float64, strict=False)
    log.add(
        f"{name} not a number",
        numbers.is_null() & column.is_not_null(),
        lambda i: f"{name} is {_display(column[i])}; expected a number{_decimal_point_hint(column[i])}",
    )
    infinite = numbers.is_infinite().fill_null(False)
    log.add(f"{name} infinite", infinite, lambda i: f"{name} is infinite; expected a number")
    log.add(
        f"{name} too large",
        (numbers.is_finite() & (numbers.abs() > MAX_NUMBER)).fill_null(False),
        lambda i: f"{name} is {numbers[i]:g}; expected a number of at most {MAX_NUMBER:g}",
    )
    if is_required:
        missing = column.is_null() | numbers.is_nan().fill_null(False)
        log.add(f"{name} missing", missing, lambda i: f"{name} is missing; expected a number")
    return numbers.fill_nan(None).alias(name)


def _decimal_point_hint(value: Any) -> str:
    """How a number with a decimal comma would be written."""
    match = re.fullmatch(r"\s*(-?\d{1,3}(?:[. ]?\d{3})*),(\d+)\s*", str(value))
    return f" with a decimal point, {re.sub('[. ]', '', match[1])}.{match[2]}" if match else ""


def _check_repeated_ids(frame: pl.DataFrame, name: str, log: _ProblemLog) -> None:
    ids = frame[name]
    repeated = ids.is_not_null() & ~ids.is_first_distinct()
    if not repeated.any():
        return
    first = frame.select(pl.col(INDEX).first().over(name).alias("first"))["first"]

    def reason(index: int) -> str:
        file, row = frame[FILE_COLUMN][first[index]], frame[ROW_COLUMN][first[index]]
        return f"{name} {_display(ids[index])} is already in {file}, row {row}"

    log.add(f"{name} repeated", repeated, reason)


def parse_labels(
    frame: pl.DataFrame, layout: Layout, positive_label: str | None, log: _ProblemLog | None = None
) -> pl.Series:
    """FRAUD as 1, 0 or null.

    log: takes a few stray labels. Raises DataError for labels of more than two kinds.
    """
    unknown = _constant(None, pl.Float64, frame.height).alias(FRAUD)
    name = layout.label
    if not name or name not in frame.columns:
        return unknown
    column = frame[name]
    texts = column.cast(pl.String).str.strip_chars().str.to_lowercase()
    stray = texts.is_not_null() & ~texts.is_in([*FRAUD_VALUES, *GENUINE_VALUES]).fill_null(False)
    if log and positive_label is None and 0 < stray.sum() <= MAX_STRAY_FRACTION * stray.len():
        log.add(
            f"{name} not a label",
            stray,
            lambda i: f"{name} is {_display(column[i])}; expected 1 for fraud and 0 for none",
        )
        texts = texts.set(stray, None)
    fraud, genuine = _label_values(texts, name, positive_label, str(frame[FILE_COLUMN][0]))
    labels = unknown.set(texts.is_in(genuine).fill_null(False), 0.0)
    return labels.set(texts.is_in(fraud).fill_null(False), 1.0)


def _label_values(
    texts: pl.Series, name: str, positive_label: str | None, where: str
) -> tuple[list[str], list[str]]:
    """The values that mean fraud, and those that mean none. Raises DataError."""
    values = texts.drop_nulls().unique().sort().to_list()
    shown = ", ".join(values[:5]) + (" ..." if len(values) > 5 else "")
    if positive_label is not None:
        positive = positive_label.strip().lower()
        if positive not in values and len(values) > 1:
            raise DataError(f"{where}: no row has {name} {positive_label!r}; the values are {shown}")
        return [positive], [value for value in values if value != positive]
    unknown = [value for value in values if value not in (*FRAUD_VALUES, *GENUINE_VALUES)]
    if len(values) > 2 or (unknown and len(values) != 2):
        raise DataError(
            f"{where}: {name} has {len(values)} values ({shown}); expected two, 1 for fraud and 0 for none "
            "(or name the one that means fraud with --positive-label when training)"
        )
    if unknown:
        raise DataError(
            f"{where}: {name} is {shown}: name the value that means fraud with --positive-label when training"
        )
    return [v for v in values if v in FRAUD_VALUES], [v for v in values if v in GENUINE_VALUES]


def _display(value: Any) -> str:
    return "missing" if value is None else repr(value)
