"""Which transactions to train on, to choose by and to judge by: by time with a label delay, or at random where no time is."""

from dataclasses import dataclass

import numpy as np

from dltasks.data.labeled_files import SPLIT_NAMES
from dltasks.errors import ConfigError, DataError
from dltasks.tasks.fraud.metrics import Outcomes
from dltasks.tasks.fraud.times import Clock

NONE = ""
"""The split of what only feeds the features of others."""


@dataclass(frozen=True)
class Spans:
    """Moments: train_from and test_from lie inside, train_to and test_to do not."""

    train_from: int
    train_to: int
    test_from: int
    test_to: int

    def told(self, clock: Clock) -> str:
        """For people."""
        tell = clock.told
        return (
            f"trained on {tell(self.train_from)} until {tell(self.train_to)}, judged on {tell(self.test_from)} until "
            f"{tell(self.test_to)}"
        )


def spans_of(moments: np.ndarray, clock: Clock, config, delay: int) -> Spans:
    """The plan's windows; what it leaves open is chosen: the last plan.test of the time is judged, and what was known when
    that began is trained on. Raises SettingError, DataError."""

    def named(text, end=False):
        return None if text is None else clock.moment(text, end)

    first, last = int(moments.min()), int(moments.max()) + 1
    test_to = named(config.test_to, True)
    test_to = last if test_to is None else test_to
    train_from = named(config.train_from)
    train_from = first if train_from is None else train_from
    test_from, train_to = named(config.test_from), named(config.train_to, True)
    if test_from is None:
        latest = test_to - round(config.test_split * (test_to - train_from))
        test_from = latest if train_to is None else train_to + delay
    if train_to is None:
        train_to = test_from - delay
    found = Spans(train_from, train_to, test_from, test_to)
    if train_to <= train_from:
        raise ConfigError(
            f"no time is left to train on: {found.told(clock)}, and a label is known {delay / 86_400e6:g} days later; set "
            "--train-from, --train-to, --test-from, --test-to or a shorter --label-delay"
        )
    if test_from < train_to:
        raise ConfigError(f"--test-from lies before --train-to: {found.told(clock)}")
    for name, start, end in (("train on", train_from, train_to), ("judge by", test_from, test_to)):
        if not ((moments >= start) & (moments < end)).any():
            raise DataError(
                f"no transactions to {name} from {clock.told(start)} until {clock.told(end)}; there are some from "
                f"{clock.told(first)} until {clock.told(last)}"
            )
    return found


def by_time(moments: np.ndarray, spans: Spans) -> np.ndarray:
    """The split of each: train, test or NONE."""
    splits = np.full(len(moments), NONE, "<U5")
    splits[(moments >= spans.train_from) & (moments < spans.train_to)] = "train"
    splits[(moments >= spans.test_from) & (moments < spans.test_to)] = "test"
    return splits


def declared(values: list[str | None]) -> np.ndarray:
    """The split that a column of the table says; other words than train, val and test are NONE."""
    known = {value: SPLIT_NAMES.get(str(value).lower(), NONE) for value in set(values)}
    return np.array([known[each] for each in values], "<U5")


def spans_within(splits: np.ndarray, moments: np.ndarray) -> Spans | None:
    """The Spans that divide just so; None where none do."""
    ends = []
    for name in ("train", "test"):
        if not (splits == name).any():
            return None
        ends += [int(moments[splits == name].min()), int(moments[splits == name].max()) + 1]
    found = Spans(*ends)
    return found if (by_time(moments, found) == splits).all() else None


def at_random(fraud: np.ndarray, share: float, seed: int) -> np.ndarray:
    """train and test at random, frauds and others alike."""
    splits = np.full(len(fraud), "train", "<U5")
    random = np.random.default_rng(seed)
    for value in (0, 1):
        places = random.permutation(np.flatnonzero(fraud == value))
        splits[places[: round(share * len(places))]] = "test"
    return splits


def held_out(splits: np.ndarray, outcomes: Outcomes, share: float, seed: int) -> np.ndarray:
    """`splits` with a share of the training part's cards as val, defrauded cards and others alike."""
    if "val" in splits:
        return splits
    rows = np.flatnonzero(splits == "train")
    cards, place = np.unique(outcomes.card[rows], return_inverse=True)
    defrauded = np.bincount(place, outcomes.fraud[rows] == 1, len(cards)) > 0
    random = np.random.default_rng((seed, 1))
    chosen = np.zeros(len(cards), bool)
    for kind in (False, True):
        some = random.permutation(np.flatnonzero(defrauded == kind))
        chosen[some[: max(1, round(share * len(some)))]] = True
    found = splits.copy()
    found[rows[chosen[place]]] = "val"
    return found


def without_known(
    splits: np.ndarray, moments: np.ndarray, outcomes: Outcomes, clock: Clock, spans: Spans, delay: int
) -> tuple[np.ndarray, int]:
    """`splits` without test transactions of cards known as defrauded before their day, and how many these were.

    Known is a fraud since the training began whose label was there when the day began (Fraud Detection Handbook,
    chapter 5).
    """
    since = (outcomes.fraud == 1) & (moments >= spans.train_from)
    first = np.full(int(outcomes.card.max()) + 1, np.iinfo(np.int64).max)
    np.minimum.at(first, outcomes.card[since], moments[since])
    test = np.flatnonzero(splits == "test")
    known = test[first[outcomes.card[test]] < clock.starts(outcomes.day[test]) - delay]
    found = splits.copy()
    found[known] = NONE
    return found, len(known)
