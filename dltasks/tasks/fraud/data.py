"""Transactions with their features, as the task's raw inputs: read to train on, to judge by, or to score."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl

from dltasks.data import tables
from dltasks.data.batch import Batch
from dltasks.data.columns import SHARED, Columns
from dltasks.data.tables import FILE_COLUMN, ROW_COLUMN
from dltasks.errors import ConfigError, DataError
from dltasks.evaluation import metrics
from dltasks.tasks.fraud import layout, reading, split
from dltasks.tasks.fraud.config import DEFAULT_LABEL_DELAY
from dltasks.tasks.fraud.features import Recipe
from dltasks.tasks.fraud.layout import VOCABULARY
from dltasks.tasks.fraud.metrics import Outcomes
from dltasks.tasks.fraud.reading import Problem, Typed
from dltasks.tasks.fraud.split import Spans
from dltasks.tasks.fraud.times import DAY, SECOND, Clock, clock_of, duration
from dltasks.tasks.fraud.windows import AMOUNT, FRAUD, MOMENT

LEAK = 0.999
"""A column that tells the label as well as this (ROC AUC) was made from it."""

WRONG = 0.02
"""Or one that tells it with at most so many mistakes, as a share of the frauds: labels have mistakes too."""


@dataclass(frozen=True)
class Useless:
    """A column that is left out: it is constant or, where there is an `auc`, tells the label by itself."""

    column: str
    auc: float | None = None

    def told(self) -> str:
        """For people."""
        if self.auc is None:
            return f"{self.column!r} left out: it is the same, or missing, in all of the training part"
        return (
            f"{self.column!r} left out: alone it tells the label (ROC AUC {self.auc:.4f}), as if it was made from it; "
            f"--number {self.column} or --category {self.column} keeps it"
        )


@dataclass(frozen=True, eq=False)
class Table:
    """What is known of all transactions of a table, a row for each.

    numbers: float32 (count, features). codes: int32 (count, categories). past: int32 (count, steps), places of the card's
    transactions before this one and this one, the newest last, -1 where there is none. files, rows: where each stood.
    ids: as the table has them, or None. moments: see times. learned: fields of a task that the table taught. splits: of
    a table to train on, what each is for.
    """

    numbers: np.ndarray
    codes: np.ndarray
    past: np.ndarray
    files: np.ndarray
    rows: np.ndarray
    ids: np.ndarray | None
    outcomes: Outcomes
    moments: np.ndarray
    learned: dict[str, Any]
    splits: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Transactions(Columns):
    """Some rows of a Table. A row is Transactions of one."""

    places: np.ndarray
    table: Table = field(metadata=SHARED)

    def row(self, position: int) -> "Transactions":
        return self.take([position])


def table_of(frame: pl.DataFrame, recipe: Recipe, steps: int, learned: dict[str, Any]) -> Table:
    """The features of a typed frame."""
    card = recipe.layout.card
    cards = _cards(frame, card)
    moments = frame[MOMENT].to_numpy()
    outcomes = Outcomes(
        frame[FRAUD].cast(pl.Float32).fill_null(float("nan")).to_numpy(),
        recipe.clock.days(moments),
        cards,
        frame[AMOUNT].to_numpy(),
        bool(recipe.layout.time and card),
    )
    return Table(
        recipe.numbers(frame),
        recipe.codes(frame),
        _past(moments, cards, steps),
        frame[FILE_COLUMN].cast(pl.String).to_numpy(),
        frame[ROW_COLUMN].to_numpy(),
        frame[recipe.layout.id].to_numpy() if recipe.layout.id in frame.columns else None,
        outcomes,
        moments,
        learned,
    )


def _cards(frame: pl.DataFrame, card: str | None) -> np.ndarray:
    """A number for each card from 0; what has no card is a card of its own."""
    own = pl.int_range(pl.len(), dtype=pl.Int64)
    if card is None:
        return frame.select(own.alias("card"))["card"].to_numpy()
    ranked = frame.select(pl.col(card).rank("dense").cast(pl.Int64).alias("card"))["card"]
    most = ranked.max() or 0
    return (ranked.fill_null(frame.select((own + most + 1).alias("own"))["own"]) - 1).to_numpy()


def _past(moments: np.ndarray, cards: np.ndarray, steps: int) -> np.ndarray:
    """int32 (count, steps): see Table."""
    count = len(moments)
    found = np.full((count, steps), -1, np.int32)
    if not steps:
        return found
    order = np.lexsort((np.arange(count), moments, cards))
    start = np.searchsorted(cards[order], cards[order], "left")
    for back in range(steps):
        place = np.arange(count) - back
        there = place >= start
        found[order[there], steps - 1 - back] = order[place[there]]
    return found


@dataclass(frozen=True, eq=False)
class Understood:
    """A table to train on as it was read. typed: all rows, with what is wrong with some. plan: less what the table itself
    shows to be of no use."""

    layout: layout.Layout
    clock: Clock
    typed: Typed
    config: Any
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Arranged:
    """What the rows of a table that make sense are for. useless: columns left out."""

    label_delay: int
    splits: np.ndarray
    spans: Spans | None
    useless: tuple[Useless, ...]
    notes: tuple[str, ...]


def understood(source: Any, config) -> Understood:
    """What a table's columns are for, and its rows typed. Raises DataError."""
    where = tables.source_name(source)
    frame = tables.read_table(source)
    config, notes = _without_label(frame, config)
    named = layout.guessed(frame, config, where)
    layout.require_keys(frame, named)
    clock = clock_of(frame[named.time], config, where) if named.time else Clock()
    typed = reading.typed(frame, named, clock, config.positive, _now())
    return Understood(named, clock, typed, config, tuple(notes))


