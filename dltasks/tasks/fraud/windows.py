"""Windows over the past of an entity: what a customer or a terminal did before a transaction.

Polars computes all of it over rows sorted by entity and timestamp. A window of length w at a timestamp t
holds what happened after t - w, up to the transaction itself; a window of known labels ends a label delay
earlier. Transactions of one entity at the same timestamp are in the order of their rows.
"""

from typing import Any

import numpy as np
import polars as pl

KEY, TIMESTAMP, AMOUNT, FRAUD, INDEX = "_key", "_timestamp", "_amount", "_fraud", "_index"
MEDIAN_AMOUNT, AMOUNT_RATIO = "_median_amount", "_amount_ratio"
"""Columns of the entity's median amount, and of this amount as a multiple of it."""

MICROSECONDS_PER_DAY = 86_400e6

HIGH_RATIO = 2.5
"""Multiple of the entity's median amount from which an amount is high."""

RECENT_COUNTS = (3, 10)
"""Numbers of the most recent known transactions whose fraud rate is a feature."""

_COUNT = pl.len().cast(pl.Float64)


def sort_by_entity(frame: pl.DataFrame, entity: str) -> pl.DataFrame:
    """KEY, TIMESTAMP, AMOUNT, FRAUD and INDEX in the entity's order; no two timestamps of a key are equal.

    A transaction without this entity has a key of its own.
    """
    column = frame[entity]
    key = column if column.dtype.is_integer() else column.rank("dense")
    key = key.cast(pl.Int64)
    if key.null_count():
        smallest: Any = key.min()
        key = key.fill_null((smallest or 0) - 1 - frame[INDEX].cast(pl.Int64))
    extra = [AMOUNT_RATIO] if AMOUNT_RATIO in frame.columns else []
    rows = frame.select(key.alias(KEY), TIMESTAMP, AMOUNT, pl.col(FRAUD).fill_null(0.0), INDEX, *extra)
    if not rows[TIMESTAMP].is_sorted():
        rows = rows.sort(TIMESTAMP, INDEX)
    rows = rows.sort(KEY, maintain_order=True)
    # Equal timestamps are moved a microsecond apart, so that every window sees them one after the other.
    is_new = ((pl.col(KEY).diff() != 0) | (pl.col(TIMESTAMP).diff() != 0)).fill_null(True)
    position = pl.int_range(pl.len(), dtype=pl.Int64)
    return rows.with_columns(pl.col(TIMESTAMP) + position - pl.when(is_new).then(position).forward_fill())


def frequency_features(rows: pl.DataFrame, lengths: dict[str, int]) -> pl.DataFrame:
    """Days since the last transaction, and the number of transactions in each window.

    Without an earlier transaction the days are those of the longest window. lengths: microseconds by name.
    """
    counts = [
        _rolling(rows, length, 0).agg(_COUNT.alias(f"count {name}")) for name, length in lengths.items()
    ]
    columns = [_days_since_last(rows, lengths), *(count.drop(KEY, TIMESTAMP) for count in counts)]
    return pl.concat(columns, how="horizontal")


def _days_since_last(rows: pl.DataFrame, lengths: dict[str, int]) -> pl.DataFrame:
    longest = max(lengths.values()) / MICROSECONDS_PER_DAY
    days = pl.col(TIMESTAMP).diff().over(KEY) / MICROSECONDS_PER_DAY
    return rows.select(days.fill_null(longest).clip(upper_bound=longest).alias("days since last"))


def spending_features(rows: pl.DataFrame, lengths: dict[str, int]) -> pl.DataFrame:
    """The frequency features, and the statistics of amounts in each window.

    "sum", "mean" and "deviation" include this transaction; "ratio" and "z-score" compare its amount with
    those before it, and are 1 and 0 where there were none.
    """
    counts, statistics = [], []
    amount = pl.col(AMOUNT)
    for name, length in lengths.items():
        window = _rolling(rows, length, 0).agg(
            _COUNT.alias("n"), amount.sum().alias("sum"), amount.std(ddof=0).fill_null(0.0).alias("sd")
        )
        mean, earlier = pl.col("sum") / pl.col("n"), pl.col("n") - 1
        earlier_mean = (pl.col("sum") - amount) / earlier.clip(lower_bound=1)
        # Welford's update, backwards: the sum of squares without this transaction.
        squares = (pl.col("n") * pl.col("sd") ** 2 - (amount - mean) * (amount - earlier_mean)).clip(
            lower_bound=0
        )
        scale = earlier_mean.abs().clip(lower_bound=1.0)
        deviation = (squares / earlier.clip(lower_bound=1)).sqrt() + 0.1 * scale
        z_score = (amount - earlier_mean) / deviation
        counts.append(window.select(pl.col("n").alias(f"count {name}")))
        statistics.append(
            window.with_columns(rows[AMOUNT]).select(
                pl.col("sum").alias(f"sum {name}"),
                mean.alias(f"mean {name}"),
                pl.col("sd").alias(f"deviation {name}"),
                pl.when(earlier > 0).then(amount / scale).otherwise(1.0).alias(f"ratio {name}"),
                pl.when(earlier > 1).then(z_score).otherwise(0.0).alias(f"z-score {name}"),
            )
        )
    return pl.concat([_days_since_last(rows, lengths), *counts, *statistics], how="horizontal")


def add_amount_ratio(rows: pl.DataFrame, lengths: dict[str, int]) -> pl.DataFrame:
    """The rows with MEDIAN_AMOUNT and AMOUNT_RATIO.

    The median, unlike the mean, is not moved by single high amounts. It is taken over the longest window
    without this transaction; where nothing came before, it is this amount.
    """
    amount, median = pl.col(AMOUNT), pl.col(MEDIAN_AMOUNT)
    earlier_median = amount.rolling_median_by(TIMESTAMP, f"{max(lengths.values())}i", closed="left").over(KEY)
    rows = rows.with_columns(earlier_median.fill_null(amount).alias(MEDIAN_AMOUNT))
    return rows.with_columns((amount / median.abs().clip(lower_bound=1.0)).alias(AMOUNT_RATIO))


