"""Tables read from CSV, Parquet and JSON Lines, one file or many; every row knows where it stood."""

import csv
import glob
import gzip
import io
import json
import os
import zlib
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from dltasks.errors import DataError, RowsError
from dltasks.files import read_file as content_of
from dltasks.frameworks import suppress_native_output

FILE_COLUMN, ROW_COLUMN = "_file", "_row"
"""Columns that are added: the name of the file, and the row in it, from 1, a header not counted."""

EXTENSIONS = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet", ".pq", ".jsonl", ".jsonl.gz", ".ndjson")
CHUNK_BYTES = 1 << 20
"""Bytes that are unpacked at a time."""

MAX_COMPRESSION_RATIO = 100
"""Times its size that a packed table may have; real ones have five to twenty."""

MAX_COLUMNS = 10_000
"""Each costs far more than what it holds."""

MIN_UNPACKED_LIMIT = 512 << 20
"""Bytes that any table may take."""

SEPARATORS = (",", ";", "\t", "|")
BLANK_BYTES = b"\xef\xbb\xbf \t\r\n"
"""What may stand before the first value of a file: a mark of its encoding, white space."""


def read_table(source: Any) -> pl.DataFrame:
    """One frame of all rows of a source, with FILE and ROW.

    source: a file, a folder, a pattern ("2018-*.csv"), several of these in a list, the bytes of one of these, or
    a frame of Polars or pandas, or a dict that is a row. Raises DataError.
    """
    frames = [_read_one(each) for each in _iter_sources(source)]
    if not frames:
        raise DataError(f"{source}: no tables; wanted {', '.join(EXTENSIONS)}")
    if not any(each.height for each in frames):
        raise DataError(f"{source_name(source)}: a header and no rows")
    return concat_frames(frames)


def source_name(source: Any) -> str:
    """What to call a source in a message."""
    if isinstance(source, bytes):
        return "standard input"
    if isinstance(source, str | os.PathLike):
        return str(source)
    if isinstance(source, Sequence):
        return " and ".join(source_name(each) for each in source[:3]) + (" ..." if len(source) > 3 else "")
    return "the frame"


def files(source: Any) -> list[Path]:
    """The files that a source names. Raises DataError for one that is not there."""
    return [Path(each) for each in _iter_sources(source) if isinstance(each, str | os.PathLike)]


def _iter_sources(source: Any) -> list[Any]:
    if isinstance(source, list | tuple):
        return [part for each in source for part in _iter_sources(each)]
    if not isinstance(source, str | os.PathLike):
        return [source]
    path = Path(source)
    if path.is_dir():
        found = sorted(each for each in path.rglob("*") if str(each).lower().endswith(EXTENSIONS))
        if not found:
            raise DataError(f"{source}: no tables in this folder; wanted {', '.join(EXTENSIONS)}")
        return found
    if not path.exists() and glob.has_magic(str(source)):
        found = sorted(map(Path, glob.glob(str(source))))
        if not found:
            raise DataError(f"{source}: no file has such a name")
        return found
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
            f"{type(source).__name__}: not a table; wanted a path, a frame of Polars or pandas, a row as a dict, or a list of "
            "these"
        )
    clash = [each for each in (FILE_COLUMN, ROW_COLUMN) if each in frame.columns]
    if frame.width > MAX_COLUMNS:
        raise DataError(f"{name}: {frame.width:,} columns; at most {MAX_COLUMNS:,} are read")
    frame = frame.drop(clash).with_columns(*_plainer(frame.drop(clash)))
    return frame.with_columns(
        pl.lit(name).cast(pl.Categorical).alias(FILE_COLUMN),
        pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias(ROW_COLUMN),
    )


def _plainer(frame: pl.DataFrame) -> Iterator[pl.Series]:
    """What columns of kinds that few programs know are taken for."""
    for each in frame:
        if each.dtype.is_decimal():
            yield each.cast(pl.Float64)
        elif each.dtype in (pl.Int128, pl.UInt128, pl.Time):
            yield each.cast(pl.String)
        elif each.dtype == pl.Binary:
            texts = [None if value is None else value.decode("utf-8", "replace") for value in each]
            yield pl.Series(each.name, texts, pl.String)
        elif each.dtype == pl.Duration:
            yield each.dt.total_microseconds()


