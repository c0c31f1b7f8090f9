"""Time columns: dates in several formats and time zones, or numbers of a unit since an origin."""

import re
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from dltasks.errors import ConfigError, DataError
from dltasks.tasks.fraud.config import FraudConfig

SECOND = 1_000_000
"""Microseconds of a second; timestamps count them since 1970, or since 0 of a column without dates."""
MINUTE, HOUR, DAY = 60 * SECOND, 3600 * SECOND, 86_400 * SECOND

UNITS = {"ns": 1e-3, "us": 1.0, "ms": 1e3, "s": 1e6, "min": 60e6, "h": 3600e6, "d": 86_400e6}
"""Microseconds of each unit of a time column."""

DATE_ORDERS = ("", "iso", "day-first", "month-first")
"""Orders of the parts of a date; "" for a column of numbers."""

_TIME_FORMATS = (" %H:%M:%S%.f", " %H:%M", " %I:%M:%S %p", " %I:%M %p", "")
_DATE_FORMATS = ("%Y-%m-%d", "%Y/%m/%d", "%Y%m%d", "%d.%m.%Y", "%d %b %Y", "%b %d, %Y")
_SLASHED_FORMATS = {"day-first": ("%d/%m/%Y", "%d-%m-%Y"), "month-first": ("%m/%d/%Y", "%m-%d-%Y")}
_ZONE_SUFFIX = r"(?:[Zz]|[+-]\d\d:?\d\d)$"


