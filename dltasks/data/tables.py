"""Tables read from CSV, Parquet and JSON Lines, one file or many; each row knows its file and its number."""

import csv
import glob
import gzip
import io
import json
import os
import zlib
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import polars as pl

from dltasks.errors import DataError, RowsError, first_line
from dltasks.files import match_pattern, read_file
from dltasks.frameworks import suppress_native_output

FILE_COLUMN, ROW_COLUMN = "_file", "_row"
"""Added columns: the name of the file, and the number of the row in it, from 1, without a header."""

EXTENSIONS = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet", ".pq", ".jsonl", ".jsonl.gz", ".ndjson")
CHUNK_BYTES = 1 << 20
"""Number of bytes that are unzipped at a time."""

MAX_COMPRESSION_RATIO = 100
"""Maximum ratio of a table's unzipped to its zipped size; those of real tables are 5 to 20."""

MAX_COLUMNS = 10_000
"""Maximum number of columns; each costs far more memory than its values."""

MIN_UNPACKED_LIMIT = 512 << 20
"""Number of bytes that the values of any Parquet file may take, however small the file."""

SEPARATORS = (",", ";", "\t", "|")
BLANK_BYTES = b"\xef\xbb\xbf \t\r\n"
"""Bytes that may precede the first value of a file: a byte order mark and white space."""

GZIP_MAGIC, PARQUET_MAGIC = b"\x1f\x8b", b"PAR1"
"""First bytes of a gzip file and of a Parquet file."""


def read_table(source: Any) -> pl.DataFrame:
    """Read all rows of a source as one frame, with FILE_COLUMN and ROW_COLUMN.

    Args:
        source: A file, a folder, a pattern ("2018-*.csv"), the content of a file, a frame of Polars or
            pandas, a dict with the values of a row, or a list of these.

    Raises:
        DataError: There is no table, or one can't be read.
    """
    frames = [_read_one(part) for part in _iter_sources(source)]
    if not frames:
        raise DataError(f"{source}: no tables; expected {', '.join(EXTENSIONS)}")
    if not any(frame.height for frame in frames):
        raise DataError(f"{source_name(source)}: a header and no rows")
    return concat_frames(frames)


def source_name(source: Any) -> str:
    """The name of a source in messages."""
    if isinstance(source, bytes):
        return "standard input"
    if isinstance(source, str | os.PathLike):
        return str(source)
    if isinstance(source, Sequence):
        return " and ".join(source_name(part) for part in source[:3]) + (" ..." if len(source) > 3 else "")
    return "the frame"


def files(source: Any) -> list[Path]:
    """The files that a source names. Raises DataError for a folder or a pattern without any."""
    return [Path(part) for part in _iter_sources(source) if isinstance(part, str | os.PathLike)]


def _iter_sources(source: Any) -> list[Any]:
    if isinstance(source, list | tuple):
        return [part for item in source for part in _iter_sources(item)]
    if not isinstance(source, str | os.PathLike):
        return [source]
    path = Path(source)
    if path.is_dir():
        paths = sorted(file for file in path.rglob("*") if str(file).lower().endswith(EXTENSIONS))
        if not paths:
            raise DataError(f"{source}: no tables in this folder; expected {', '.join(EXTENSIONS)}")
        return paths
    if not path.exists() and glob.has_magic(str(source)):
        paths = match_pattern(str(source))
        if not paths:
            raise DataError(f"{source}: no file matches this pattern")
        return paths
    return [path]


def _read_one(source: Any) -> pl.DataFrame:
    if isinstance(source, pl.DataFrame):
        frame, name = source, "frame"
    elif isinstance(source, dict):
        frame, name = pl.DataFrame([source]), "row"
    elif hasattr(source, "__arrow_c_stream__") or type(source).__module__.partition(".")[0] == "pandas":
        frame, name = pl.DataFrame(source), "frame"
    elif isinstance(source, str | bytes | os.PathLike):
        frame, name = _from_bytes(source), source_name(source)
    else:
        raise DataError(
            f"{type(source).__name__}: not a table; expected a path, a frame of Polars or pandas, "
            "a row as a dict, or a list of these"
        )
    clashing = [column for column in (FILE_COLUMN, ROW_COLUMN) if column in frame.columns]
    if frame.width > MAX_COLUMNS:
        raise DataError(f"{name}: {frame.width:,} columns; at most {MAX_COLUMNS:,} are read")
    frame = frame.drop(clashing).with_columns(*_simplify(frame.drop(clashing)))
    return frame.with_columns(
        pl.lit(name).cast(pl.Categorical).alias(FILE_COLUMN),
        pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias(ROW_COLUMN),
    )