def arranged(table: Understood) -> Arranged:
    """What is trained on and judged by, of the rows that make sense. Raises DataError."""
    named, clock, config = table.layout, table.clock, table.config
    frame = table.typed.without_problems().frame
    delay, short = _delay(frame, named, config)
    splits, spans, divided = _divided(frame, named, clock, config, delay)
    useless = tuple(_useless(frame.filter(splits == "train"), named, config))
    left = [each.column for each in useless]
    columns = [*table.typed.plain.columns, FILE_COLUMN, ROW_COLUMN]
    notes = layout.said(layout.without(named, left), columns, (*config.ignore, *left))
    notes += [*table.notes, *(each.told() for each in useless), *short, *divided]
    if named.time and not clock.dated:
        notes.append(
            f"0 of {named.time!r} is taken for midnight, and weekends are not known; --time-origin says its date"
        )
    return Arranged(delay, splits, spans, useless, tuple(notes))


def _without_label(frame: pl.DataFrame, config):
    """The plan, and notes: what is named like a label is nothing that a network without labels may see."""
    label = layout.first_named(
        [e for e in layout.flat(frame) if e not in (FILE_COLUMN, ROW_COLUMN, *config.ignore)], layout.LABEL
    )
    if not config.unsupervised or config.label or label is None or frame[label].n_unique() > 2:
        return config, []
    if label in (*config.number, *config.category):
        return config, []
    return replace(config, ignore=(*config.ignore, label)), [f"{label!r} left out: it looks like the label"]


def to_train_on(source: Any, config) -> Batch:
    """All transactions that are trained on, chosen by or judged by; the others are in their features. Raises DataError
    for the first row that makes no sense, and says how many there are."""
    where = tables.source_name(source)
    read = understood(source, config)
    frame, clock, found = _usable(read.typed), read.clock, arranged(read)
    delay, splits, spans = found.label_delay, found.splits, found.spans
    named, notes = layout.without(read.layout, [each.column for each in found.useless]), list(found.notes)
    recipe = _learned(frame.filter(splits == "train"), named, clock, config, delay)
    _require_features(recipe, config, [each.told() for each in found.useless], where)
    drops = bool(spans and named.card and named.label) and config.exclude_known_fraud is not False
    learned = {
        "layout": asdict(named),
        "clock": asdict(clock),
        "lengths": recipe.lengths,
        "label_delay": delay,
        "indicated": recipe.indicated,
        "fills": recipe.fills,
        "vocabularies": recipe.vocabularies,
        "positive": config.positive,
        "spans": asdict(spans) if spans else None,
        "exclude_known_fraud": drops,
        "steps": config.history if config.network == "sequence" else 0,
        "unsupervised": config.unsupervised,
    }
    table = table_of(frame, recipe, learned["steps"], learned)
    if drops:
        splits, known = split.without_known(splits, table.moments, table.outcomes, clock, spans, delay)
        if known:
            notes.append(
                f"{known} transactions to judge by left out: their cards were known as defrauded before the day began "
                "(--no-drop-known keeps them)"
            )
    if not config.unsupervised:
        require_both(table.outcomes.fraud[splits == "train"], named, where)
    splits = split.held_out(splits, table.outcomes, config.validation_split, config.seed)
    places = np.flatnonzero(splits != split.NONE)
    return _batch(replace(table, splits=splits), places, splits[places], notes, source)


