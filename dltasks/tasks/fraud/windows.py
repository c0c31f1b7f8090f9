"""Windows over the past of an entity: what a customer or a terminal did before this transaction.

All is computed by Polars over rows sorted by entity and moment. A window of w at a moment t holds what happened after t - w
up to this transaction itself; a window of known labels ends a label delay earlier. Transactions of one entity at one
moment stand in the order of their rows.
"""

import numpy as np
import polars as pl

KEY, MOMENT, AMOUNT, FRAUD, PLACE = "_key", "_moment", "_amount", "_fraud", "_place"
USUAL, TIMES = "_usual", "_times"
"""Columns of the amount that is usual for the card, and of this one in such."""

COUNT = pl.len().cast(pl.Float64)

DAYS = 86_400e6
"""Microseconds of a day."""

HIGH = 2.5
"""A transaction is high when its amount is as many times the entity's usual one."""

LAST = (3, 10)
"""Numbers of the latest known transactions whose frauds are counted."""


def sorted_by(frame: pl.DataFrame, entity: str) -> pl.DataFrame:
    """KEY, MOMENT, AMOUNT, FRAUD and PLACE in the entity's order; no two moments of a key are equal.

    A transaction without this entity is a key of its own.
    """
    column = frame[entity]
    key = column if column.dtype.is_integer() else column.rank("dense")
    key = key.cast(pl.Int64)
    if key.null_count():
        key = key.fill_null((key.min() or 0) - 1 - frame[PLACE].cast(pl.Int64))
    more = [TIMES] if TIMES in frame.columns else []
    rows = frame.select(key.alias(KEY), MOMENT, AMOUNT, pl.col(FRAUD).fill_null(0.0), PLACE, *more)
    if not rows[MOMENT].is_sorted():
        rows = rows.sort(MOMENT, PLACE)
    rows = rows.sort(KEY, maintain_order=True)
    # A microsecond apart, those of the same moment come one after the other in every window.
    new = ((pl.col(KEY).diff() != 0) | (pl.col(MOMENT).diff() != 0)).fill_null(True)
    here = pl.int_range(pl.len(), dtype=pl.Int64)
    return rows.with_columns(pl.col(MOMENT) + here - pl.when(new).then(here).forward_fill())


def pace(rows: pl.DataFrame, lengths: dict[str, int]) -> pl.DataFrame:
    """ "since", the days since the last transaction, the longest window where there is none; and of each window "count".

    lengths: microseconds by name.
    """
    counts = [_window(rows, length, 0).agg(COUNT.alias(f"count {name}")) for name, length in lengths.items()]
    return pl.concat([_since(rows, lengths), *(each.drop(KEY, MOMENT) for each in counts)], how="horizontal")


def _since(rows: pl.DataFrame, lengths: dict[str, int]) -> pl.DataFrame:
    longest = max(lengths.values()) / DAYS
    since = (pl.col(MOMENT).diff().over(KEY) / DAYS).fill_null(longest).clip(upper_bound=longest)
    return rows.select(since.alias("since"))


def spending(rows: pl.DataFrame, lengths: dict[str, int]) -> pl.DataFrame:
    """What `pace` says; and of each window "sum", "mean" and "deviation" with this transaction, "ratio" and "z" of this
    amount against those before it.

    Where nothing came before, the ratio is 1 and the z-score 0.
    """
    counts, levels = [], []
    amount = pl.col(AMOUNT)
    for name, length in lengths.items():
        window = _window(rows, length, 0).agg(
            COUNT.alias("n"), amount.sum().alias("sum"), amount.std(ddof=0).fill_null(0.0).alias("sd")
        )
        mean, before = pl.col("sum") / pl.col("n"), pl.col("n") - 1
        past = (pl.col("sum") - amount) / before.clip(lower_bound=1)
        # Welford's update, backwards: the squares without this transaction.
        squares = (pl.col("n") * pl.col("sd") ** 2 - (amount - mean) * (amount - past)).clip(lower_bound=0)
        scale = past.abs().clip(lower_bound=1.0)
        spread = (squares / before.clip(lower_bound=1)).sqrt() + 0.1 * scale
        counts.append(window.select(pl.col("n").alias(f"count {name}")))
        levels.append(
            window.with_columns(rows[AMOUNT]).select(
                pl.col("sum").alias(f"sum {name}"),
                mean.alias(f"mean {name}"),
                pl.col("sd").alias(f"deviation {name}"),
                pl.when(before > 0).then(amount / scale).otherwise(1.0).alias(f"ratio {name}"),
                pl.when(before > 1).then((amount - past) / spread).otherwise(0.0).alias(f"z {name}"),
            )
        )
    return pl.concat([_since(rows, lengths), *counts, *levels], how="horizontal")


