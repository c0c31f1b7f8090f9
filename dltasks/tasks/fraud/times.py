"""Time columns: dates in several formats and zones, or numbers of a unit since an origin."""

import re
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from dltasks.errors import ConfigError, DataError

SECOND = 1_000_000
"""Moments are whole microseconds: since 1970 where dates are known, else since the zero of the column."""
DAY = 86_400 * SECOND

UNITS = {"ns": 1e-3, "us": 1.0, "ms": 1e3, "s": 1e6, "min": 60e6, "h": 3600e6, "d": 86_400e6}
"""Microseconds of each unit."""

_CLOCKS = (" %H:%M:%S%.f", " %H:%M", " %I:%M:%S %p", " %I:%M %p", "")
_DATES = ("%Y-%m-%d", "%Y/%m/%d", "%Y%m%d", "%d.%m.%Y", "%d %b %Y", "%b %d, %Y")
_DAY_FIRST = ("%d/%m/%Y", "%d-%m-%Y")
_MONTH_FIRST = ("%m/%d/%Y", "%m-%d-%Y")
_ZONED = r"(?:[Zz]|[+-]\d\d:?\d\d)$"


@dataclass(frozen=True)
class Clock:
    """How a time column is read.

    unit: of numbers, one of UNITS. origin: the date of 0, in ISO 8601; None where nothing says it. zone: where night
    and weekends are, a name of the IANA database; dates without a zone are of it. dates: "" for numbers, else "iso",
    "day-first" or "month-first".
    """

    unit: str = "s"
    origin: str | None = None
    timezone: str = "UTC"
    date_order: str = ""

    @property
    def dated(self) -> bool:
        """Whether moments have dates."""
        return bool(self.date_order or self.origin)

    def validate(self) -> str:
        """What of the fields makes no sense; nothing where all does."""
        if self.unit not in UNITS or self.date_order not in ("", "iso", "day-first", "month-first"):
            return f"unit {self.unit!r:.40} and dates {self.date_order!r:.40} are not known"
        try:
            ZoneInfo(self.timezone)
            self._zero()
        except (KeyError, ValueError, OSError, OverflowError, ConfigError) as error:
            return f"its zone or origin makes no sense ({error})"
        return ""

    def moments(self, column: pl.Series) -> pl.Series:
        """Int64 moments; null where a value is missing or no time."""
        if column.dtype.is_temporal():
            return self._of_datetimes(column.cast(pl.Datetime("us")) if column.dtype == pl.Date else column)
        if column.dtype == pl.String and self.date_order:
            return self._of_texts(column)
        numbers = column.cast(pl.Float64, strict=False)
        numbers = numbers.set(numbers.is_infinite() | numbers.is_nan(), None)
        return (numbers * UNITS[self.unit]).round().cast(pl.Int64, strict=False) + self._zero()

    def moment(self, text: str, end: bool = False) -> int:
        """A moment that a person names: a date, or a number of the column's own units.

        end: a date without a time of day is meant to its end. Raises SettingError.
        """
        try:
            number = float(text)
        except ValueError:
            pass
        else:
            if not self.date_order or len(text) != 8:
                return round(number * UNITS[self.unit]) + self._zero()
        try:
            found = datetime.fromisoformat(text)
        except ValueError as error:
            raise ConfigError(
                f"{text!r} is no time; wanted a date such as 2018-07-25, or a number"
            ) from error
        if not self.dated:
            raise ConfigError(
                f"{text!r}: the time column holds numbers; name times as such, or say what date 0 is with "
                "--time-origin 2018-04-01"
            )
        found = found if found.tzinfo else found.replace(tzinfo=ZoneInfo(self.timezone))
        whole = end and len(text.strip()) <= 10
        return _since_1970(found) + (DAY if whole else 0)

    def wanted(self, column: pl.Series) -> str:
        """What a value that is no time should have been."""
        zoned = column.dtype == pl.String and column.str.strip_chars().str.contains(_ZONED).any()
        return "a time with a zone, as others have" if zoned and self.date_order else "a time"

    def wall(self, moments: pl.Series) -> pl.Series:
        """Datetimes as a clock on the wall shows them."""
        times = moments.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
        return times.dt.convert_time_zone(self.timezone).dt.replace_time_zone(None)

    def days(self, moments: np.ndarray) -> np.ndarray:
        """int64: the day of each moment, by the clock on the wall."""
        if self.timezone == "UTC":
            return moments // DAY
        return self.wall(pl.Series(moments)).cast(pl.Int64).to_numpy() // DAY

    def starts(self, days: np.ndarray) -> np.ndarray:
        """The moment at which each day begins."""
        plain = pl.Series(days * DAY)
        local = plain.cast(pl.Datetime("us")).dt.replace_time_zone(
            self.timezone, ambiguous="earliest", non_existent="null"
        )
        return local.dt.convert_time_zone("UTC").cast(pl.Int64).fill_null(plain).to_numpy()

    def told_day(self, day: int) -> str:
        """A day for people."""
        try:
            return str(date(1970, 1, 1) + timedelta(days=day)) if self.dated else f"day {day}"
        except OverflowError:
            return self.told(day * DAY)

    def told(self, moment: int) -> str:
        """A moment for people."""
        if not self.dated:
            return f"{moment / UNITS[self.unit]:.12g} {self.unit}"
        try:
            return datetime.fromtimestamp(moment / SECOND, ZoneInfo(self.timezone)).isoformat(" ", "seconds")[
                :19
            ]
        except (ValueError, OverflowError, OSError):  # before the year 1, or after 9999
            return f"about the year {1970 + moment / (365.2425 * DAY):.0f}"

    def _zero(self) -> int:
        return self.moment_of_origin() if self.origin else 0

    def moment_of_origin(self) -> int:
        """The moment of the column's 0. Raises SettingError."""
        try:
            found = datetime.fromisoformat(self.origin)
        except ValueError as error:
            raise ConfigError(f"--time-origin {self.origin}: wanted a date such as 2018-04-01") from error
        return _since_1970(found if found.tzinfo else found.replace(tzinfo=ZoneInfo(self.timezone)))

    def _of_datetimes(self, column: pl.Series) -> pl.Series:
        if column.dtype.time_zone is None:
            column = column.dt.replace_time_zone(self.timezone, ambiguous="earliest", non_existent="null")
        return column.dt.convert_time_zone("UTC").dt.cast_time_unit("us").cast(pl.Int64)

    def _of_texts(self, column: pl.Series) -> pl.Series:
        texts = column.str.strip_chars().str.replace(r"^(\d{4}-\d\d-\d\d)[Tt]", "$1 ")
        zoned = texts.str.contains(_ZONED)
        if zoned.any():
            with_zone = texts.str.replace(r"[Zz]$", "+00:00")
            found = _first_that_parse(with_zone, [f"%Y-%m-%d{each}%z" for each in _CLOCKS[:2]])
            return self._of_datetimes(found.set(~zoned.fill_null(False), None))
        return self._of_datetimes(_first_that_parse(texts, _formats(self.date_order)))


