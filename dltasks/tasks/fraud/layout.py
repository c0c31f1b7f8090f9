"""The role of each column of a table: named by the config, or guessed from its name and type."""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from dltasks.data.tables import FILE_COLUMN, ROW_COLUMN
from dltasks.errors import DataError
from dltasks.tasks.fraud.config import FraudConfig

LABEL_NAMES = ("fraud", "is_fraud", "isfraud", "tx_fraud", "class", "label", "target")
TIME_NAMES = ("time", "timestamp", "datetime", "date", "seconds", "transdatetranstime", "unixtime", "when")
AMOUNT_NAMES = ("amount", "amt", "value", "price", "sum", "total")
ID_NAMES = (
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
CARD_NAMES = ("customer", "card", "ccnum", "account", "client", "user", "cardholder", "payer", "nameorig")
COUNTERPARTY_NAMES = (
    "terminal",
    "merchant",
    "device",
    "shop",
    "store",
    "pos",
    "atm",
    "payee",
    "namedest",
)
ATTRIBUTE_NAMES = ("category", "type", "name", "lat", "long", "city", "state", "zip", "age", "id2")
"""Words of columns that describe an entity and do not identify it."""
SPLIT_COLUMN = "split"

LIST_ROLES = ("entities", "amount_by", "fraud_rate_by", "numbers", "categories")
"""Roles of several columns."""

MAX_VOCABULARY = 50
"""Maximum number of known values of a category; rarer ones share the id of unknown values."""

MAX_CATEGORY_VALUES = 1000
"""Maximum number of distinct values of a text column that is a category and not a name."""

MIN_NUMERIC_FRACTION = 0.95
"""Minimum fraction of numbers in a text column for its other values to be mistakes."""


@dataclass(frozen=True)
class Layout:
    """The columns of a table by their role.

    Attributes:
        label: the fraud label.
        time: when the transaction happened.
        amount: how much was paid; one of `numbers` too.
        entities: the sides of a payment, with windows over their past.
        card: the entity that is checked within a budget.
        amount_by: the entities whose amounts are aggregated.
        fraud_rate_by: the entities whose past fraud rate is a feature.
        id: the identifier of a transaction.
        numbers: numeric features as they are.
        categories: categorical features as they are.
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

    def __post_init__(self) -> None:
        for name in LIST_ROLES:
            object.__setattr__(self, name, tuple(getattr(self, name)))

    def validate(self) -> str:
        """What is inconsistent between the columns; empty where nothing is."""
        if self.card and self.card not in self.entities:
            return f"its card {self.card!r:.40} is not an entity"
        names = [self.time, *self.entities, self.id, self.label, *self.categories]
        names += [name for name in self.numbers if name != self.amount] + [self.amount]
        repeated = [name for name in dict.fromkeys(filter(None, names)) if names.count(name) > 1]
        return f"its column {repeated[0]!r:.40} has two roles" if repeated else ""

    @property
    def ordered_entities(self) -> tuple[str, ...]:
        """The entities, the card first: its amounts show which frauds elsewhere a leaked card explains."""
        return tuple(sorted(self.entities, key=lambda name: name != self.card))

    def required_columns(self) -> list[str]:
        """Columns that data to be scored must have."""
        names = [self.time, self.amount, *self.entities, *self.numbers, *self.categories]
        return list(dict.fromkeys(name for name in names if name))

    def without(self, dropped: Sequence[str]) -> "Layout":
        """The layout without these numbers and categories."""
        numbers = tuple(name for name in self.numbers if name not in dropped)
        categories = tuple(name for name in self.categories if name not in dropped)
        return replace(self, numbers=numbers, categories=categories)

    def with_label_of(self, frame: pl.DataFrame) -> "Layout":
        """The layout with the column of a frame that looks like the label."""
        unused = without_names(flat_columns(frame), (self.id, *self.required_columns()))
        return replace(self, label=find_column(unused, LABEL_NAMES))


def check_columns(frame: pl.DataFrame, names: Sequence[str], where: str) -> None:
    """Raises DataError for the first of these columns that is missing, with the nearest name, or nested."""
    known = without_names(frame.columns)
    for name in names:
        if name in known:
            continue
        near = difflib.get_close_matches(name, known, 1, 0.6) or [
            column for column in known if column.lower() == name.lower()
        ]
        hint = f"did you mean {near[0]!r}?" if near else f"the columns are {', '.join(known)}"
        raise DataError(f"{where}: no column {name!r}; {hint}")
    nested = [name for name in names if frame.schema[name].is_nested()]
    if nested:
        raise DataError(
            f"{where}: {nested[0]!r} holds lists or objects; expected a number, a text or a time in each row"
        )


def check_key_columns(frame: pl.DataFrame, layout: Layout) -> None:
    """Raises DataError for a file, one of several, that lacks the time, the amount or an entity."""
    keys = [name for name in (layout.time, layout.amount, *layout.entities) if name]
    if frame[FILE_COLUMN].n_unique() < 2 or not keys:
        return
    empty = frame.group_by(FILE_COLUMN, maintain_order=True).agg(pl.col(keys).is_null().all())
    for row in empty.iter_rows(named=True):
        for name in keys:
            if row[name]:
                raise DataError(
                    f"{row[FILE_COLUMN]}: column {name!r} is missing or empty; the other tables have it"
                )


def detect_layout(frame: pl.DataFrame, config: FraudConfig, where: str) -> Layout:
    """The columns that the config names, and guesses for the others. Raises DataError."""
    check_columns(frame, _configured_columns(config), where)
    columns = without_names(flat_columns(frame), (SPLIT_COLUMN, *config.ignore))
    free = [name for name in columns if name not in (*config.number, *config.category)]
    label = config.label or (None if config.unsupervised else find_column(free, LABEL_NAMES))
    if label is None and not config.unsupervised:
        raise DataError(
            f"{where}: no column looks like a fraud label; name it with --label ({', '.join(columns)}), or "
            "train without labels with --unsupervised"
        )
    free = [name for name in free if name != label]
    time = config.time or _find_time(frame, free)
    amount = config.amount or find_column(free, AMOUNT_NAMES)
    free = [name for name in free if name not in (time, amount)]
    entities, card = _find_entities(frame, free, config, bool(time))
    free = [name for name in free if name not in entities]
    id = config.id or next(
        (name for name in free if _normalize(name) in ID_NAMES and _is_mostly_unique(frame[name])), None
    )
    rest = [name for name in columns if name not in (label, time, amount, *entities, id)]
    numbers = [name for name in rest if _is_numeric_feature(frame[name], config)]
    numbers = [amount, *numbers] if amount and amount not in numbers else numbers
    categories = [
        name for name in rest if name not in numbers and _is_category(frame[name], name in config.category)
    ]
    others = () if config.unsupervised else tuple(name for name in entities if name != card)
    return Layout(
        label=label,
        time=time,
        amount=amount,
        entities=entities,
        card=card,
        amount_by=(config.amount_by or ((card,) if card else entities)) if amount else (),
        fraud_rate_by=config.fraud_rate_by or others,
        id=id,
        numbers=tuple(numbers),
        categories=tuple(categories),
    )


def _configured_columns(config: FraudConfig) -> list[str]:
    """All columns that the config names."""
    names = [config.label, config.time, config.amount, config.card, config.id]
    names += [*config.entity, *config.amount_by, *config.fraud_rate_by]
    names += [*config.number, *config.category, *config.ignore]
    return [name for name in names if name]


def _find_entities(
    frame: pl.DataFrame, columns: Sequence[str], config: FraudConfig, has_time: bool
) -> tuple[tuple[str, ...], str | None]:
    """The entities, and which of them is the card."""
    entities = config.entity or (tuple(_guess_entities(frame, columns)) if has_time else ())
    if config.card and config.card not in entities:
        entities = (config.card, *entities)
    return entities, config.card or next((name for name in entities if _has_word(name, CARD_NAMES)), None)


def flat_columns(frame: pl.DataFrame) -> list[str]:
    """The columns that hold one value per row."""
    return [name for name, dtype in frame.schema.items() if not dtype.is_nested()]


def without_names(columns: Sequence[str], names: Sequence[str | None] = ()) -> list[str]:
    """The columns of the table itself without these names."""
    return [name for name in columns if name not in (FILE_COLUMN, ROW_COLUMN, *names)]


def describe_columns(layout: Layout, columns: Sequence[str], dropped: Sequence[str]) -> list[str]:
    """Notes on the role of each column; `dropped` are left out for reasons reported elsewhere."""
    roles = {name: getattr(layout, name) for name in ("label", "time", "amount", "card", "id")}
    lists = {name: getattr(layout, name) for name in LIST_ROLES}
    parts = [f"{role} {name!r}" for role, name in roles.items() if name]
    parts += [f"{role} {', '.join(map(repr, names))}" for role, names in lists.items() if names]
    used = {*filter(None, roles.values()), *layout.entities, *layout.numbers, *layout.categories}
    unused = without_names(columns, (SPLIT_COLUMN, *used, *dropped))
    notes = [f"columns: {'; '.join(parts)} (options of the same names change this)"]
    if unused:
        notes.append(
            f"not used: {', '.join(map(repr, unused))}: neither numbers nor categories of few values"
        )
    return notes


def find_column(columns: Sequence[str], known: Sequence[str]) -> str | None:
    """The column with one of these names; else the first with one of them as a word in its name."""
    normalized = {_normalize(name): name for name in reversed(columns)}
    exact = next((normalized[_normalize(name)] for name in known if _normalize(name) in normalized), None)
    return exact or next((name for name in columns if _has_word(name, known)), None)


def _normalize(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _words(name: str) -> set[str]:
    """The words of a column's name, and all of it."""
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", name)
    return {word.lower() for word in words} | {_normalize(name)}


def _has_word(name: str, known: Sequence[str]) -> bool:
    return bool(_words(name) & set(known))


def _find_time(frame: pl.DataFrame, columns: Sequence[str]) -> str | None:
    temporal = [name for name in columns if frame.schema[name].is_temporal()]
    if temporal:
        return temporal[0]
    return find_column([name for name in columns if not _has_word(name, ("zone",))], TIME_NAMES)


def _guess_entities(frame: pl.DataFrame, columns: Sequence[str]) -> list[str]:
    """Columns named as one side of a payment, with values that repeat."""
    named = [
        name
        for name in columns
        if _has_word(name, (*CARD_NAMES, *COUNTERPARTY_NAMES)) and not _has_word(name, ATTRIBUTE_NAMES)
    ]
    return [
        name for name in named if not frame.schema[name].is_float() and frame[name].n_unique() < frame.height
    ]


def _is_mostly_unique(column: pl.Series) -> bool:
    """Whether most values occur once; repeated ones are mistakes."""
    return column.n_unique() > len(column) / 2


def _is_numeric_feature(column: pl.Series, config: FraudConfig) -> bool:
    return column.name in config.number or (column.name not in config.category and _is_numeric(column))


def _is_numeric(column: pl.Series) -> bool:
    if column.dtype.is_numeric() or column.dtype == pl.Boolean:
        return True
    if column.dtype != pl.String:
        return False
    present = column.drop_nulls()
    fraction: Any = present.cast(pl.Float64, strict=False).is_not_null().mean()
    return bool(len(present)) and fraction >= MIN_NUMERIC_FRACTION


def _is_category(column: pl.Series, is_configured: bool) -> bool:
    if is_configured:
        return True
    if column.dtype not in (pl.String, pl.Categorical) and not isinstance(column.dtype, pl.Enum):
        return False
    return column.drop_nulls().n_unique() <= min(MAX_CATEGORY_VALUES, max(2, len(column) // 2))
