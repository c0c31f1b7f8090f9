"""Inspection of a table of transactions for `dltasks doctor`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from dltasks.data import tables
from dltasks.doctor.findings import (
    ERROR,
    WARNING,
    Finding,
    Inspection,
    Location,
    count_of,
    indices_by_value,
)
from dltasks.errors import DataError
from dltasks.progress import Progress
from dltasks.tasks.fraud.column_checks import check_columns
from dltasks.tasks.fraud.config import FraudConfig
from dltasks.tasks.fraud.data import ParsedTable, SplitTable, parse_table, require_both_classes, split_table
from dltasks.tasks.fraud.parsing import RowProblem
from dltasks.tasks.fraud.row_checks import (
    check_amounts,
    check_entities,
    check_label_issues,
    check_repeated_rows,
    check_times,
    count_rows,
    locate,
    name_rows,
)
from dltasks.tasks.fraud.windows import FRAUD

MIN_FRAUDS = 50
"""Minimum number of training frauds for scores that mean something."""


def inspect(source: Any, config: FraudConfig, progress: Progress) -> Inspection:
    """Findings in a table of transactions. Raises DataError where its columns cannot be read."""
    table = parse_table(source, config)
    count, problems = table.typed.frame.height, table.typed.problems
    paths = [path for path in tables.files(source) if path.is_file()]
    findings = list(_check_problems(problems, count, paths))
    progress.update("inspecting", count // 2, count)
    if len({problem.index for problem in problems}) < count:
        findings += _check_usable_rows(table, paths, tables.source_name(source))
    progress.update("inspecting", count, count)
    return Inspection("fraud", count, "transactions", tuple(findings))


def _check_usable_rows(table: ParsedTable, paths: list[Path], where: str) -> Iterator[Finding]:
    """Findings in the rows without problems."""
    frame = table.typed.without_problems().frame
    yield from check_repeated_rows(frame, table, paths)
    yield from check_times(frame, table, paths)
    yield from check_amounts(frame, table)
    yield from check_entities(frame, table)
    try:
        divided = split_table(table)
        yield from check_columns(frame, table.layout, divided.dropped)
        if table.layout.label:
            yield from _check_labels(frame, table, divided, paths)
        if not table.config.unsupervised:
            fraud = frame[FRAUD].filter(pl.Series(divided.splits == "train")).drop_nulls()
            require_both_classes(fraud.to_numpy(), table.layout, where)
            yield from check_label_issues(frame, table.layout, divided.dropped)
    except DataError as error:
        fix = (
            "fix the other findings first" if table.typed.problems else "look at the findings about its rows"
        )
        yield Finding("unusable data", ERROR, 1, str(error), fix, fatal=True)


def _check_problems(problems: tuple[RowProblem, ...], count: int, paths: list[Path]) -> Iterator[Finding]:
    """Rows that cannot be used, by the kind of their problem."""
    for kind, indices in indices_by_value([problem.kind for problem in problems]).items():
        rows = [problems[i] for i in indices]
        yield Finding(
            kind,
            ERROR,
            len(rows),
            f"{count_rows(len(rows))} of {count:,} cannot be used: {kind}",
            "fix or remove them (--fix)",
            tuple(str(problem.error()) for problem in rows),
            _locate_problems(rows, paths),
            fatal=True,
        )


def _locate_problems(problems: list[RowProblem], paths: list[Path]) -> tuple[Location, ...]:
    return locate(((problem.file, problem.row) for problem in problems), paths)


def _check_labels(
    frame: pl.DataFrame, table: ParsedTable, divided: SplitTable, paths: list[Path]
) -> Iterator[Finding]:
    """Missing training labels, and splits with few frauds or none."""
    train = frame.filter(pl.Series(divided.splits == "train"))
    unlabeled = train.filter(pl.col(FRAUD).is_null())
    if unlabeled.height:
        yield Finding(
            "label missing",
            ERROR,
            unlabeled.height,
            f"{count_of(unlabeled.height, 'training row has', 'training rows have')} no "
            f"{table.layout.label!r}",
            "label or remove them (--fix)",
            tuple(name_rows(unlabeled)),
            locate(unlabeled, paths),
            fatal=True,
        )
    frauds = int((train[FRAUD] == 1).sum())
    if 0 < frauds < MIN_FRAUDS:
        yield Finding(
            "few frauds",
            WARNING,
            frauds,
            f"{count_of(frauds, 'fraud', 'frauds')} among {train.height:,} training transactions",
            f"with fewer than {MIN_FRAUDS} the scores mean little: train on a longer period",
        )
    test = frame[FRAUD].filter(pl.Series(divided.splits == "test"))
    if len(test) and not (test == 1).any():
        yield Finding(
            "no test frauds",
            WARNING,
            len(test),
            f"none of the {len(test):,} test transactions is a fraud",
            "test on a longer period (--test-from)",
        )