def clock_of(column: pl.Series, config, where: str) -> Clock:
    """How this column is to be read, as the plan says or as its values look. Raises DataError, SettingError."""
    try:
        ZoneInfo(config.timezone)
    except (KeyError, ValueError, OSError) as error:
        raise ConfigError(
            f"--timezone {config.timezone}: no such time zone; wanted a name such as Europe/Brussels"
        ) from error
    clock = Clock(config.time_unit or "s", config.time_origin, config.timezone)
    if config.time_origin:
        clock.moment_of_origin()
    if column.dtype.is_temporal():
        return replace(clock, date_order="iso")
    if column.dtype == pl.String and _share(column.cast(pl.Float64, strict=False), column) < 0.5:
        return replace(clock, date_order=_order(column, config.date_order, where))
    numbers = column.cast(pl.Float64, strict=False)
    if config.time_origin is None and config.time_unit is None:
        return _since_1970_perhaps(clock, numbers)
    return clock


def fitted(clock: Clock, column: pl.Series, where: str) -> Clock:
    """The clock of a trained model, for a table that writes its dates in another order. Raises DataError."""
    if column.dtype != pl.String or not clock.date_order or _share(clock.moments(column), column) >= 0.5:
        return clock
    return replace(clock, date_order=_order(column, None, where))