def amount_features(rows: pl.DataFrame, lengths: dict[str, int]) -> pl.DataFrame:
    """The median amount and the amount ratio; in each window the highest ratio and the count of high amounts.

    rows: with the columns of `add_amount_ratio`.
    """
    columns = [
        rows.select(pl.col(MEDIAN_AMOUNT).alias("median amount"), pl.col(AMOUNT_RATIO).alias("amount ratio"))
    ]
    for name, length in lengths.items():
        window = _rolling(rows, length, 0).agg(
            pl.col(AMOUNT_RATIO).max().alias(f"max amount ratio {name}"),
            (pl.col(AMOUNT_RATIO) >= HIGH_RATIO).sum().cast(pl.Float64).alias(f"high amounts {name}"),
        )
        columns.append(window.drop(KEY, TIMESTAMP))
    return pl.concat(columns, how="horizontal")


def known_fraud_features(rows: pl.DataFrame, lengths: dict[str, int], delay: int) -> pl.DataFrame:
    """The entity's frauds that are known when a transaction happens.

    delay: microseconds after which a label is known. A transaction without a fraud label by then counts as
    genuine. For each window: "known count", the transactions older than the delay, and "fraud rate", the
    proportion of frauds in them. Where `rows` has AMOUNT_RATIO, also "ordinary frauds", the number of frauds
    whose amount was not high for the card, which a leaked card does not explain, and "days since first
    ordinary fraud" in the longest window. The rest are those of `_recent_label_features`.
    """
    longest, has_ratio = max(lengths.values()), AMOUNT_RATIO in rows.columns
    is_ordinary = (pl.col(FRAUD) == 1) & (pl.col(AMOUNT_RATIO) < HIGH_RATIO)
    columns = []
    for name, length in lengths.items():
        counts = [_COUNT.alias("n"), pl.col(FRAUD).sum().alias("frauds")]
        counts += [is_ordinary.sum().cast(pl.Float64).alias("ordinary")] if has_ratio else []
        rate = pl.col("frauds") / pl.col("n").clip(lower_bound=1)
        selected = [pl.col("n").alias(f"known count {name}"), rate.alias(f"fraud rate {name}")]
        selected += [pl.col("ordinary").alias(f"ordinary frauds {name}")] if has_ratio else []
        columns.append(_rolling(rows, length, delay).agg(counts).select(selected))
    columns.append(_recent_label_features(rows, 2 * longest, delay))
    if has_ratio:
        marked = rows.with_columns(pl.when(is_ordinary).then(TIMESTAMP).alias("first"))
        first = _rolling(marked, longest, delay).agg(pl.col("first").min())["first"]
        days = ((rows[TIMESTAMP] - first) / MICROSECONDS_PER_DAY).fill_null(
            (2 * longest + delay) / MICROSECONDS_PER_DAY
        )
        columns.append(pl.DataFrame({"days since first ordinary fraud": days}))
    return pl.concat(columns, how="horizontal")


def _recent_label_features(rows: pl.DataFrame, length: int, delay: int) -> pl.DataFrame:
    """The known labels of the entity's most recent transactions in a window.

    "fraud rate of last 3" and "... 10"; "fraud streak", the number of frauds at the end of the window without
    a genuine transaction between them; "streak days" since the first of these; "days since fraud" since the
    latest fraud. Where there is none, days are those of the window and the delay.
    """
    numbered = rows.with_columns(pl.int_range(pl.len(), dtype=pl.Int64).alias("position"))
    window = _rolling(numbered, length, delay).agg(pl.col("position").first(), pl.len().alias("count"))
    start, count = window["position"].fill_null(0).to_numpy(), window["count"].cast(pl.Int64).to_numpy()
    last = np.maximum(start + count - 1, 0)
    timestamps, is_fraud = rows[TIMESTAMP].to_numpy(), rows[FRAUD].to_numpy() == 1
    positions = np.arange(len(is_fraud))
    frauds_before = np.append(0, is_fraud.cumsum())
    last_genuine, last_fraud = (
        np.maximum.accumulate(np.where(mask, positions, -1)) for mask in (~is_fraud, is_fraud)
    )
    streak = np.where(count > 0, last - np.maximum(last_genuine[last], start - 1), 0)
    columns = {}
    for recent in RECENT_COUNTS:
        taken = np.minimum(recent, count)
        frauds = frauds_before[last + 1] - frauds_before[last + 1 - taken]
        columns[f"fraud rate of last {recent}"] = frauds / np.maximum(taken, 1)

    def days_since(position: np.ndarray, mask: np.ndarray) -> np.ndarray:
        days = (timestamps - timestamps[position]) / MICROSECONDS_PER_DAY
        return np.where(mask, days, (length + delay) / MICROSECONDS_PER_DAY)

    columns["fraud streak"] = streak.astype(float)
    columns["streak days"] = days_since(last + 1 - np.maximum(streak, 1), streak > 0)
    columns["days since fraud"] = days_since(last_fraud[last], (count > 0) & (last_fraud[last] >= start))
    return pl.DataFrame(columns)


def _rolling(rows: pl.DataFrame, length: int, delay: int) -> Any:
    return rows.rolling(
        index_column=TIMESTAMP,
        period=f"{length}i",
        offset=f"{-(length + delay)}i",
        group_by=KEY,
        closed="right",
    )