@dataclass(frozen=True)
class TimeParser:
    """How a time column is read.

    Attributes:
        unit: of numbers, one of UNITS.
        origin: the date of 0 in ISO 8601; None where it is not known.
        timezone: an IANA name; nights, weekends and dates without a zone are in it.
        date_order: one of DATE_ORDERS.
    """

    unit: str = "s"
    origin: str | None = None
    timezone: str = "UTC"
    date_order: str = ""

    @property
    def has_dates(self) -> bool:
        """Whether timestamps have dates."""
        return bool(self.date_order or self.origin)

    def validate(self) -> str:
        """What is inconsistent in the fields; empty where nothing is."""
        if self.unit not in UNITS or self.date_order not in DATE_ORDERS:
            return f"unit {self.unit!r:.40} and date order {self.date_order!r:.40} are not known"
        try:
            ZoneInfo(self.timezone)
            self._zero()
        except (KeyError, ValueError, OSError, OverflowError, ConfigError) as error:
            return f"its time zone or origin is not valid ({error})"
        return ""

    def timestamps(self, column: pl.Series) -> pl.Series:
        """Int64 timestamps; null where a value is missing or is not a time."""
        if column.dtype.is_temporal():
            return self._from_datetimes(column.cast(pl.Datetime("us")) if column.dtype == pl.Date else column)
        if column.dtype == pl.String and self.date_order:
            return self._from_texts(column)
        numbers = column.cast(pl.Float64, strict=False)
        numbers = numbers.set(numbers.is_infinite() | numbers.is_nan(), None)
        return (numbers * UNITS[self.unit]).round().cast(pl.Int64, strict=False) + self._zero()

    def parse_timestamp(self, text: str, end: bool = False) -> int:
        """The timestamp that an option names: a date, or a number in the column's own unit.

        end: whether a date without a time of day means the end of that day. Raises ConfigError.
        """
        try:
            number = float(text)
        except ValueError:
            pass
        else:
            if not self.date_order or len(text) != 8:
                return round(number * UNITS[self.unit]) + self._zero()
        try:
            parsed = datetime.fromisoformat(text)
        except ValueError as error:
            raise ConfigError(
                f"{text!r} is not a time; expected a date such as 2018-07-25, or a number"
            ) from error
        if not self.has_dates:
            raise ConfigError(
                f"{text!r}: the time column holds numbers; give times as numbers, or the date of 0 with "
                "--time-origin 2018-04-01"
            )
        parsed = parsed if parsed.tzinfo else parsed.replace(tzinfo=ZoneInfo(self.timezone))
        is_whole_day = end and len(text.strip()) <= 10
        return _microseconds_since_1970(parsed) + (DAY if is_whole_day else 0)

    def expected_format(self, column: pl.Series) -> str:
        """What a value that is not a time should have been."""
        has_zone = column.dtype == pl.String and column.str.strip_chars().str.contains(_ZONE_SUFFIX).any()
        return "a time with a zone, as in other rows" if has_zone and self.date_order else "a time"

    def local_times(self, timestamps: pl.Series) -> pl.Series:
        """Datetimes without a zone, as a clock in the time zone shows them."""
        times = timestamps.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
        return times.dt.convert_time_zone(self.timezone).dt.replace_time_zone(None)

    def day_numbers(self, timestamps: np.ndarray) -> np.ndarray:
        """int64: the local day of each timestamp, counted from 1970 or the column's zero."""
        if self.timezone == "UTC":
            return timestamps // DAY
        return self.local_times(pl.Series(timestamps)).cast(pl.Int64).to_numpy() // DAY

    def day_starts(self, days: np.ndarray) -> np.ndarray:
        """int64: the timestamp at which each day begins."""
        utc = pl.Series(days * DAY)
        local = utc.cast(pl.Datetime("us")).dt.replace_time_zone(
            self.timezone, ambiguous="earliest", non_existent="null"
        )
        return local.dt.convert_time_zone("UTC").cast(pl.Int64).fill_null(utc).to_numpy()

    def format_day(self, day: int) -> str:
        """A day for people."""
        try:
            return str(date(1970, 1, 1) + timedelta(days=day)) if self.has_dates else f"day {day}"
        except OverflowError:
            return self.format_timestamp(day * DAY)

    def format_timestamp(self, timestamp: int) -> str:
        """A timestamp for people."""
        if not self.has_dates:
            return f"{timestamp / UNITS[self.unit]:.12g} {self.unit}"
        try:
            local = datetime.fromtimestamp(timestamp / SECOND, ZoneInfo(self.timezone))
            return local.isoformat(" ", "seconds")[:19]
        except (ValueError, OverflowError, OSError):  # before the year 1, or after 9999
            return f"about the year {1970 + timestamp / (365.2425 * DAY):.0f}"

    def _zero(self) -> int:
        return self.origin_timestamp(self.origin) if self.origin else 0

    def origin_timestamp(self, origin: str) -> int:
        """The timestamp of the column's 0. Raises ConfigError."""
        try:
            parsed = datetime.fromisoformat(origin)
        except ValueError as error:
            raise ConfigError(f"--time-origin {origin}: expected a date such as 2018-04-01") from error
        zoned = parsed if parsed.tzinfo else parsed.replace(tzinfo=ZoneInfo(self.timezone))
        return _microseconds_since_1970(zoned)

    def _from_datetimes(self, column: pl.Series) -> pl.Series:
        if getattr(column.dtype, "time_zone", None) is None:
            column = column.dt.replace_time_zone(self.timezone, ambiguous="earliest", non_existent="null")
        return column.dt.convert_time_zone("UTC").dt.cast_time_unit("us").cast(pl.Int64)

    def _from_texts(self, column: pl.Series) -> pl.Series:
        texts = _normalize_texts(column)
        has_zone = texts.str.contains(_ZONE_SUFFIX)
        if has_zone.any():
            with_zone = texts.str.replace(r"[Zz]$", "+00:00")
            parsed = _parse_datetimes(with_zone, [f"%Y-%m-%d{time}%z" for time in _TIME_FORMATS[:2]])
            return self._from_datetimes(parsed.set(~has_zone.fill_null(False), None))
        return self._from_datetimes(_parse_datetimes(texts, _formats(self.date_order)))


def infer_time_parser(column: pl.Series, config: FraudConfig, where: str) -> TimeParser:
    """How this column is read, by the config or by the look of its values. Raises DataError, ConfigError."""
    try:
        ZoneInfo(config.timezone)
    except (KeyError, ValueError, OSError) as error:
        raise ConfigError(
            f"--timezone {config.timezone}: no such time zone; expected a name such as Europe/Brussels"
        ) from error
    parser = TimeParser(config.time_unit or "s", config.time_origin, config.timezone)
    if config.time_origin:
        parser.origin_timestamp(config.time_origin)
    if column.dtype.is_temporal():
        return replace(parser, date_order="iso")
    if column.dtype == pl.String and _parsed_fraction(column.cast(pl.Float64, strict=False), column) < 0.5:
        return replace(parser, date_order=_infer_date_order(column, config.date_order, where))
    if config.time_origin is None and config.time_unit is None:
        return _detect_unix_time(parser, column.cast(pl.Float64, strict=False))
    return parser


