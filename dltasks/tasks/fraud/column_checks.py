"""Findings about columns: constant, leaking, repeated, correlated and mostly empty ones."""

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from dltasks.doctor.findings import NOTE, WARNING, Finding, count_of, group_equal
from dltasks.tasks.fraud.layout import Layout
from dltasks.tasks.fraud.leakage import DroppedColumn

MAX_MISSING_FRACTION = 0.5
"""Maximum fraction of missing values in a column without a finding."""

MAX_COMPARED_ROWS = 100_000
"""Maximum number of rows that columns are compared on."""

MIN_CORRELATION = 0.9999
"""Minimum correlation of two columns that hold the same information."""


def check_columns(frame: pl.DataFrame, layout: Layout, dropped: Sequence[DroppedColumn]) -> Iterator[Finding]:
    """Findings about the columns of the usable rows."""
    constant = [column.column for column in dropped if column.auc is None]
    leaking = [column for column in dropped if column.auc is not None]
    if constant:
        yield Finding(
            "constant column",
            WARNING,
            len(constant),
            f"{count_of(len(constant), 'column is', 'columns are')} constant or missing throughout "
            "the training split",
            "left out of the training; remove it, or find out why it is empty",
            tuple(map(repr, constant)),
        )
    if leaking:
        yield Finding(
            "target leakage",
            WARNING,
            len(leaking),
            f"{count_of(len(leaking), 'column predicts', 'columns predict')} the label by itself, as if "
            "derived from it",
            "left out of the training; --number or --category keeps one that is known before the label is",
            tuple(f"{column.column!r} (ROC AUC {column.auc:.4f})" for column in leaking),
        )
    varying = layout.without(constant)
    names = [*varying.numbers, *varying.categories]
    yield from _check_similar_columns(frame, names)
    yield from _check_missing_values(frame, names)


def _check_missing_values(frame: pl.DataFrame, names: list[str]) -> Iterator[Finding]:
    fractions = {name: frame[name].null_count() / frame.height for name in names}
    empty = {name: fraction for name, fraction in fractions.items() if fraction > MAX_MISSING_FRACTION}
    if empty:
        yield Finding(
            "missing values",
            NOTE,
            len(empty),
            f"{count_of(len(empty), 'column is', 'columns are')} missing in more than half of the rows",
            "the network sees where values are missing; remove the column if that means nothing",
            tuple(f"{name!r} ({fraction:.0%})" for name, fraction in empty.items()),
        )


def _check_similar_columns(frame: pl.DataFrame, names: list[str]) -> Iterator[Finding]:
    """Columns that are equal, or correlated."""
    sample = frame.head(MAX_COMPARED_ROWS)
    groups = _equal_columns(frame, sample, names)
    if groups:
        yield Finding(
            "duplicate column",
            WARNING,
            len(groups),
            f"{count_of(len(groups), 'group', 'groups')} of columns with the same values",
            "keep one of each group (--ignore leaves the others out)",
            tuple(" = ".join(map(repr, group)) for group in groups),
        )
    repeated = {name for group in groups for name in group[1:]}
    numbers = [name for name in names if sample[name].dtype.is_numeric() and name not in repeated]
    pairs = list(_correlated_pairs(sample, numbers))
    if pairs:
        yield Finding(
            "correlated columns",
            NOTE,
            len(pairs),
            f"{count_of(len(pairs), 'pair', 'pairs')} of columns with a correlation above {MIN_CORRELATION}",
            "one of each pair is enough",
            tuple(f"{first!r} and {second!r}" for first, second in pairs),
        )


def _equal_columns(frame: pl.DataFrame, sample: pl.DataFrame, names: list[str]) -> list[list[str]]:
    """Groups of two or more columns with the same values."""
    hashes = [
        sample[name].cast(pl.String).hash().sum() if sample[name].null_count() < sample.height else None
        for name in names
    ]
    groups = [[names[i] for i in indices] for indices in group_equal(hashes)]
    return [
        group
        for group in groups
        if all(frame[group[0]].equals(frame[name], check_names=False) for name in group)
    ]


def _correlated_pairs(sample: pl.DataFrame, names: list[str]) -> Iterator[tuple[str, str]]:
    if len(names) < 2 or sample.height < 3:
        return
    values = sample.select(pl.col(names).cast(pl.Float64).fill_null(strategy="mean").fill_null(0)).to_numpy()
    is_varying = values.std(axis=0) > 0
    names = [name for name, varies in zip(names, is_varying, strict=True) if varies]
    correlations = np.atleast_2d(np.corrcoef(values[:, is_varying], rowvar=False))
    pairs = np.triu(np.abs(correlations) > MIN_CORRELATION, 1)
    for first, second in zip(*np.nonzero(pairs), strict=True):
        yield names[first], names[second]
