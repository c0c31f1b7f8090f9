"""Tables of transactions, read to train on, to evaluate on, or to score."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl

from dltasks.data import tables
from dltasks.data.batch import Batch
from dltasks.data.tables import FILE_COLUMN, ROW_COLUMN
from dltasks.errors import DataError
from dltasks.tasks.fraud import layout as layouts
from dltasks.tasks.fraud import split
from dltasks.tasks.fraud.config import FraudConfig
from dltasks.tasks.fraud.features import FeaturePipeline
from dltasks.tasks.fraud.layout import LABEL_NAMES, MAX_VOCABULARY, SPLIT_COLUMN, Layout
from dltasks.tasks.fraud.leakage import DroppedColumn, find_dropped_columns
from dltasks.tasks.fraud.parsing import RowProblem, TypedTable, parse_columns
from dltasks.tasks.fraud.split import TimeSplit
from dltasks.tasks.fraud.times import DAY, SECOND, TimeParser, infer_time_parser, parse_duration
from dltasks.tasks.fraud.transactions import Transactions, TransactionTable, build_table


@dataclass(frozen=True, eq=False)
class ParsedTable:
    """A table to train on as it was read.

    Attributes:
        layout: the role of each column.
        time_parser: of the time column.
        typed: all rows, and the problems of some.
        config: of the training, without columns that the table itself rules out.
        notes: for the user.
    """

    layout: Layout
    time_parser: TimeParser
    typed: TypedTable
    config: FraudConfig
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class SplitTable:
    """The splits of the usable rows of a table.

    Attributes:
        label_delay: microseconds.
        splits: of each row.
        time_split: the periods, where time divides the rows.
        dropped: columns left out of the training.
        notes: for the user.
    """

    label_delay: int
    splits: np.ndarray
    time_split: TimeSplit | None
    dropped: tuple[DroppedColumn, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class ScoringInput:
    """Transactions to be scored.

    Attributes:
        transactions: the usable rows, with features.
        typed: the usable rows, typed.
        original: all rows as they were read.
        problems: the rows that cannot be scored.
    """

    transactions: Transactions
    typed: pl.DataFrame
    original: pl.DataFrame
    problems: tuple[RowProblem, ...]


def parse_table(source: Any, config: FraudConfig) -> ParsedTable:
    """The roles of a table's columns, and its rows typed. Raises DataError."""
    where = tables.source_name(source)
    frame = tables.read_table(source)
    config, notes = _ignore_label(frame, config)
    layout = layouts.detect_layout(frame, config, where)
    layouts.check_key_columns(frame, layout)
    parser = infer_time_parser(frame[layout.time], config, where) if layout.time else TimeParser()
    typed = parse_columns(frame, layout, parser, config.positive_label, _tomorrow())
    return ParsedTable(layout, parser, typed, config, tuple(notes))


def split_table(table: ParsedTable) -> SplitTable:
    """The splits of the usable rows. Raises DataError."""
    layout, parser, config = table.layout, table.time_parser, table.config
    frame = table.typed.without_problems().frame
    delay, delay_notes = split.resolve_label_delay(frame, layout, config)
    splits, time_split, split_notes = split.assign_splits(frame, layout, parser, config, delay)
    dropped = tuple(find_dropped_columns(frame.filter(splits == "train"), layout, config))
    names = [column.column for column in dropped]
    columns = [*table.typed.original.columns, FILE_COLUMN, ROW_COLUMN]
    notes = layouts.describe_columns(layout.without(names), columns, (*config.ignore, *names))
    notes += [*table.notes, *(column.reason() for column in dropped), *delay_notes, *split_notes]
    if layout.time and not parser.has_dates:
        notes.append(
            f"0 of {layout.time!r} is taken for midnight, and weekends are unknown; --time-origin gives its "
            "date"
        )
    return SplitTable(delay, splits, time_split, dropped, tuple(notes))