def _simplify(frame: pl.DataFrame) -> Iterator[pl.Series]:
    """Columns of rare data types, converted to common ones."""
    for column in frame:
        if column.dtype.is_decimal():
            yield column.cast(pl.Float64)
        elif column.dtype in (pl.Int128, pl.UInt128, pl.Time):
            yield column.cast(pl.String)
        elif column.dtype == pl.Binary:
            texts = [None if value is None else value.decode("utf-8", "replace") for value in column]
            yield pl.Series(column.name, texts, pl.String)
        elif column.dtype == pl.Duration:
            yield column.dt.total_microseconds()


def _from_bytes(source: Any) -> pl.DataFrame:
    name = source_name(source)
    content = source if isinstance(source, bytes) else read_file(source)
    if not content.strip():
        raise DataError(f"{name}: empty; expected a header and rows")
    if content.startswith(PARQUET_MAGIC):
        return _from_parquet(content, name)
    if name.lower().endswith((".parquet", ".pq")):
        raise DataError(f"{name}: not a Parquet file, despite its name")
    content = _unzip(content, name)
    if not content.strip():
        raise DataError(f"{name}: empty; expected a header and rows")
    if content.lstrip(BLANK_BYTES).startswith(b"{"):
        return _from_json(content, name)
    return _from_csv(content, name)


def _from_parquet(content: bytes, name: str) -> pl.DataFrame:
    """Checks the declared size first: a few bytes can stand for many rows."""
    table = pl.scan_parquet(io.BytesIO(content))
    try:
        with suppress_native_output():
            count = table.select(pl.len()).collect().item() * len(table.collect_schema())
            too_large = 8 * count > max(MIN_UNPACKED_LIMIT, MAX_COMPRESSION_RATIO * len(content))
            frame = None if too_large else table.collect()
    # polars has an error class for every kind of damage, and PanicException is no Exception
    except (Exception, pl.exceptions.PanicException) as error:
        raise DataError(f"{name}: a damaged Parquet file ({first_line(error)})") from error
    if frame is None:
        raise DataError(
            f"{name}: {count:,} values in {len(content):,} bytes, more than any real table; "
            "write it as CSV if it is one"
        )
    return frame


def _from_json(content: bytes, name: str) -> pl.DataFrame:
    """One object per line; invalid rows are refused by number."""
    try:
        return pl.read_ndjson(content, infer_schema_length=None)
    except Exception as error:  # polars has an error class for every kind of damage
        invalid = dict(_invalid_json_rows(content))
        if invalid:
            row, reason = next(iter(invalid.items()))
            more = f" (and {len(invalid) - 1:,} more such rows)" if len(invalid) > 1 else ""
            raise RowsError(f"{name}, row {row}: {reason}{more}", name, tuple(invalid)) from error
        raise DataError(f"{name}: not readable as JSON Lines ({first_line(error)})") from error


def _invalid_json_rows(content: bytes) -> Iterator[tuple[int, str]]:
    """Rows that are not objects, and why; blank lines are no rows."""
    lines = (line for line in content.splitlines() if line.strip())
    for row, line in enumerate(lines, 1):
        try:
            if not isinstance(json.loads(line), dict):
                yield row, f"{line[:60]!r} is not an object; expected one per line"
        except (ValueError, RecursionError) as error:
            yield row, f"not JSON ({error})"


def _unzip(content: bytes, name: str) -> bytes:
    if not content.startswith(GZIP_MAGIC):
        return content
    chunks = []
    try:
        with io.BytesIO(content) as zipped, gzip.GzipFile(fileobj=zipped) as file:
            while chunk := file.read(CHUNK_BYTES):
                chunks.append(chunk)
                if len(chunks) * CHUNK_BYTES > max(16 * CHUNK_BYTES, MAX_COMPRESSION_RATIO * zipped.tell()):
                    raise DataError(
                        f"{name}: unzips to more than {MAX_COMPRESSION_RATIO} times its size, "
                        "more than any real table; unzip it yourself if it is one"
                    )
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{name}: a damaged gzip file ({error})") from error
    return b"".join(chunks)


def _from_csv(content: bytes, name: str) -> pl.DataFrame:
    if b"\0" in content[:4096]:
        raise DataError(f"{name}: contains NUL bytes; expected CSV or JSON Lines in UTF-8, or Parquet")
    separator = _detect_separator(content)
    width = _first_row(content).count(separator) + 1
    if width > MAX_COLUMNS:
        raise DataError(f"{name}: {width:,} columns; at most {MAX_COLUMNS:,} are read")
    try:
        return _read_csv(content, separator)
    except Exception as error:  # polars has an error class for every kind of damage
        raise DataError(f"{name}: {_csv_damage(content, separator, error)}") from error