def _require_features(recipe: Recipe, config, left: list[str], where: str) -> None:
    if not recipe.features and not recipe.vocabularies:
        why = f" ({'; '.join(left)})" if left else ""
        raise DataError(
            f"{where}: no column to learn from{why}; wanted numbers or categories beside the label"
        )
    if config.unsupervised and not recipe.features:
        raise DataError(
            f"{where}: --unsupervised rebuilds numbers, and there are categories only; add a number or a time, or name "
            "a --label and leave out --unsupervised"
        )


def to_judge_by(source: Any, task) -> Batch:
    """Labelled transactions for a trained model. Raises DataError."""
    where = tables.source_name(source)
    frame = tables.read_table(source)
    recipe = task.recipe
    # A model that learned without labels is judged by those that a table has.
    named = recipe.layout if recipe.layout.label else layout.with_label(recipe.layout, frame)
    layout.require(frame, [*named.needed(), *([named.label] if named.label else [])], where)
    layout.require_keys(frame, named)
    frame = _usable(reading.typed(frame, named, recipe.clock, task.positive, _now()))
    table = table_of(frame, recipe, task.steps, {})
    splits, notes = np.full(frame.height, split.NONE, "<U5"), []
    if task.spans:
        splits = split.by_time(table.moments, Spans(**task.spans))
    elif layout.SPLIT in frame.columns:
        splits = split.declared(frame[layout.SPLIT].to_list())
    if task.exclude_known_fraud:
        splits, known = split.without_known(
            splits, table.moments, table.outcomes, recipe.clock, Spans(**task.spans), recipe.label_delay
        )
        notes += [f"{known} transactions of cards known as defrauded left out"] * bool(known)
    judged = (splits == "test").any()
    return _batch(table, np.arange(frame.height), splits if judged else None, notes, source)


@dataclass(frozen=True, eq=False)
class Asked:
    """Transactions to be scored, their rows typed; all rows as they were read, and those that can't be scored."""

    transactions: Transactions
    typed: pl.DataFrame
    plain: pl.DataFrame
    problems: tuple[Problem, ...]


def to_score(source: Any, task, history: pl.DataFrame | None = None) -> Asked:
    """Transactions with or without labels.

    history: typed transactions that were before, which only feed the features. Raises DataError.
    """
    recipe = task.recipe
    found = typed(source, task)
    rows = found.frame
    everything = rows if history is None else pl.concat([history, rows], how="diagonal_relaxed")
    table = table_of(everything, recipe, task.steps, {})
    places = np.arange(everything.height - rows.height, everything.height)
    return Asked(Transactions(places, table), rows, found.plain, found.problems)


def typed(source: Any, task) -> Typed:
    """The rows of a source that make sense to a trained model, and what is wrong with the others. Raises DataError."""
    recipe = task.recipe
    frame = tables.read_table(source)
    layout.require(frame, recipe.layout.needed(), tables.source_name(source))
    layout.require_keys(frame, recipe.layout)
    found = reading.typed(frame, recipe.layout, recipe.clock, task.positive, _now())
    return found.without_problems()


def _batch(table: Table, places: np.ndarray, splits, notes, source) -> Batch:
    outcomes = table.outcomes.take(places)
    files = tuple(tables.files(source))
    return Batch(Transactions(places, table), table.files[places], outcomes, splits, tuple(notes), files)


def _usable(found: Typed) -> pl.DataFrame:
    """The typed frame. Raises DataError for the first row that makes no sense, and says how many there are."""
    if found.problems:
        first, more = found.problems[0].error(), len(found.problems) - 1
        raise DataError(f"{first}{f' (and {more} more such rows)' if more else ''}; mend or remove it")
    return found.frame


def _delay(frame: pl.DataFrame, named, config) -> tuple[int, list[str]]:
    """Microseconds until a label is known, and a note where the table is too short for what is usual."""
    delay = duration(config.label_delay or DEFAULT_LABEL_DELAY, "--label-delay")
    if config.label_delay or not named.time:
        return delay, []
    span = frame[MOMENT].max() - frame[MOMENT].min()
    if span >= 4 * delay:
        return delay, []
    return 0, [
        f"the table spans {span / DAY:.1f} days only: labels count as known at once; --label-delay sets when they are"
    ]


