"""Which column is what: named by the plan, or guessed from names and types, and said."""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import polars as pl

from dltasks.data.tables import FILE_COLUMN, ROW_COLUMN
from dltasks.errors import DataError

LABEL = ("fraud", "is_fraud", "isfraud", "tx_fraud", "class", "label", "target")
TIME = ("time", "timestamp", "datetime", "date", "seconds", "transdatetranstime", "unixtime", "when")
AMOUNT = ("amount", "amt", "value", "price", "sum", "total")
ID = (
    "id",
    "txid",
    "transactionid",
    "transid",
    "transnum",
    "uuid",
    "uid",
    "index",
    "row",
    "rowid",
    "unnamed0",
    "",
)
CARD = ("customer", "card", "ccnum", "account", "client", "user", "cardholder", "payer", "nameorig")
OTHER_SIDE = ("terminal", "merchant", "device", "shop", "store", "pos", "atm", "payee", "namedest")
SPLIT = "split"

VOCABULARY = 50
"""Most values of a category that are known; rarer ones share the place of the unknown."""

DISTINCT = 1000
"""A text column of more values is taken for names, not for a category."""

NUMERIC = 0.95
"""Share of a text column that must be numbers for the rest to be called mistakes."""


@dataclass(frozen=True)
class Layout:
    """The columns of a table by what they are for.

    entities: have windows. card: the entity of which a budget is counted. spending: the entities whose amounts are told.
    compromised: the entities whose rate of past frauds is used. id: names a transaction. numbers, categories: features as they stand.
    """

    label: str | None = None
    time: str | None = None
    amount: str | None = None
    entities: tuple[str, ...] = ()
    card: str | None = None
    amount_by: tuple[str, ...] = ()
    fraud_rate_by: tuple[str, ...] = ()
    id: str | None = None
    numbers: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()

    def __post_init__(self):
        for name in ("entities", "amount_by", "fraud_rate_by", "numbers", "categories"):
            object.__setattr__(self, name, tuple(getattr(self, name)))

    def validate(self) -> str:
        """What of the columns makes no sense together; nothing where all does."""
        if self.card and self.card not in self.entities:
            return f"its card {self.card!r:.40} is no entity"
        named = [self.time, *self.entities, self.id, self.label, *self.categories]
        named += [each for each in self.numbers if each != self.amount] + [self.amount]
        twice = [each for each in dict.fromkeys(filter(None, named)) if named.count(each) > 1]
        return f"its column {twice[0]!r:.40} is two things at once" if twice else ""

    @property
    def ordered(self) -> tuple[str, ...]:
        """The entities, the card first: what is usual for it says which frauds of others a leaked card explains."""
        return tuple(sorted(self.entities, key=lambda each: each != self.card))

    def needed(self) -> list[str]:
        """Columns that data to be scored must have."""
        own = [self.time, self.amount, *self.entities, *self.numbers, *self.categories]
        return list(dict.fromkeys(each for each in own if each))


def require(frame: pl.DataFrame, names: Sequence[str], where: str) -> None:
    """Raises DataError for the first of these columns that is not there, with the nearest name."""
    known = [each for each in frame.columns if each not in (FILE_COLUMN, ROW_COLUMN)]
    for name in names:
        if name in known:
            continue
        near = difflib.get_close_matches(name, known, 1, 0.6) or [
            each for each in known if each.lower() == name.lower()
        ]
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
        raise DataError(f"{where}: no column {name!r}; {hint}")
    nested = [name for name in names if frame.schema[name].is_nested()]
    if nested:
        raise DataError(
            f"{where}: {nested[0]!r} holds lists or objects; wanted a number, a text or a time in each row"
        )


def require_keys(frame: pl.DataFrame, layout: Layout) -> None:
    """Raises DataError for a file, one of several, that lacks the time, the amount or an entity."""
    keys = [each for each in (layout.time, layout.amount, *layout.entities) if each]
    if frame[FILE_COLUMN].n_unique() < 2 or not keys:
        return
    for row in (
        frame.group_by(FILE_COLUMN, maintain_order=True)
        .agg(pl.col(keys).is_null().all())
        .iter_rows(named=True)
    ):
        for name in keys:
            if row[name]:
                raise DataError(
                    f"{row[FILE_COLUMN]}: no column {name!r}, or nothing in it; the other tables have it"
                )