def _from_bytes(source: Path | bytes) -> pl.DataFrame:
    name = source_name(source)
    content = source if isinstance(source, bytes) else content_of(source)
    if not content.strip():
        raise DataError(f"{name}: empty; wanted a header and rows")
    if content[:4] == b"PAR1":
        return _from_parquet(content, name)
    if str(name).lower().endswith((".parquet", ".pq")):
        raise DataError(f"{name}: not a Parquet file, whatever its name says")
    content = _unpacked(content, name)
    if not content.strip():
        raise DataError(f"{name}: empty; wanted a header and rows")
    if content.lstrip(BLANK_BYTES).startswith(b"{"):
        return _from_json(content, name)
    return _from_csv(content, name)


def _from_parquet(content: bytes, name: str) -> pl.DataFrame:
    """What it says of its size is looked at first: a few bytes can stand for many rows."""
    table = pl.scan_parquet(io.BytesIO(content))
    try:
        with suppress_native_output():
            values = table.select(pl.len()).collect().item() * len(table.collect_schema())
            found = (
                None
                if 8 * values > max(MIN_UNPACKED_LIMIT, MAX_COMPRESSION_RATIO * len(content))
                else table.collect()
            )
    # polars raises a class of its own for every kind of damage, and one that is no Exception where its own code fails
    except (Exception, pl.exceptions.PanicException) as error:
        raise DataError(f"{name}: a damaged Parquet file ({_first_line(error)})") from error
    if found is None:
        raise DataError(
            f"{name}: {values:,} values in {len(content):,} bytes, as no table has; write it anew as CSV if it is one"
        )
    return found


def _from_json(content: bytes, name: str) -> pl.DataFrame:
    """One object a line; a file that is none of it is refused by its rows."""
    try:
        return pl.read_ndjson(content, infer_schema_length=None)
    except Exception as error:  # polars raises a class of its own for every kind of damage
        broken = dict(_broken(content))
        if broken:
            first, why = next(iter(broken.items()))
            more = f" (and {len(broken) - 1:,} more such rows)" if len(broken) > 1 else ""
            raise RowsError(f"{name}, row {first}: {why}{more}", name, tuple(broken)) from error
        raise DataError(f"{name}: not JSON Lines that can be read ({_first_line(error)})") from error


def _broken(content: bytes) -> Iterator[tuple[int, str]]:
    """Rows that are no objects, and why; blank lines are no rows."""
    lines = (line for line in content.splitlines() if line.strip())
    for number, line in enumerate(lines, 1):
        try:
            if not isinstance(json.loads(line), dict):
                yield number, f"{line[:60]!r} is no object; wanted one a line"
        except (ValueError, RecursionError) as wrong:
            yield number, f"not JSON ({wrong})"


def _unpacked(content: bytes, name: str) -> bytes:
    if content[:2] != b"\x1f\x8b":
        return content
    found = []
    try:
        with io.BytesIO(content) as packed, gzip.GzipFile(fileobj=packed) as file:
            while part := file.read(CHUNK_BYTES):
                found.append(part)
                if len(found) * CHUNK_BYTES > max(16 * CHUNK_BYTES, MAX_COMPRESSION_RATIO * packed.tell()):
                    raise DataError(
                        f"{name}: unpacks to more than {MAX_COMPRESSION_RATIO} times its size, as no table does; unpack it by hand if it is one"
                    )
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{name}: a damaged gzip file ({error})") from error
    return b"".join(found)


def _from_csv(content: bytes, name: str) -> pl.DataFrame:
    if b"\0" in content[:4096]:
        raise DataError(f"{name}: neither CSV in UTF-8 nor Parquet")
    separator = _separator(content)
    columns = _header(content).count(separator) + 1
    if columns > MAX_COLUMNS:
        raise DataError(f"{name}: {columns:,} columns; at most {MAX_COLUMNS:,} are read")
    try:
        # Every row is looked at before a column is called a number: a word in the last one would else be lost.
        return _with_numbers(content, separator)
    except Exception as error:  # polars raises a class of its own for every kind of damage
        raise DataError(f"{name}: {_damage(content, separator, error)}") from error


