"""Windows over the past of an entity: what a customer or a terminal did before this transaction.

All is computed by Polars over rows sorted by entity and moment. A window of w at a moment t holds what happened after t - w
up to this transaction itself; a window of known labels ends a label delay earlier. Transactions of one entity at one
moment stand in the order of their rows.
"""

import polars as pl

KEY, MOMENT, AMOUNT, FRAUD, PLACE = "_key", "_moment", "_amount", "_fraud", "_place"
TIMES = "_times"
"""Column of the amount in such as are usual for the card."""

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
    key = pl.col(entity).rank("dense").cast(pl.Int64).fill_null(-1 - pl.col(PLACE).cast(pl.Int64))
    more = [TIMES] if TIMES in frame.columns else []
    rows = frame.select(key.alias(KEY), MOMENT, AMOUNT, pl.col(FRAUD).fill_null(0.0), PLACE, *more)
    rows = rows.sort(KEY, MOMENT, PLACE)
    # A microsecond apart, those of the same moment come one after the other in every window.
    new = ((pl.col(KEY).diff() != 0) | (pl.col(MOMENT).diff() != 0)).fill_null(True)
    here = pl.int_range(pl.len(), dtype=pl.Int64)
    return rows.with_columns(pl.col(MOMENT) + here - pl.when(new).then(here).forward_fill())


def pace(rows: pl.DataFrame, lengths: dict[str, int]) -> pl.DataFrame:
    """ "since", the days since the last transaction, the longest window where there is none; and of each window "count".

    lengths: microseconds by name.
    """
    longest = max(lengths.values()) / DAYS
    since = (pl.col(MOMENT).diff().over(KEY) / DAYS).fill_null(longest).clip(upper_bound=longest)
    counts = [
        _window(rows, length, 0).agg(pl.len().cast(pl.Float64).alias(f"count {name}")).drop(KEY, MOMENT)
        for name, length in lengths.items()
    ]
    return pl.concat([rows.select(since.alias("since")), *counts], how="horizontal")


def spending(rows: pl.DataFrame, lengths: dict[str, int]) -> pl.DataFrame:
    """What `pace` says; and of each window "sum", "mean" and "deviation" with this transaction, "ratio" and "z" of this
    amount against those before it.

    Where nothing came before, the ratio is 1 and the z-score 0.
    """
    found = pace(rows, lengths)
    amount = pl.col(AMOUNT)
    for name, length in lengths.items():
        window = _window(rows, length, 0).agg(
            pl.len().cast(pl.Float64).alias("n"),
            amount.sum().alias("sum"),
            amount.std(ddof=0).fill_null(0.0).alias("sd"),
        )
        mean, before = pl.col("sum") / pl.col("n"), pl.col("n") - 1
        past = (pl.col("sum") - amount) / before.clip(lower_bound=1)
        # Welford's update, backwards: the squares without this transaction.
        squares = (pl.col("n") * pl.col("sd") ** 2 - (amount - mean) * (amount - past)).clip(lower_bound=0)
        scale = past.abs().clip(lower_bound=1.0)
        spread = (squares / before.clip(lower_bound=1)).sqrt() + 0.1 * scale
        found = found.with_columns(
            window.with_columns(rows[AMOUNT]).select(
                pl.col("sum").alias(f"sum {name}"),
                mean.alias(f"mean {name}"),
                pl.col("sd").alias(f"deviation {name}"),
                pl.when(before > 0).then(amount / scale).otherwise(1.0).alias(f"ratio {name}"),
                pl.when(before > 1).then((amount - past) / spread).otherwise(0.0).alias(f"z {name}"),
            )
        )
    return found


def habits(rows: pl.DataFrame, lengths: dict[str, int]) -> pl.DataFrame:
    """This amount against the entity's usual one, which single high amounts do not move: the median before it.

    "usual": the median of the longest window, without this transaction; this amount where nothing came before.
    "times": this amount in such; and of each window "highest", the highest "times" in it, and "high", the number
    of transactions of HIGH times and more.
    """
    longest = max(lengths.values())
    amount = pl.col(AMOUNT)
    usual = amount.rolling_median_by(MOMENT, f"{longest}i", closed="left").over(KEY)
    found = rows.select(usual.fill_null(amount).alias("usual")).with_columns(rows[AMOUNT])
    found = found.select("usual", (amount / pl.col("usual").abs().clip(lower_bound=1.0)).alias("times"))
    timed = rows.with_columns(found["times"])
    for name, length in lengths.items():
        window = _window(timed, length, 0).agg(
            pl.col("times").max().alias(f"highest {name}"),
            (pl.col("times") >= HIGH).sum().cast(pl.Float64).alias(f"high {name}"),
        )
        found = found.with_columns(window.drop(KEY, MOMENT))
    return found