def load_training_examples(source: Any, config: FraudConfig) -> Batch:
    """The training, validation and test examples; other transactions only feed their features.

    Raises DataError for the first unusable row, with the number of the others.
    """
    where = tables.source_name(source)
    parsed = parse_table(source, config)
    config, parser, frame = parsed.config, parsed.time_parser, _require_usable(parsed.typed)
    divided = split_table(parsed)
    splits, time_split, notes = divided.splits, divided.time_split, list(divided.notes)
    layout = parsed.layout.without([column.column for column in divided.dropped])
    pipeline = _fit_pipeline(frame.filter(splits == "train"), layout, parser, config, divided.label_delay)
    _require_features(pipeline, config, divided.dropped, where)
    excludes = bool(layout.card and layout.label) and config.exclude_known_fraud is not False
    excluding = time_split if excludes else None
    task_fields = _task_fields(pipeline, config, time_split, excluding is not None)
    table = build_table(frame, pipeline, task_fields["history_length"], task_fields)
    if excluding:
        splits, count = split.exclude_known_fraud(
            splits, table.timestamps, table.labels, parser, excluding, divided.label_delay
        )
        if count:
            notes.append(
                f"{count} test transactions left out: their cards were known as defrauded before that day "
                "(--no-exclude-known-fraud keeps them)"
            )
    if not config.unsupervised:
        require_both_classes(table.labels.fraud[splits == "train"], layout, where)
    splits = split.hold_out_validation(splits, table.labels, config.validation_split, config.seed)
    indices = np.flatnonzero(splits != split.NO_SPLIT)
    return _to_batch(replace(table, splits=splits), indices, splits[indices], notes, source)


def load_labeled_examples(source: Any, task: Any) -> Batch:
    """Labeled transactions to evaluate a trained model on. Raises DataError."""
    where = tables.source_name(source)
    frame = tables.read_table(source)
    pipeline = task.pipeline
    # A model that was trained without labels is evaluated on those of the table.
    layout = pipeline.layout if pipeline.layout.label else pipeline.layout.with_label_of(frame)
    required = [*layout.required_columns(), *([layout.label] if layout.label else [])]
    layouts.check_columns(frame, required, where)
    layouts.check_key_columns(frame, layout)
    typed = parse_columns(frame, layout, pipeline.time_parser, task.positive_label, _tomorrow())
    frame, notes = _require_usable(typed), []
    table = build_table(frame, pipeline, task.history_length, {})
    time_split = TimeSplit(**task.time_split) if task.time_split else None
    splits = np.full(frame.height, split.NO_SPLIT, "<U5")
    if time_split:
        splits = split.split_by_time(table.timestamps, time_split)
    elif SPLIT_COLUMN in frame.columns:
        splits = split.read_split_column(frame[SPLIT_COLUMN].to_list())
    if task.exclude_known_fraud and time_split:
        splits, count = split.exclude_known_fraud(
            splits, table.timestamps, table.labels, pipeline.time_parser, time_split, pipeline.label_delay
        )
        notes += [f"{count} transactions of cards known as defrauded left out"] * bool(count)
    has_test = (splits == "test").any()
    return _to_batch(table, np.arange(frame.height), splits if has_test else None, notes, source)


def load_scoring_input(source: Any, task: Any, history: pl.DataFrame | None = None) -> ScoringInput:
    """Transactions with or without labels.

    history: typed earlier transactions, which only feed the features. Raises DataError.
    """
    typed = parse_for_model(source, task)
    rows = typed.frame
    frame = rows if history is None else pl.concat([history, rows], how="diagonal_relaxed")
    table = build_table(frame, task.pipeline, task.history_length, {})
    indices = np.arange(frame.height - rows.height, frame.height)
    return ScoringInput(Transactions(indices, table), rows, typed.original, typed.problems)


def parse_for_model(source: Any, task: Any) -> TypedTable:
    """The rows of a source that a trained model can use, and the problems of the others. Raises DataError."""
    pipeline = task.pipeline
    frame = tables.read_table(source)
    layouts.check_columns(frame, pipeline.layout.required_columns(), tables.source_name(source))
    layouts.check_key_columns(frame, pipeline.layout)
    typed = parse_columns(frame, pipeline.layout, pipeline.time_parser, task.positive_label, _tomorrow())
    return typed.without_problems()