def _with_numbers(content: bytes, separator: str) -> pl.DataFrame:
    """The rows; numbers with a comma for a point are numbers where a comma does not separate columns."""
    options = {"separator": separator, "infer_schema_length": None, "null_values": ["", "NA", "null"]}
    frame = pl.read_csv(content, **options)
    if separator == ",":
        return frame
    texts = [each.drop_nulls() for each in frame if each.dtype == pl.String]
    commas = any(len(each) and each.str.contains(r"^\s*-?\d+,\d+\s*$").mean() > 0.5 for each in texts)
    return pl.read_csv(content, decimal_comma=True, **options) if commas else frame


def _separator(content: bytes) -> str:
    """The one of SEPARATORS that comes most often in the first line."""
    return max(SEPARATORS, key=_header(content).count)


def _header(content: bytes) -> str:
    return content.lstrip(b"\xef\xbb\xbf").split(b"\n", 1)[0].decode("utf-8", "replace")


def _damage(content: bytes, separator: str, error: Exception) -> str:
    """What is wrong with a CSV that can't be read, with its row."""
    lines = content.decode("utf-8", "replace").splitlines()
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return "not UTF-8 text; save it as CSV in UTF-8"
    for number, line in enumerate(lines):
        if line.count('"') % 2:
            return f"row {number}: a quote is not closed: {line[:60]}"
    wanted = lines[0].count(separator)
    for number, line in enumerate(lines):
        if '"' not in line and line.count(separator) > wanted:
            return f"row {number}: {line.count(separator) + 1} values where the header has {wanted + 1}: {line[:60]}"
    return f"not a CSV that can be read ({_first_line(error)})"


def read_header(source: Any) -> list[str]:
    """Names of the columns of the first table that a source names; none where they can't be told. Rows need not make sense."""
    try:
        first = _iter_sources(source)[0]
        content = _unpacked(content_of(first), source_name(first))
        if content[:4] == b"PAR1":
            return list(_from_parquet(content, source_name(first)).columns)
    except DataError:
        return []
    lines = (line for line in content.lstrip(BLANK_BYTES).splitlines() if line.strip())
    if not content.lstrip(BLANK_BYTES).startswith(b"{"):
        return next(csv.reader([_header(content)], delimiter=_separator(content)), [])
    for line, _ in zip(lines, range(100), strict=False):
        try:
            return list(json.loads(line))
        except (ValueError, RecursionError):
            continue
    return []


def drop_rows(path: Path, rows: Container[int]) -> bytes:
    """What a table's file holds without these rows, counted as in ROW; cells of text are as they were. Raises DataError."""
    content, name = content_of(path), source_name(path)
    if content[:4] == b"PAR1":
        written = io.BytesIO()
        _without_rows(_from_bytes(content), rows).write_parquet(written)
        return written.getvalue()
    plain = _unpacked(content, name)
    if plain.lstrip(BLANK_BYTES).startswith(b"{"):
        lines = (line for line in plain.splitlines(keepends=True) if line.strip())
        changed = b"".join(line for row, line in enumerate(lines, 1) if row not in rows)
    else:
        separator = _separator(plain)
        frame = pl.read_csv(plain, separator=separator, infer_schema=False)
        changed = _without_rows(frame, rows).write_csv(separator=separator).encode("utf-8")
    return changed if plain is content else gzip.compress(changed)


def _without_rows(frame: pl.DataFrame, rows: Container[int]) -> pl.DataFrame:
    return frame[[place for place in range(frame.height) if place + 1 not in rows]]


def concat_frames(frames: list[pl.DataFrame]) -> pl.DataFrame:
    """The frames below one another. A column that is text in one is text in all; one that is absent is missing."""
    try:
        return pl.concat(frames, how="diagonal_relaxed")
    except pl.exceptions.PolarsError as error:
        raise DataError(f"these tables have different columns ({_first_line(error)})") from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
