"""What is wrong with a table of transactions."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import polars as pl

from dltasks.data import tables
from dltasks.data.tables import FILE_COLUMN, ROW_COLUMN
from dltasks.doctor.findings import (
    ERROR,
    NOTE,
    WARNING,
    Finding,
    Inspection,
    Location,
    count_of,
    group_equal,
    indices_by_value,
)
from dltasks.errors import DataError
from dltasks.progress import Progress
from dltasks.tasks.fraud import data, label_issues, layout
from dltasks.tasks.fraud.data import Arranged, Understood
from dltasks.tasks.fraud.reading import Problem
from dltasks.tasks.fraud.times import DAY
from dltasks.tasks.fraud.windows import AMOUNT, FRAUD, MOMENT, PLACE

FEW = 50
"""Frauds below which little is learned of them."""

ABSENT = 0.5
"""Share of a column's values that may be missing before it is said."""

COMPARED = 100_000
"""Rows that columns are compared on."""

TWINS = 0.9999
"""Correlation of two columns that say the same."""

TELLING = 5
"""Columns from which on they may tell frauds without windows over the past."""

NOISE = 0.001
"""Share of the rows that may contradict another before it is a warning."""


def inspect(source, config, progress: Progress) -> Inspection:
    """Findings of a table of transactions. Raises DataError where its columns can't be understood."""
    read = data.understood(source, config)
    rows, problems = read.typed.frame.height, read.typed.problems
    there = [each for each in tables.files(source) if each.is_file()]
    findings = [*_problems(problems, rows, there)]
    progress.update("inspecting", rows // 2, rows)
    if len({each.place for each in problems}) < rows:
        findings += _sensible(read, there, tables.source_name(source))
    progress.update("inspecting", rows, rows)
    return Inspection("fraud", rows, "transactions", tuple(findings))


def _sensible(read: Understood, files: list[Path], where: str) -> Iterator[Finding]:
    """Findings of the rows that make sense."""
    frame = read.typed.without_problems().frame
    yield from _rows(frame, read, files)
    yield from _moments(frame, read, files)
    yield from _amounts(frame, read)
    try:
        found = data.arranged(read)
        yield from _columns(frame, read, found)
        if read.layout.label:
            yield from _labels(frame, read, found, files)
        if not read.config.unsupervised:
            fraud = frame[FRAUD].filter(pl.Series(found.splits == "train")).drop_nulls()
            data.require_both(fraud.to_numpy(), read.layout, where)
            yield from _doubted(frame, read, found)
    except DataError as error:
        advice = (
            "mend what is told above and below first"
            if read.typed.problems
            else "look at the findings on its rows"
        )
        yield Finding("can't be trained on", ERROR, 1, str(error), advice, fatal=True)


def _problems(problems: tuple[Problem, ...], rows: int, files: list[Path]) -> Iterator[Finding]:
    """Rows that make no sense, by what is wrong with them."""
    for kind, positions in indices_by_value([each.kind for each in problems]).items():
        of = [problems[i] for i in positions]
        yield Finding(
            kind,
            ERROR,
            len(of),
            f"{_rows_of(len(of))} of {rows:,} make{'s' * (len(of) == 1)} no sense: {kind}",
            "mend them, or take them out (--fix)",
            tuple(str(each.error()) for each in of),
            _places([(each.file, each.row) for each in of], files),
            fatal=True,
        )


def _columns(frame: pl.DataFrame, read: Understood, found: Arranged) -> Iterator[Finding]:
    """Columns that are constant, leak the label, say the same, or are mostly empty."""
    constant = [each.column for each in found.useless if each.auc is None]
    leaking = [each for each in found.useless if each.auc is not None]
    if constant:
        yield Finding(
            "constant column",
            WARNING,
            len(constant),
            f"{count_of(len(constant), 'column is', 'columns are')} the same, or missing, in all of the training part",
            "left out of the training; remove it, or look why nothing is in it",
            tuple(map(repr, constant)),
        )
    if leaking:
        yield Finding(
            "leaking column",
            WARNING,
            len(leaking),
            f"{count_of(len(leaking), 'column tells', 'columns tell')} the label alone, as if made from it",
            "left out of the training; --number or --category keeps one that is known before the label is",
            tuple(f"{each.column!r} (ROC AUC {each.auc:.4f})" for each in leaking),
        )
    names = [each for each in (*read.layout.numbers, *read.layout.categories) if each not in constant]
    yield from _alike(frame, names)
    empty = [(each, frame[each].null_count() / frame.height) for each in names]
    empty = [(name, share) for name, share in empty if share > ABSENT]
    if empty:
        yield Finding(
            "missing values",
            NOTE,
            len(empty),
            f"{count_of(len(empty), 'column is', 'columns are')} missing in more than half of the rows",
            "the network is told where; remove it if that says nothing",
            tuple(f"{name!r} ({share:.0%})" for name, share in empty),
        )


def _alike(frame: pl.DataFrame, names: list[str]) -> Iterator[Finding]:
    """Columns that are equal, or rise and fall together."""
    part = frame.head(COMPARED)
    hashes = [
        part[each].cast(pl.String).hash().sum() if part[each].null_count() < part.height else None
        for each in names
    ]
    groups = [[names[i] for i in group] for group in group_equal(hashes)]
    groups = [
        group
        for group in groups
        if all(frame[group[0]].equals(frame[each], check_names=False) for each in group)
    ]
    if groups:
        yield Finding(
            "duplicate column",
            WARNING,
            len(groups),
            f"{count_of(len(groups), 'group', 'groups')} of columns with the same values",
            "keep one of each (--ignore leaves the others out)",
            tuple(" = ".join(map(repr, group)) for group in groups),
        )
    numbers = [
        each for each in names if part[each].dtype.is_numeric() and not any(each in g[1:] for g in groups)
    ]
    pairs = list(_correlated(part, numbers))
    if pairs:
        yield Finding(
            "correlated columns",
            NOTE,
            len(pairs),
            f"{count_of(len(pairs), 'pair', 'pairs')} of columns say the same (correlation above {TWINS})",
            "one of them is enough",
            tuple(f"{one!r} and {other!r}" for one, other in pairs),
        )


def _correlated(part: pl.DataFrame, names: list[str]) -> Iterator[tuple[str, str]]:
    if len(names) < 2 or part.height < 3:
        return
    values = part.select(pl.col(names).cast(pl.Float64).fill_null(strategy="mean").fill_null(0)).to_numpy()
    varying = values.std(axis=0) > 0
    names, values = [n for n, v in zip(names, varying, strict=True) if v], values[:, varying]
    together = np.abs(np.atleast_2d(np.corrcoef(values, rowvar=False))) > TWINS
    for one, other in zip(*np.nonzero(np.triu(together, 1)), strict=True):
        yield names[one], names[other]


def _rows(frame: pl.DataFrame, read: Understood, files: list[Path]) -> Iterator[Finding]:
    """Rows that come again, those that contradict another, missing labels, and few frauds."""
    plain = frame.select(FILE_COLUMN, ROW_COLUMN, PLACE)
    own = [each for each in layout.flat(read.typed.plain) if each != read.layout.id]
    plain = plain.hstack(read.typed.plain[frame[PLACE].to_list()].select(own)) if own else plain
    label = read.layout.label
    again = plain.filter(~pl.struct(own).is_first_distinct()) if own else plain.clear()
    if again.height:
        yield Finding(
            "identical",
            WARNING if again.height > NOISE * frame.height else NOTE,
            again.height,
            f"{_rows_of(again.height)} {'is' if again.height == 1 else 'are'} equal to another in all columns"
            + (f" but {read.layout.id!r}" if read.layout.id else ""),
            "if they were written twice, --fix leaves one of each",
            tuple(_told(again)),
            _places(again.select(FILE_COLUMN, ROW_COLUMN).iter_rows(), files),
        )
    if label is None:
        return
    rest = [each for each in own if each != label]
    noisy = (
        plain.with_columns(frame[FRAUD]).filter(pl.col(FRAUD).n_unique().over(rest) > 1)
        if rest
        else plain.clear()
    )
    if noisy.height:
        yield Finding(
            "label noise",
            WARNING if noisy.height > NOISE * frame.height else NOTE,
            noisy.height,
            f"{_rows_of(noisy.height)} {'is' if noisy.height == 1 else 'are'} equal to another in all but {label!r}",
            "one of them has a wrong label: mend it, or take all out (--fix)",
            tuple(_told(noisy.sort(rest))),
            _places(noisy.select(FILE_COLUMN, ROW_COLUMN).iter_rows(), files),
        )


def _doubted(frame: pl.DataFrame, read: Understood, found: Arranged) -> Iterator[Finding]:
    """Labels that the other columns speak against; found where scikit-learn is installed, and columns say enough."""
    left = {each.column for each in found.useless}
    names = [each for each in (*read.layout.numbers, *read.layout.categories) if each not in left]
    known = frame.filter(pl.col(FRAUD).is_not_null())
    if len(names) < TELLING or find_spec("sklearn") is None:
        return
    doubts = label_issues.doubtful(known.select(names), (known[FRAUD] == 1).to_numpy())
    if doubts is None:
        return
    for places, are, look in zip(doubts, ("genuine", "frauds"), ("frauds", "genuine"), strict=True):
        if len(places):
            yield Finding(
                "doubtful label",
                NOTE,
                len(places),
                f"{_rows_of(len(places))} {'is' if len(places) == 1 else 'are'} labelled as {are} and look{'s' * (len(places) == 1)} like "
                f"{look} to trees that were trained on the others",
                "look at them by hand",
                tuple(_told(known[places])),
            )


def _moments(frame: pl.DataFrame, read: Understood, files: list[Path]) -> Iterator[Finding]:
    """Times that lie far from those of nearly all rows."""
    if not read.layout.time or not read.clock.dated:
        return
    moments = frame[MOMENT]
    low, high = (moments.quantile(share, "nearest") for share in (0.01, 0.99))
    span = max(high - low, DAY)
    far = frame.filter((moments < low - span) | (moments > high + span))
    if far.height:
        tell = read.clock.told
        yield Finding(
            "time far from the others",
            WARNING,
            far.height,
            f"{_rows_of(far.height)} lie{'s' * (far.height == 1)} far from the time of nearly all others, {tell(low)} until {tell(high)}",
            "they move where training ends and judging begins: mend them, or take them out (--fix)",
            tuple(f"{name}: {tell(at)}" for name, at in zip(_told(far), far[MOMENT], strict=True)),
            _places(far.select(FILE_COLUMN, ROW_COLUMN).iter_rows(), files),
        )


def _amounts(frame: pl.DataFrame, read: Understood) -> Iterator[Finding]:
    """Amounts out of the ordinary, and sides of a payment that are not named."""
    if read.layout.amount:
        amounts = frame[AMOUNT]
        most = 100 * max(float(amounts.quantile(0.99) or 0), 1.0)
        for kind, there, told, advice in (
            ("negative amount", amounts < 0, "below zero", "if they are refunds, leave them; else mend them"),
            (
                "large amount",
                amounts > most,
                f"above {most:,.0f}, 100 times all but the largest",
                "look at them",
            ),
        ):
            rows = frame.filter(there.fill_null(False))
            if rows.height:
                found = f"{_rows_of(rows.height)} with an amount {told}"
                yield Finding(kind, NOTE, rows.height, found, advice, tuple(_told(rows)))
    for name in read.layout.entities:
        rows = frame.filter(pl.col(name).is_null())
        if rows.height:
            found = f"{_rows_of(rows.height)} without {name!r}"
            advice = "they have no past; fill it in if it is known"
            yield Finding("missing entity", NOTE, rows.height, found, advice, tuple(_told(rows)))


def _labels(frame: pl.DataFrame, read: Understood, found: Arranged, files: list[Path]) -> Iterator[Finding]:
    part = frame.filter(pl.Series(found.splits == "train"))
    absent = part.filter(pl.col(FRAUD).is_null())
    if absent.height:
        yield Finding(
            "label missing",
            ERROR,
            absent.height,
            f"{_rows_of(absent.height)} to train on without {read.layout.label!r}",
            "give them one, or take them out (--fix)",
            tuple(_told(absent)),
            _places(absent.select(FILE_COLUMN, ROW_COLUMN).iter_rows(), files),
            fatal=True,
        )
    fraud = part[FRAUD]
    count = int((fraud == 1).sum())
    if 0 < count < FEW:
        yield Finding(
            "few frauds",
            WARNING,
            count,
            f"{count_of(count, 'fraud', 'frauds')} among {len(fraud):,} transactions to train on",
            "with fewer than 50 the scores say little: train on a longer time",
        )
    judged = frame[FRAUD].filter(pl.Series(found.splits == "test"))
    if len(judged) and not (judged == 1).any():
        yield Finding(
            "no frauds to judge by",
            WARNING,
            len(judged),
            f"none of the {len(judged):,} transactions to judge by is a fraud",
            "judge a longer time (--test-from)",
        )


def _places(rows, files: list[Path]) -> tuple[Location, ...]:
    known = {str(each): each for each in files}
    return tuple(Location(known[str(file)], row) for file, row in rows if str(file) in known)


def _told(rows: pl.DataFrame) -> Iterator[str]:
    alone = rows[FILE_COLUMN].n_unique() == 1
    return (
        f"row {row}" if alone else f"{file}, row {row}"
        for file, row in rows.select(FILE_COLUMN, ROW_COLUMN).iter_rows()
    )


def _rows_of(count: int) -> str:
    return count_of(count, "row", "rows")