def require_both_classes(fraud: np.ndarray, layout: Layout, where: str) -> None:
    """Raises DataError where training labels are missing or all the same. fraud: 1, 0 or nan."""
    if np.isnan(fraud).any():
        raise DataError(
            f"{where}: {int(np.isnan(fraud).sum())} training transactions have no {layout.label}; label "
            "them, or end the training before them with --train-to"
        )
    if len(np.unique(fraud)) < 2:
        only = "frauds" if fraud.any() else "genuine transactions"
        raise DataError(f"{where}: one class only, {len(fraud)} {only} to train on; expected some of both")


def _ignore_label(frame: pl.DataFrame, config: FraudConfig) -> tuple[FraudConfig, list[str]]:
    """The config, and notes: a network that is trained without labels must not see what looks like one."""
    columns = layouts.without_names(layouts.flat_columns(frame), config.ignore)
    label = layouts.find_column(columns, LABEL_NAMES)
    if not config.unsupervised or config.label or label is None or frame[label].n_unique() > 2:
        return config, []
    if label in (*config.number, *config.category):
        return config, []
    return replace(config, ignore=(*config.ignore, label)), [f"{label!r} left out: it looks like the label"]


def _fit_pipeline(
    rows: pl.DataFrame, layout: Layout, parser: TimeParser, config: FraudConfig, delay: int
) -> FeaturePipeline:
    """The feature pipeline, fitted to the training rows."""
    lengths = {parse_duration(text, "--windows") for text in config.windows.split(",")}
    medians: dict[str, Any] = {name: rows[name].median() for name in layout.numbers}
    vocabularies = {}
    for name in layout.categories:
        counts = rows[name].drop_nulls().value_counts(sort=True)
        vocabularies[name] = tuple(sorted(counts[name].head(MAX_VOCABULARY).to_list()))
    return FeaturePipeline(
        layout,
        parser,
        window_lengths=tuple(sorted(lengths)),
        label_delay=delay,
        missing_indicators=tuple(name for name in layout.numbers if rows[name].null_count()),
        imputation_values={name: float(median) for name, median in medians.items()},
        vocabularies=vocabularies,
    )


def _require_features(
    pipeline: FeaturePipeline, config: FraudConfig, dropped: Sequence[DroppedColumn], where: str
) -> None:
    """Raises DataError where there is nothing to learn from."""
    if not pipeline.features and not pipeline.vocabularies:
        why = f" ({'; '.join(column.reason() for column in dropped)})" if dropped else ""
        raise DataError(
            f"{where}: no column to learn from{why}; expected a number or a category besides the label"
        )
    if config.unsupervised and not pipeline.features:
        raise DataError(
            f"{where}: --unsupervised reconstructs numbers, and there are only categories; add a number or "
            "a time, or name a --label and leave out --unsupervised"
        )


def _task_fields(
    pipeline: FeaturePipeline, config: FraudConfig, time_split: TimeSplit | None, excludes_known_fraud: bool
) -> dict[str, Any]:
    """Fields of the task that the table determines."""
    return {
        "layout": asdict(pipeline.layout),
        "time_parser": asdict(pipeline.time_parser),
        "window_lengths": pipeline.window_lengths,
        "label_delay": pipeline.label_delay,
        "missing_indicators": pipeline.missing_indicators,
        "imputation_values": pipeline.imputation_values,
        "vocabularies": pipeline.vocabularies,
        "positive_label": config.positive_label,
        "time_split": asdict(time_split) if time_split else None,
        "exclude_known_fraud": excludes_known_fraud,
        "history_length": config.history_length if config.network == "sequence" else 0,
        "unsupervised": config.unsupervised,
    }


def _to_batch(
    table: TransactionTable, indices: np.ndarray, splits: Any, notes: Sequence[str], source: Any
) -> Batch:
    rows = Transactions(indices, table)
    files = tuple(tables.files(source))
    return Batch(rows, rows.files, rows.labels, splits, tuple(notes), files)


def _require_usable(typed: TypedTable) -> pl.DataFrame:
    """The typed frame. Raises DataError for the first unusable row, with the number of the others."""
    if typed.problems:
        first, more = typed.problems[0].error(), len(typed.problems) - 1
        raise DataError(f"{first}{f' (and {more} more such rows)' if more else ''}; fix or remove it")
    return typed.frame


def _tomorrow() -> int:
    """The timestamp a day from now; clocks differ."""
    return round(datetime.now(UTC).timestamp() * SECOND) + DAY
