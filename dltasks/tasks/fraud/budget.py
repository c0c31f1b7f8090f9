"""A budget of checks: the riskiest cards of each day, week or hour."""

import re

import numpy as np

from dltasks.errors import ConfigError
from dltasks.tasks.fraud.data import Transactions
from dltasks.tasks.fraud.times import DAY, SECOND

PERIODS = {"hour": 3600 * SECOND, "day": DAY, "week": 7 * DAY}


def parsed(text: str) -> tuple[int, str]:
    """Cards and period of "100/day". Raises SettingError."""
    found = re.fullmatch(r"\s*(\d+)\s*(?:/|per|an? )?\s*(?:(hour|day|week)s?|([hdw]))?\s*", text.lower())
    if not found or not int(found[1]):
        raise ConfigError(f"--budget {text}: wanted a number of cards an hour, day or week, such as 100/day")
    short = {"h": "hour", "d": "day", "w": "week"}
    return int(found[1]), found[2] or short.get(found[3], "day")


def alerts(transactions: Transactions, shares: np.ndarray, cards: int, period: str) -> np.ndarray:
    """bool (count,): the riskiest transaction of each of the `cards` riskiest cards of each period.

    shares: (count,) probabilities. Without a time column all is one period.
    """
    outcomes = transactions.table.outcomes.take(transactions.places)
    moments = transactions.table.moments[transactions.places]
    times = outcomes.day if period == "day" else moments // PERIODS[period]
    order = np.lexsort((np.arange(len(shares)), -shares, times))
    # The riskiest transaction of a card in a period comes first, and stands for the card.
    _, first = np.unique(np.stack([times[order], outcomes.card[order]]), axis=1, return_index=True)
    chosen = order[np.sort(first)]
    rank = np.arange(len(chosen)) - np.searchsorted(times[chosen], times[chosen], "left")
    found = np.zeros(len(shares), bool)
    found[chosen[rank < cards]] = True
    return found