def _divided(frame: pl.DataFrame, named, clock: Clock, config, delay: int):
    """Splits, spans or None, and notes."""
    asked = any((config.train_from, config.train_to, config.test_from, config.test_to))
    if asked and not named.time:
        raise ConfigError("--train-from and its like need a time column: name it with --time")
    if layout.SPLIT in frame.columns and not asked:
        splits = split.declared(frame[layout.SPLIT].to_list())
        if (splits == "train").any():
            spans = split.spans_within(splits, frame[MOMENT].to_numpy()) if named.time else None
            return splits, spans, ["divided as the column 'split' says"]
    if not named.time:
        splits = split.at_random(frame[FRAUD].fill_null(0).to_numpy(), config.test_split, config.seed)
        note = "no time column, so divided at random, frauds and others alike; name one with --time if there is one"
        return splits, None, [note]
    spans = split.spans_of(frame[MOMENT].to_numpy(), clock, config, delay)
    notes = [spans.told(clock)]
    if spans.test_from < spans.train_to + delay:
        notes.append(
            f"a label is known {delay / DAY:g} days later, so that not all of the training's were when the test begins: the "
            "scores flatter; --train-to or --test-from leaves that time between"
        )
    return split.by_time(frame[MOMENT].to_numpy(), spans), spans, notes


def _useless(rows: pl.DataFrame, named, config) -> Iterator[Useless]:
    """Columns of the training part that are constant, or that tell the label by themselves."""
    kept = (*config.number, *config.category, named.amount)
    labelled = rows.filter(pl.col(FRAUD).is_not_null())
    for each in (*named.numbers, *named.categories):
        if rows[each].drop_nulls().n_unique() < 2:
            yield Useless(each)
        elif each not in kept and (auc := _tells(labelled[each], labelled[FRAUD])) is not None:
            yield Useless(each, auc)


def _tells(column: pl.Series, fraud: pl.Series) -> float | None:
    """ROC AUC of a column that tells the label by itself: of its numbers, or of the share of frauds at each value of a
    category of few. None for a column that does not."""
    if not fraud.len() or fraud.n_unique() < 2:
        return None
    if not column.dtype.is_numeric():
        if column.n_unique() > VOCABULARY:
            return None
        column = pl.DataFrame({"value": column, "fraud": fraud}).select(pl.col("fraud").mean().over("value"))[
            "fraud"
        ]
    values = column.cast(pl.Float64).fill_null(column.cast(pl.Float64).median()).to_numpy()
    true = fraud.to_numpy() == 1
    auc = metrics.roc_auc(values, true)
    told = max(auc, 1 - auc) >= LEAK or _mistakes(values, true) <= WRONG * true.sum()
    return max(auc, 1 - auc) if told else None


def _mistakes(values: np.ndarray, true: np.ndarray) -> int:
    """Rows on the wrong side of the best threshold."""
    order = np.argsort(values, kind="stable")
    ends = np.append(np.diff(values[order]) > 0, True)
    below = np.cumsum(true[order])[ends]
    others = np.cumsum(~true[order])[ends]
    frauds, genuine = true.sum(), (~true).sum()
    return int(min((below + genuine - others).min(), (others + frauds - below).min(), frauds, genuine))


def _learned(rows: pl.DataFrame, named, clock: Clock, config, delay: int) -> Recipe:
    """What features need of the training part."""
    lengths = tuple(sorted({duration(each, "--windows") for each in config.windows.split(",")}))
    indicated = tuple(each for each in named.numbers if rows[each].null_count())
    fills = {each: float(rows[each].median()) for each in named.numbers}
    vocabularies = {}
    for each in named.categories:
        counts = rows[each].drop_nulls().value_counts(sort=True)
        vocabularies[each] = tuple(sorted(counts[each].head(VOCABULARY).to_list()))
    return Recipe(named, clock, lengths, delay, indicated, fills, vocabularies)


def require_both(fraud: np.ndarray, named, where: str) -> None:
    """Raises DataError where labels to train on are missing, or all the same. fraud: 1, 0 or NaN."""
    if np.isnan(fraud).any():
        raise DataError(
            f"{where}: {int(np.isnan(fraud).sum())} transactions to train on have no {named.label}; give them one, or end "
            "the training before them with --train-to"
        )
    if len(np.unique(fraud)) < 2:
        only = "frauds" if fraud.any() else "transactions that are no frauds"
        raise DataError(f"{where}: one class only, {len(fraud)} {only} to train on; wanted some of both")


def _now() -> int:
    """A day from now: clocks differ."""
    return round(datetime.now(UTC).timestamp() * SECOND) + DAY