def verdicts(rows: pl.DataFrame, lengths: dict[str, int], delay: int) -> pl.DataFrame:
    """What is known by now of the entity's frauds; delay: microseconds after which a label is known.

    A transaction that nobody has called fraud by then counts as genuine. Of each window "known", the number of
    transactions as old as that, and "rate", the share of frauds in them. Of the last of these: "last 3" and "last 10",
    the share of frauds; "run", the frauds without another transaction between; "run days", the days since the first of
    these; "fraud days", the days since the latest fraud. Where there is none, days are twice the longest window and the
    delay.

    Where `rows` has TIMES, of each window also "plain", the number of frauds of an amount that was usual for the card,
    which a leaked card does not explain; and "plain days", the days since the first of them in the longest window.
    """
    found, plain = [], TIMES in rows.columns
    ordinary = (pl.col(FRAUD) == 1) & (pl.col(TIMES) < HIGH) if plain else None
    for name, length in lengths.items():
        counts = [pl.len().cast(pl.Float64).alias("n"), pl.col(FRAUD).sum().alias("frauds")]
        counts += [ordinary.sum().cast(pl.Float64).alias("plain")] if plain else []
        rate = pl.col("frauds") / pl.col("n").clip(lower_bound=1)
        columns = [pl.col("n").alias(f"known {name}"), rate.alias(f"rate {name}")]
        columns += [pl.col("plain").alias(f"plain {name}")] if plain else []
        found.append(_window(rows, length, delay).agg(counts).select(columns))
    longest = (2 * max(lengths.values()) + delay) / DAYS
    asked = rows.select(KEY, (pl.col(MOMENT) - delay).alias("when"), pl.col(MOMENT).alias("now"))
    latest = asked.join_asof(_course(rows), left_on="when", right_on=MOMENT, by=KEY, check_sortedness=False)

    def days(name):
        return ((pl.col("now") - pl.col(name)) / DAYS).fill_null(longest).clip(upper_bound=longest)

    last = latest.select(
        *(pl.col(f"last {count}").fill_null(0.0) for count in LAST),
        pl.col("run").fill_null(0.0),
        days("run began").alias("run days"),
        days("fraud").alias("fraud days"),
    )
    if not plain:
        return pl.concat([*found, last], how="horizontal")
    timed = rows.with_columns(pl.when(ordinary).then(MOMENT).alias("first"))
    first = _window(timed, max(lengths.values()), delay).agg(pl.col("first").min().alias("plain began"))
    began = first.select(pl.col("plain began")).with_columns(rows[MOMENT].alias("now"))
    return pl.concat([*found, last, began.select(days("plain began").alias("plain days"))], how="horizontal")


def _course(rows: pl.DataFrame) -> pl.DataFrame:
    """How each entity stands after each transaction: KEY, MOMENT, and what `verdicts` tells of the last ones."""
    rows = rows.with_columns(
        (pl.col(KEY).diff() != 0).fill_null(True).alias("new"),
        pl.col(FRAUD).cum_sum().alias("all"),
        pl.int_range(pl.len()).over(KEY).alias("nth"),
    )
    genuine = pl.col(FRAUD) == 0
    before = (
        pl.when(genuine).then(pl.col("all")).when("new").then(pl.col("all") - pl.col(FRAUD)).forward_fill()
    )
    starts = ~genuine & (pl.col("new") | genuine.shift(1, fill_value=True))
    return rows.select(
        KEY,
        MOMENT,
        *(_share_of_last(count).alias(f"last {count}") for count in LAST),
        (pl.col("all") - before).alias("run"),
        pl.when(~genuine).then(pl.when(starts).then(MOMENT).forward_fill()).alias("run began"),
        pl.when(~genuine).then(MOMENT).forward_fill().over(KEY).alias("fraud"),
    )


def _share_of_last(count: int) -> pl.Expr:
    """Of the entity's last `count` labelled transactions, or as many as there are."""
    first = pl.col("nth") < count
    earlier = pl.when(first).then(_before_entity()).otherwise(pl.col("all").shift(count, fill_value=0.0))
    return (pl.col("all") - earlier) / (pl.col("nth") + 1).clip(upper_bound=count)


def _before_entity() -> pl.Expr:
    return pl.when("new").then(pl.col("all") - pl.col(FRAUD)).forward_fill()


def _window(rows: pl.DataFrame, length: int, delay: int):
    return rows.rolling(
        index_column=MOMENT, period=f"{length}i", offset=f"{-(length + delay)}i", group_by=KEY, closed="right"
    )