def _read_csv(content: bytes, separator: str) -> pl.DataFrame:
    """Reads decimal commas too, where the comma is not the separator."""
    # The types come from all rows: a text in the last row would be lost in a column of numbers.
    options: dict[str, Any] = {
        "separator": separator,
        "infer_schema_length": None,
        "null_values": ["", "NA", "null"],
    }
    frame = pl.read_csv(content, **options)
    if separator == "," or not any(map(_has_decimal_commas, frame)):
        return frame
    return pl.read_csv(content, decimal_comma=True, **options)


def _has_decimal_commas(column: pl.Series) -> bool:
    if column.dtype != pl.String:
        return False
    texts = column.drop_nulls()
    return len(texts) > 0 and cast(float, texts.str.contains(r"^\s*-?\d+,\d+\s*$").mean()) > 0.5


def _detect_separator(content: bytes) -> str:
    """The most frequent of SEPARATORS in the first row."""
    return max(SEPARATORS, key=_first_row(content).count)


def _first_row(content: bytes) -> str:
    return content.lstrip(b"\xef\xbb\xbf").split(b"\n", 1)[0].decode("utf-8", "replace")


def _csv_damage(content: bytes, separator: str, error: Exception) -> str:
    """What is wrong with a CSV file that can't be read, and in which row."""
    lines = content.decode("utf-8", "replace").splitlines()
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return "not UTF-8 text; save it as CSV in UTF-8"
    for row, line in enumerate(lines):
        if line.count('"') % 2:
            return f"row {row}: a quote is not closed: {line[:60]}"
    expected = lines[0].count(separator)
    for row, line in enumerate(lines):
        if '"' not in line and line.count(separator) > expected:
            count = line.count(separator) + 1
            return f"row {row}: {count} values where the header has {expected + 1}: {line[:60]}"
    return f"not readable as CSV ({first_line(error)})"


def read_header(source: Any) -> list[str]:
    """Names of the columns of the first table that a source names; the rows need not be valid.

    Empty where the names can't be determined.
    """
    try:
        first = _iter_sources(source)[0]
        content = _unzip(read_file(first), source_name(first))
        if content.startswith(PARQUET_MAGIC):
            return list(_from_parquet(content, source_name(first)).columns)
    except DataError:
        return []
    if not content.lstrip(BLANK_BYTES).startswith(b"{"):
        try:
            return next(csv.reader([_first_row(content)], delimiter=_detect_separator(content)), [])
        except csv.Error:
            return []
    lines = (line for line in content.lstrip(BLANK_BYTES).splitlines() if line.strip())
    for line, _ in zip(lines, range(100), strict=False):
        try:
            return list(json.loads(line))
        except (ValueError, RecursionError):
            continue
    return []


def drop_rows(path: Path, rows: Container[int]) -> bytes:
    """The content of a table's file without some rows, numbered as in ROW_COLUMN.

    Texts of other rows stay as they are. Raises DataError.
    """
    content, name = read_file(path), source_name(path)
    if content.startswith(PARQUET_MAGIC):
        parquet = io.BytesIO()
        _without_rows(_from_bytes(content), rows).write_parquet(parquet)
        return parquet.getvalue()
    text = _unzip(content, name)
    if text.lstrip(BLANK_BYTES).startswith(b"{"):
        lines = (line for line in text.splitlines(keepends=True) if line.strip())
        remaining = b"".join(line for row, line in enumerate(lines, 1) if row not in rows)
    else:
        separator = _detect_separator(text)
        frame = pl.read_csv(text, separator=separator, infer_schema=False)
        remaining = _without_rows(frame, rows).write_csv(separator=separator).encode("utf-8")
    return remaining if text is content else gzip.compress(remaining)


def _without_rows(frame: pl.DataFrame, rows: Container[int]) -> pl.DataFrame:
    return frame[[index for index in range(frame.height) if index + 1 not in rows]]


def concat_frames(frames: list[pl.DataFrame]) -> pl.DataFrame:
    """The rows of all frames.

    A column that is text in one frame is text in all; a column that a frame lacks is null. Raises DataError.
    """
    try:
        return pl.concat(frames, how="diagonal_relaxed")
    except pl.exceptions.PolarsError as error:
        raise DataError(f"these tables have different columns ({first_line(error)})") from error
