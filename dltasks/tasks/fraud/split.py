"""Training, validation and test split: by time with a label delay, or at random for a table without time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from dltasks.data.labeled_files import SPLIT_NAMES
from dltasks.errors import ConfigError, DataError
from dltasks.tasks.fraud.config import DEFAULT_LABEL_DELAY, FraudConfig
from dltasks.tasks.fraud.labels import Labels
from dltasks.tasks.fraud.layout import SPLIT_COLUMN, Layout
from dltasks.tasks.fraud.times import DAY, TimeParser, parse_duration
from dltasks.tasks.fraud.windows import FRAUD, TIMESTAMP

NO_SPLIT = ""
"""The split of rows that only feed the features of others."""


@dataclass(frozen=True)
class TimeSplit:
    """Timestamps of the training and the test period: the starts are inclusive, the ends exclusive."""

    train_from: int
    train_to: int
    test_from: int
    test_to: int

    def describe(self, time_parser: TimeParser) -> str:
        """For people."""
        train_from, train_to, test_from, test_to = (
            time_parser.format_timestamp(timestamp)
            for timestamp in (self.train_from, self.train_to, self.test_from, self.test_to)
        )
        return f"trained on {train_from} until {train_to}, tested on {test_from} until {test_to}"


def resolve_label_delay(frame: pl.DataFrame, layout: Layout, config: FraudConfig) -> tuple[int, list[str]]:
    """Microseconds until a label is known, and a note where the table is too short for the default."""
    delay = parse_duration(config.label_delay or DEFAULT_LABEL_DELAY, "--label-delay")
    if config.label_delay or not layout.time:
        return delay, []
    timestamps = frame[TIMESTAMP].to_numpy()
    span = int(timestamps.max()) - int(timestamps.min())
    if span >= 4 * delay:
        return delay, []
    return 0, [
        f"the table spans only {span / DAY:.1f} days: labels count as known at once; --label-delay sets a "
        "delay"
    ]


def assign_splits(
    frame: pl.DataFrame, layout: Layout, parser: TimeParser, config: FraudConfig, delay: int
) -> tuple[np.ndarray, TimeSplit | None, list[str]]:
    """Assign each row to train, test or NO_SPLIT; the validation split is held out of train later.

    Returns the split names, the periods (None where the table is not split by time), and notes for the user.
    """
    has_periods = any((config.train_from, config.train_to, config.test_from, config.test_to))
    if has_periods and not layout.time:
        raise ConfigError(
            "--train-from, --train-to, --test-from and --test-to need a time column: name it with --time"
        )
    timestamps = frame[TIMESTAMP].to_numpy()
    if SPLIT_COLUMN in frame.columns and not has_periods:
        splits = read_split_column(frame[SPLIT_COLUMN].to_list())
        if (splits == "train").any():
            inferred = infer_time_split(splits, timestamps) if layout.time else None
            return splits, inferred, [f"split by the column {SPLIT_COLUMN!r}"]
    if not layout.time:
        splits = split_at_random(frame[FRAUD].fill_null(0).to_numpy(), config.test_split, config.seed)
        note = (
            "no time column: split at random, stratified by fraud; name the time with --time if there is one"
        )
        return splits, None, [note]
    time_split = choose_time_split(timestamps, parser, config, delay)
    notes = [time_split.describe(parser)]
    if time_split.test_from < time_split.train_to + delay:
        notes.append(
            f"labels are known {delay / DAY:g} days later, so some training labels were not known when the "
            "test begins and the scores are inflated; leave that gap with --train-to or --test-from"
        )
    return split_by_time(timestamps, time_split), time_split, notes


def choose_time_split(
    timestamps: np.ndarray, time_parser: TimeParser, config: FraudConfig, delay: int
) -> TimeSplit:
    """The periods of the config, completed.

    By default the last `test_split` of the time is for testing, and what was known when it began for
    training. Raises ConfigError, DataError.
    """

    def parse(text: str | None, end: bool = False) -> int | None:
        return None if text is None else time_parser.parse_timestamp(text, end)

    first, last = int(timestamps.min()), int(timestamps.max()) + 1
    test_to = parse(config.test_to, True)
    test_to = last if test_to is None else test_to
    train_from = parse(config.train_from)
    train_from = first if train_from is None else train_from
    test_from, train_to = parse(config.test_from), parse(config.train_to, True)
    if test_from is None:
        latest = test_to - round(config.test_split * (test_to - train_from))
        test_from = latest if train_to is None else train_to + delay
    if train_to is None:
        train_to = test_from - delay
    time_split = TimeSplit(train_from, train_to, test_from, test_to)
    _check_periods(time_split, timestamps, time_parser, delay)
    return time_split


def _check_periods(
    time_split: TimeSplit, timestamps: np.ndarray, time_parser: TimeParser, delay: int
) -> None:
    """Raises ConfigError for periods that are empty or overlap, DataError for those without transactions."""
    if time_split.train_to <= time_split.train_from:
        raise ConfigError(
            f"no time is left to train on: {time_split.describe(time_parser)}, and a label is known "
            f"{delay / DAY:g} days later; set --train-from, --train-to, --test-from, --test-to or a shorter "
            "--label-delay"
        )
    if time_split.test_from < time_split.train_to:
        raise ConfigError(f"--test-from lies before --train-to: {time_split.describe(time_parser)}")
    periods = (
        ("train on", time_split.train_from, time_split.train_to),
        ("test on", time_split.test_from, time_split.test_to),
    )
    for purpose, start, end in periods:
        if not ((timestamps >= start) & (timestamps < end)).any():
            start_text, end_text, first, last = (
                time_parser.format_timestamp(timestamp)
                for timestamp in (start, end, int(timestamps.min()), int(timestamps.max()) + 1)
            )
            raise DataError(
                f"no transactions to {purpose} from {start_text} until {end_text}; the table has those from "
                f"{first} until {last}"
            )


def split_by_time(timestamps: np.ndarray, time_split: TimeSplit) -> np.ndarray:
    """The split of each timestamp: "train", "test" or NO_SPLIT."""
    splits = np.full(len(timestamps), NO_SPLIT, "<U5")
    splits[(timestamps >= time_split.train_from) & (timestamps < time_split.train_to)] = "train"
    splits[(timestamps >= time_split.test_from) & (timestamps < time_split.test_to)] = "test"
    return splits


def read_split_column(values: Sequence[str | None]) -> np.ndarray:
    """The splits that a column of the table names; names that SPLIT_NAMES does not know are NO_SPLIT."""
    names = {value: SPLIT_NAMES.get(str(value).lower(), NO_SPLIT) for value in set(values)}
    return np.array([names[value] for value in values], "<U5")


def infer_time_split(splits: np.ndarray, timestamps: np.ndarray) -> TimeSplit | None:
    """The TimeSplit that gives exactly these splits; None where there is none."""
    bounds = []
    for name in ("train", "test"):
        if not (splits == name).any():
            return None
        bounds += [int(timestamps[splits == name].min()), int(timestamps[splits == name].max()) + 1]
    time_split = TimeSplit(*bounds)
    return time_split if (split_by_time(timestamps, time_split) == splits).all() else None


def split_at_random(fraud: np.ndarray, test_fraction: float, seed: int) -> np.ndarray:
    """ "train" and "test" at random, stratified by fraud."""
    splits = np.full(len(fraud), "train", "<U5")
    random = np.random.default_rng(seed)
    for value in (0, 1):
        indices = random.permutation(np.flatnonzero(fraud == value))
        splits[indices[: round(test_fraction * len(indices))]] = "test"
    return splits


def hold_out_validation(splits: np.ndarray, labels: Labels, fraction: float, seed: int) -> np.ndarray:
    """`splits` with a fraction of the training cards as "val", stratified by whether they were defrauded."""
    if "val" in splits:
        return splits
    rows = np.flatnonzero(splits == "train")
    cards, index = np.unique(labels.card[rows], return_inverse=True)
    is_defrauded = np.bincount(index, labels.fraud[rows] == 1, len(cards)) > 0
    random = np.random.default_rng((seed, 1))
    is_selected = np.zeros(len(cards), bool)
    for value in (False, True):
        candidates = random.permutation(np.flatnonzero(is_defrauded == value))
        is_selected[candidates[: max(1, round(fraction * len(candidates)))]] = True
    splits = splits.copy()
    splits[rows[is_selected[index]]] = "val"
    return splits


def exclude_known_fraud(
    splits: np.ndarray,
    timestamps: np.ndarray,
    labels: Labels,
    time_parser: TimeParser,
    time_split: TimeSplit,
    delay: int,
) -> tuple[np.ndarray, int]:
    """`splits` without test transactions of cards known as defrauded, and the number of these.

    Known on a day is a fraud since the training began whose label was available when that day began (Fraud
    Detection Handbook, chapter 5).
    """
    is_fraud = (labels.fraud == 1) & (timestamps >= time_split.train_from)
    first_fraud = np.full(int(labels.card.max()) + 1, np.iinfo(np.int64).max)
    np.minimum.at(first_fraud, labels.card[is_fraud], timestamps[is_fraud])
    test = np.flatnonzero(splits == "test")
    known = test[first_fraud[labels.card[test]] < time_parser.day_starts(labels.day[test]) - delay]
    splits = splits.copy()
    splits[known] = NO_SPLIT
    return splits, len(known)