def guessed(frame: pl.DataFrame, config, where: str) -> Layout:
    """What the plan names, and guesses for what it does not. Raises DataError."""
    named = [
        config.label,
        config.time,
        config.amount,
        config.card,
        config.id,
        *config.entity,
        *config.amount_by,
        *config.fraud_rate_by,
    ]
    named += [*config.number, *config.category, *config.ignore]
    require(frame, [each for each in named if each], where)
    columns = [each for each in flat(frame) if each not in (FILE_COLUMN, ROW_COLUMN, SPLIT, *config.ignore)]
    free = [each for each in columns if each not in (*config.number, *config.category)]
    label = None if config.unsupervised and not config.label else config.label or first_named(free, LABEL)
    if label is None and not config.unsupervised:
        raise DataError(
            f"{where}: which column says what was fraud? name it with --label ({', '.join(columns)}), or learn without "
            "labels with --unsupervised"
        )
    free = [each for each in free if each != label]
    time = config.time or _time(frame, free)
    amount = config.amount or first_named(free, AMOUNT)
    free = [each for each in free if each not in (time, amount)]
    entities = config.entity or (tuple(_entities(frame, free)) if time else ())
    if config.card and config.card not in entities:
        entities = (config.card, *entities)
    card = config.card or next((each for each in entities if _like(each, CARD)), None)
    others = () if config.unsupervised else tuple(each for each in entities if each != card)
    compromised = config.fraud_rate_by or others
    free = [each for each in free if each not in entities]
    id = config.id or next((each for each in free if _plain(each) in ID and _names_rows(frame[each])), None)
    rest = [each for each in columns if each not in (label, time, amount, *entities, id)]
    numbers = [
        each
        for each in rest
        if each in config.number or (each not in config.category and _is_number(frame[each]))
    ]
    numbers = [amount, *numbers] if amount and amount not in numbers else numbers
    categories = [
        each for each in rest if each not in numbers and _is_category(frame[each], each in config.category)
    ]
    spending = (config.amount_by or ((card,) if card else entities)) if amount else ()
    return Layout(
        label, time, amount, entities, card, spending, compromised, id, tuple(numbers), tuple(categories)
    )


def without(layout: Layout, left: Sequence[str]) -> Layout:
    """The layout without these numbers and categories."""
    numbers = tuple(each for each in layout.numbers if each not in left)
    categories = tuple(each for each in layout.categories if each not in left)
    return replace(layout, numbers=numbers, categories=categories)


def with_label(layout: Layout, frame: pl.DataFrame) -> Layout:
    """The layout with the label that a frame seems to have."""
    used = (layout.id, *layout.needed())
    return replace(
        layout,
        label=first_named([e for e in flat(frame) if e not in (FILE_COLUMN, ROW_COLUMN, *used)], LABEL),
    )


def flat(frame: pl.DataFrame) -> list[str]:
    """The columns that hold one value a row."""
    return [name for name, kind in frame.schema.items() if not kind.is_nested()]


def said(layout: Layout, columns: Sequence[str], passed: Sequence[str]) -> list[str]:
    """Notes on what each of a table's columns is taken for; `passed` are left out for reasons told elsewhere."""
    roles = {
        "label": layout.label,
        "time": layout.time,
        "amount": layout.amount,
        "card": layout.card,
        "id": layout.id,
    }
    parts = [f"{role} {name!r}" for role, name in roles.items() if name]
    for role in ("entities", "amount_by", "fraud_rate_by", "numbers", "categories"):
        if getattr(layout, role):
            parts.append(f"{role} {', '.join(map(repr, getattr(layout, role)))}")
    used = {*filter(None, roles.values()), *layout.entities, *layout.numbers, *layout.categories}
    left = [each for each in columns if each not in (FILE_COLUMN, ROW_COLUMN, SPLIT, *used, *passed)]
    notes = [f"columns: {'; '.join(parts)} (options of these names say otherwise)"]
    if left:
        notes.append(f"not used: {', '.join(map(repr, left))}: neither numbers nor categories of few values")
    return notes


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _words(name: str) -> set[str]:
    """The words of a column's name, and all of it."""
    parts = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", name)
    return {each.lower() for each in parts} | {_plain(name)}


def _like(name: str, known: Sequence[str]) -> bool:
    return bool(_words(name) & set(known))


def first_named(columns: Sequence[str], known: Sequence[str]) -> str | None:
    """The column named exactly so; failing that one with such a word in its name."""
    plain = {_plain(each): each for each in reversed(columns)}
    exact = next((plain[_plain(each)] for each in known if _plain(each) in plain), None)
    return exact or next((each for each in columns if _like(each, known)), None)


def _time(frame: pl.DataFrame, columns: Sequence[str]) -> str | None:
    dated = [each for each in columns if frame.schema[each].is_temporal()]
    return dated[0] if dated else first_named([e for e in columns if not _like(e, ("zone",))], TIME)


def _entities(frame: pl.DataFrame, columns: Sequence[str]) -> list[str]:
    """Columns named as one side of a payment, whose values come again."""
    kinds = ("category", "type", "name", "lat", "long", "city", "state", "zip", "age", "id2")
    found = [each for each in columns if _like(each, (*CARD, *OTHER_SIDE)) and not _words(each) & set(kinds)]
    return [
        each for each in found if not frame.schema[each].is_float() and frame[each].n_unique() < frame.height
    ]


def _names_rows(column: pl.Series) -> bool:
    """Whether most values are the only ones of their kind; those that come again are mistakes."""
    return column.n_unique() > len(column) / 2


def _is_number(column: pl.Series) -> bool:
    if column.dtype.is_numeric() or column.dtype == pl.Boolean:
        return True
    if column.dtype != pl.String:
        return False
    there = column.drop_nulls()
    return bool(len(there)) and there.cast(pl.Float64, strict=False).is_not_null().mean() >= NUMERIC


def _is_category(column: pl.Series, named: bool) -> bool:
    if named:
        return True
    if column.dtype not in (pl.String, pl.Categorical) and not isinstance(column.dtype, pl.Enum):
        return False
    distinct = column.drop_nulls().n_unique()
    return distinct <= min(DISTINCT, max(2, len(column) // 2))