def refit_date_order(parser: TimeParser, column: pl.Series, where: str) -> TimeParser:
    """The parser of a trained model, for a table that writes its dates in another order. Raises DataError."""
    is_text = column.dtype == pl.String and parser.date_order
    if not is_text or _parsed_fraction(parser.timestamps(column), column) >= 0.5:
        return parser
    return replace(parser, date_order=_infer_date_order(column, None, where))


def _detect_unix_time(parser: TimeParser, numbers: pl.Series) -> TimeParser:
    """A parser of Unix time where the median would lie between 1990 and 2100."""
    median: Any = numbers.median()
    for unit in ("s", "ms", "us", "ns"):
        if 0.63e9 < (median or 0.0) * UNITS[unit] / SECOND < 4.1e9:
            return replace(parser, unit=unit, origin="1970-01-01T00:00:00+00:00")
    return parser


def _infer_date_order(column: pl.Series, configured: str | None, where: str) -> str:
    """Whether 03/04 is the third of April, by what all rows allow. Raises DataError."""
    if configured:
        return configured
    texts = _normalize_texts(column)
    slashed: Any = texts.drop_nulls().str.contains(r"^\d{1,2}[/-]\d{1,2}[/-]\d{4}").mean()
    if (slashed or 0.0) < 0.5:
        return "iso"
    day, month = (
        _parsed_fraction(_parse_datetimes(texts, _formats(order)), texts)
        for order in ("day-first", "month-first")
    )
    if day == month:
        example = texts.drop_nulls()[0]
        raise DataError(
            f"{where}: {column.name} holds dates such as {example!r}, and every row could have the day or "
            "the month first; name the order with --date-order day-first or --date-order month-first"
        )
    return "day-first" if day > month else "month-first"


def _normalize_texts(column: pl.Series) -> pl.Series:
    """Texts without white space around them, and a space for the T between date and time."""
    return column.str.strip_chars().str.replace(r"^(\d{4}-\d\d-\d\d)[Tt]", "$1 ")


def _parsed_fraction(parsed: pl.Series, column: pl.Series) -> float:
    """Fraction of the present values that could be parsed."""
    present = column.is_not_null()
    return int((parsed.is_not_null() & present).sum()) / max(1, int(present.sum()))


def _formats(date_order: str) -> list[str]:
    dates = (*_DATE_FORMATS, *_SLASHED_FORMATS.get(date_order, ()))
    return [date + time for date in dates for time in _TIME_FORMATS]


def _parse_datetimes(texts: pl.Series, formats: list[str]) -> pl.Series:
    """Datetimes by the first format that fits each row; null where none does."""
    zone = "UTC" if "%z" in formats[0] else None
    parsed: pl.Series | None = None
    for format in formats:
        rest = texts if parsed is None else texts.set(parsed.is_not_null(), None)
        if parsed is not None and rest.null_count() == len(rest):
            break
        matched = rest.str.to_datetime(format, strict=False, time_unit="us", time_zone=zone)
        if parsed is None:
            parsed = matched
        elif matched.null_count() < len(matched):
            parsed = parsed.fill_null(matched)
    assert parsed is not None
    return parsed


def _microseconds_since_1970(when: datetime) -> int:
    span = when.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (span.days * 86_400 + span.seconds) * SECOND + span.microseconds


def parse_duration(text: str, option: str) -> int:
    """Microseconds of "7d", "12h", "30 min". Raises ConfigError."""
    match = re.fullmatch(
        r"\s*(\d+(?:\.\d+)?)\s*(d|days?|h|hours?|min|minutes?|s|seconds?|w|weeks?)?\s*", text.lower()
    )
    if not match:
        raise ConfigError(f"{option} {text!r}: expected a duration such as 7d, 12h or 30min")
    unit = {"d": DAY, "h": HOUR, "m": MINUTE, "s": SECOND, "w": 7 * DAY}[(match[2] or "d")[0]]
    return round(float(match[1]) * unit)


def format_duration(length: int) -> str:
    """A duration for people: "7-day", "12-hour"."""
    for unit, name in ((DAY, "day"), (HOUR, "hour"), (MINUTE, "minute")):
        if length % unit == 0:
            return f"{length // unit}-{name}"
    return f"{length / SECOND:g}-second"
