"""Findings about rows: repeated and contradicting ones, outliers, and labels that look wrong."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import polars as pl

from dltasks.data.tables import FILE_COLUMN, ROW_COLUMN
from dltasks.doctor.findings import NOTE, WARNING, Finding, Location, count_of
from dltasks.tasks.fraud.data import ParsedTable
from dltasks.tasks.fraud.label_issues import find_label_issues
from dltasks.tasks.fraud.layout import Layout, flat_columns
from dltasks.tasks.fraud.leakage import DroppedColumn
from dltasks.tasks.fraud.times import DAY
from dltasks.tasks.fraud.windows import AMOUNT, FRAUD, INDEX, TIMESTAMP

MIN_LABEL_ISSUE_COLUMNS = 5
"""Minimum number of columns that may predict frauds without windows over the past."""

MAX_NOTED_FRACTION = 0.001
"""Maximum fraction of repeated or contradicting rows for a note and not a warning."""


def check_repeated_rows(frame: pl.DataFrame, table: ParsedTable, paths: list[Path]) -> Iterator[Finding]:
    """Rows that repeat another, or have another label than an equal one."""
    layout = table.layout
    rows = frame.select(FILE_COLUMN, ROW_COLUMN, INDEX, FRAUD)
    columns = [name for name in flat_columns(table.typed.original) if name != layout.id]
    if not columns:
        return
    rows = rows.hstack(table.typed.original[frame[INDEX].to_list()].select(columns))
    repeated = rows.filter(~pl.struct(columns).is_first_distinct())
    if repeated.height:
        yield Finding(
            "duplicate row",
            _severity(repeated, frame),
            repeated.height,
            f"{_rows_equal(repeated)} in all columns" + (f" but {layout.id!r}" if layout.id else ""),
            "if they were written twice, --fix leaves one of each",
            tuple(name_rows(repeated)),
            locate(repeated, paths),
        )
    features = [name for name in columns if name != layout.label]
    if layout.label is None or not features:
        return
    noisy = rows.filter(pl.col(FRAUD).n_unique().over(features) > 1)
    if noisy.height:
        yield Finding(
            "label noise",
            _severity(noisy, frame),
            noisy.height,
            f"{_rows_equal(noisy)} in all columns but {layout.label!r}",
            "one of them has a wrong label: fix it, or remove all (--fix)",
            tuple(name_rows(noisy.sort(features))),
            locate(noisy, paths),
        )


def _severity(rows: pl.DataFrame, frame: pl.DataFrame) -> str:
    return WARNING if rows.height > MAX_NOTED_FRACTION * frame.height else NOTE


def _rows_equal(rows: pl.DataFrame) -> str:
    return f"{count_of(rows.height, 'row is', 'rows are')} equal to another"


def check_times(frame: pl.DataFrame, table: ParsedTable, paths: list[Path]) -> Iterator[Finding]:
    """Times far from those of nearly all rows."""
    if not table.layout.time or not table.time_parser.has_dates:
        return
    timestamps = frame[TIMESTAMP]
    low: Any = timestamps.quantile(0.01, "nearest")
    high: Any = timestamps.quantile(0.99, "nearest")
    span = max(high - low, DAY)
    outliers = frame.filter((timestamps < low - span) | (timestamps > high + span))
    if outliers.height:
        format = table.time_parser.format_timestamp
        names = zip(name_rows(outliers), outliers[TIMESTAMP], strict=True)
        yield Finding(
            "time outlier",
            WARNING,
            outliers.height,
            f"{count_of(outliers.height, 'row lies', 'rows lie')} far from the time of nearly all others, "
            f"{format(low)} until {format(high)}",
            "they shift the training and test periods: fix or remove them (--fix)",
            tuple(f"{name}: {format(timestamp)}" for name, timestamp in names),
            locate(outliers, paths),
        )


@dataclass(frozen=True)
class _AmountRule:
    """A range of unusual amounts. low: exclusive lower bound, high: exclusive upper bound."""

    kind: str
    low: float
    high: float
    description: str
    fix: str


def check_amounts(frame: pl.DataFrame, table: ParsedTable) -> Iterator[Finding]:
    """Unusual amounts."""
    if not table.layout.amount:
        return
    amounts = frame[AMOUNT]
    limit = 100 * max(float(amounts.quantile(0.99) or 0), 1.0)
    infinity = float("inf")
    rules = (
        _AmountRule("negative amount", -infinity, 0, "below zero", "leave refunds as they are; fix others"),
        _AmountRule(
            "large amount",
            limit,
            infinity,
            f"above {limit:,.0f}, 100 times the 99th percentile",
            "check them by hand",
        ),
    )
    for rule in rules:
        rows = frame.filter(((amounts > rule.low) & (amounts < rule.high)).fill_null(False))
        if rows.height:
            message = f"{count_rows(rows.height)} with an amount {rule.description}"
            yield Finding(rule.kind, NOTE, rows.height, message, rule.fix, tuple(name_rows(rows)))


def check_entities(frame: pl.DataFrame, table: ParsedTable) -> Iterator[Finding]:
    """Rows without a card or another side of the payment."""
    for name in table.layout.entities:
        rows = frame.filter(pl.col(name).is_null())
        if rows.height:
            message = f"{count_rows(rows.height)} without {name!r}"
            fix = "they have no past; fill the column in where it is known"
            yield Finding("missing entity", NOTE, rows.height, message, fix, tuple(name_rows(rows)))


def check_label_issues(
    frame: pl.DataFrame, layout: Layout, dropped: Sequence[DroppedColumn]
) -> Iterator[Finding]:
    """Labels that contradict the other columns; needs scikit-learn."""
    names = layout.without([column.column for column in dropped])
    columns = [*names.numbers, *names.categories]
    labeled = frame.filter(pl.col(FRAUD).is_not_null())
    if len(columns) < MIN_LABEL_ISSUE_COLUMNS or find_spec("sklearn") is None:
        return
    issues = find_label_issues(labeled.select(columns), (labeled[FRAUD] == 1).to_numpy())
    if issues is None:
        return
    for indices, label, other in zip(issues, ("genuine", "frauds"), ("frauds", "genuine"), strict=True):
        if len(indices):
            verb = "looks" if len(indices) == 1 else "look"
            yield Finding(
                "label issue",
                NOTE,
                len(indices),
                f"{count_of(len(indices), 'row is', 'rows are')} labeled as {label} and {verb} like {other} "
                "to trees trained on the other rows",
                "check them by hand",
                tuple(name_rows(labeled[indices])),
            )


def locate(rows: pl.DataFrame | Iterable[tuple[Any, int]], paths: list[Path]) -> tuple[Location, ...]:
    """Where these rows, or these pairs of file and row, are; without those of no file."""
    if isinstance(rows, pl.DataFrame):
        rows = rows.select(FILE_COLUMN, ROW_COLUMN).iter_rows()
    by_name = {str(path): path for path in paths}
    return tuple(Location(by_name[str(file)], row) for file, row in rows if str(file) in by_name)


def name_rows(rows: pl.DataFrame) -> Iterator[str]:
    """Names of rows for people, with the file where there are several."""
    one_file = rows[FILE_COLUMN].n_unique() == 1
    pairs = rows.select(FILE_COLUMN, ROW_COLUMN).iter_rows()
    return (f"row {row}" if one_file else f"{file}, row {row}" for file, row in pairs)


def count_rows(count: int) -> str:
    """ "1 row" or "12 rows"."""
    return count_of(count, "row", "rows")