def _since_1970_perhaps(clock: Clock, numbers: pl.Series) -> Clock:
    """Numbers as large as those of Unix time between 1990 and 2100 are taken for it."""
    middle = numbers.median() or 0.0
    for unit in ("s", "ms", "us", "ns"):
        if 0.63e9 < middle * UNITS[unit] / SECOND < 4.1e9:
            return replace(clock, unit=unit, origin="1970-01-01T00:00:00+00:00")
    return clock


def _order(column: pl.Series, asked: str | None, where: str) -> str:
    """Whether 03/04 is the third of April, by what all rows allow. Raises DataError."""
    if asked:
        return asked
    texts = column.str.strip_chars().str.replace(r"^(\d{4}-\d\d-\d\d)[Tt]", "$1 ")
    if (texts.drop_nulls().str.contains(r"^\d{1,2}[/-]\d{1,2}[/-]\d{4}").mean() or 0.0) < 0.5:
        return "iso"
    day, month = (
        _share(_first_that_parse(texts, _formats(each)), texts) for each in ("day-first", "month-first")
    )
    if day == month:
        example = texts.drop_nulls()[0]
        raise DataError(
            f"{where}: {column.name} holds dates such as {example!r}, and every row could have the day or the month "
            "first; say which with --date-order day-first or --date-order month-first"
        )
    return "day-first" if day > month else "month-first"


def _share(parsed: pl.Series, column: pl.Series) -> float:
    """Share of the values there that could be understood."""
    there = column.is_not_null()
    return float((parsed.is_not_null() & there).sum() / max(1, there.sum()))


def _formats(dates: str) -> list[str]:
    slashed = _MONTH_FIRST if dates == "month-first" else _DAY_FIRST if dates == "day-first" else ()
    return [day + clock for day in (*_DATES, *slashed) for clock in _CLOCKS]


def _first_that_parse(texts: pl.Series, formats: list[str]) -> pl.Series:
    """Datetimes by the first format that fits each row; null where none does. A format is tried on what is left."""
    found, zoned = None, "%z" in formats[0]
    for each in formats:
        left = texts if found is None else texts.set(found.is_not_null(), None)
        if left.null_count() == len(left) and found is not None:
            break
        parsed = left.str.to_datetime(each, strict=False, time_unit="us", time_zone="UTC" if zoned else None)
        found = (
            parsed
            if found is None
            else found.fill_null(parsed)
            if parsed.null_count() < len(parsed)
            else found
        )
    return found


def _since_1970(when: datetime) -> int:
    span = when.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (span.days * 86_400 + span.seconds) * SECOND + span.microseconds


def duration(text: str, name: str) -> int:
    """Microseconds of "7d", "12h", "30 min". Raises SettingError."""
    found = re.fullmatch(
        r"\s*(\d+(?:\.\d+)?)\s*(d|days?|h|hours?|min|minutes?|s|seconds?|w|weeks?)?\s*", text.lower()
    )
    if not found:
        raise ConfigError(f"{name} {text!r}: wanted a length of time such as 7d, 12h or 30min")
    unit = {"d": DAY, "h": 3600 * SECOND, "m": 60 * SECOND, "s": SECOND, "w": 7 * DAY}[(found[2] or "d")[0]]
    return round(float(found[1]) * unit)


def told(length: int) -> str:
    """A length of time for people: "7-day", "12-hour"."""
    for unit, name in ((DAY, "day"), (3600 * SECOND, "hour"), (60 * SECOND, "minute")):
        if length % unit == 0:
            return f"{length // unit}-{name}"
    return f"{length / SECOND:g}-second"