def timed(rows: pl.DataFrame, lengths: dict[str, int]) -> pl.DataFrame:
    """The rows with USUAL, the entity's usual amount, and TIMES, this amount in such.

    Single high amounts do not move what is usual: the median of the longest window, without this transaction; this amount
    where nothing came before.
    """
    amount, usual = pl.col(AMOUNT), pl.col(USUAL)
    median = amount.rolling_median_by(MOMENT, f"{max(lengths.values())}i", closed="left").over(KEY)
    rows = rows.with_columns(median.fill_null(amount).alias(USUAL))
    return rows.with_columns((amount / usual.abs().clip(lower_bound=1.0)).alias(TIMES))


def habits(rows: pl.DataFrame, lengths: dict[str, int]) -> pl.DataFrame:
    """This amount against the entity's usual one, of rows that are `timed`.

    "usual" and "times": see there; and of each window "highest", the highest "times" in it, and "high", the number
    of transactions of HIGH times and more.
    """
    found = [rows.select(pl.col(USUAL).alias("usual"), pl.col(TIMES).alias("times"))]
    for name, length in lengths.items():
        window = _window(rows, length, 0).agg(
            pl.col(TIMES).max().alias(f"highest {name}"),
            (pl.col(TIMES) >= HIGH).sum().cast(pl.Float64).alias(f"high {name}"),
        )
        found.append(window.drop(KEY, MOMENT))
    return pl.concat(found, how="horizontal")


def verdicts(rows: pl.DataFrame, lengths: dict[str, int], delay: int) -> pl.DataFrame:
    """What is known by now of the entity's frauds; delay: microseconds after which a label is known.

    A transaction that nobody has called fraud by then counts as genuine. Of each window "known", the number of
    transactions as old as that, and "rate", the share of frauds in them.

    Where `rows` has TIMES, of each window also "plain", the number of frauds of an amount that was usual for the card,
    which a leaked card does not explain; and "plain days", the days since the first of them in the longest window.
    The rest is what `_latest` says.
    """
    longest, plain = max(lengths.values()), TIMES in rows.columns
    ordinary = (pl.col(FRAUD) == 1) & (pl.col(TIMES) < HIGH) if plain else None
    found = []
    for name, length in lengths.items():
        counts = [COUNT.alias("n"), pl.col(FRAUD).sum().alias("frauds")]
        counts += [ordinary.sum().cast(pl.Float64).alias("plain")] if plain else []
        rate = pl.col("frauds") / pl.col("n").clip(lower_bound=1)
        columns = [pl.col("n").alias(f"known {name}"), rate.alias(f"rate {name}")]
        columns += [pl.col("plain").alias(f"plain {name}")] if plain else []
        found.append(_window(rows, length, delay).agg(counts).select(columns))
    found.append(_latest(rows, 2 * longest, delay))
    if plain:
        timed = rows.with_columns(pl.when(ordinary).then(MOMENT).alias("first"))
        began = _window(timed, longest, delay).agg(pl.col("first").min())["first"]
        days = ((rows[MOMENT] - began) / DAYS).fill_null((2 * longest + delay) / DAYS)
        found.append(pl.DataFrame({"plain days": days}))
    return pl.concat(found, how="horizontal")


def _latest(rows: pl.DataFrame, length: int, delay: int) -> pl.DataFrame:
    """What is known of the entity's last transactions in a window.

    "last 3" and "last 10", the share of frauds in them; "run", the number of frauds without another transaction between
    that they end with; "run days", the days since the first of these; "fraud days", the days since the latest fraud.
    Where there is none, days are those of the window and the delay.
    """
    counted = rows.with_columns(pl.int_range(pl.len(), dtype=pl.Int64).alias("nth"))
    window = _window(counted, length, delay).agg(pl.col("nth").first(), pl.len().alias("count"))
    begin, count = window["nth"].fill_null(0).to_numpy(), window["count"].cast(pl.Int64).to_numpy()
    last = np.maximum(begin + count - 1, 0)
    moments, fraud = rows[MOMENT].to_numpy(), rows[FRAUD].to_numpy() == 1
    here = np.arange(len(fraud))
    until = np.append(0, fraud.cumsum())
    genuine, frauds = (np.maximum.accumulate(np.where(each, here, -1)) for each in (~fraud, fraud))
    run = np.where(count > 0, last - np.maximum(genuine[last], begin - 1), 0)
    found = {}
    for most in LAST:
        some = np.minimum(most, count)
        found[f"last {most}"] = (until[last + 1] - until[last + 1 - some]) / np.maximum(some, 1)

    def days(place, there):
        return np.where(there, (moments - moments[place]) / DAYS, (length + delay) / DAYS)

    found["run"] = run.astype(float)
    found["run days"] = days(last + 1 - np.maximum(run, 1), run > 0)
    found["fraud days"] = days(frauds[last], (count > 0) & (frauds[last] >= begin))
    return pl.DataFrame(found)


def _window(rows: pl.DataFrame, length: int, delay: int):
    return rows.rolling(
        index_column=MOMENT, period=f"{length}i", offset=f"{-(length + delay)}i", group_by=KEY, closed="right"
    )
