"""Scored transactions on disk: tomorrow's file is scored as if yesterday's came before it.

A SQLite file of typed transactions, as far back as the features look. The rows of a file are added once its
predictions are written, all of them or none; a file that comes again gets the same predictions, and its rows
are not added twice.
"""

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl

from dltasks.data import tables
from dltasks.errors import DataError, ModelError
from dltasks.tasks.fraud.layout import check_columns
from dltasks.tasks.fraud.parsing import parse_labels
from dltasks.tasks.fraud.windows import AMOUNT, FRAUD, TIMESTAMP

SCHEMA = """
create table if not exists metadata (name text primary key, value text);
create table if not exists files (number integer primary key, sha256 text unique, name text);
"""


class State:
    """A state file. Raises DataError for another kind of file, or one in use."""

    def __init__(self, path: Path, task: Any):
        self.path, self.task = path, task
        layout = task.pipeline.layout
        self._texts = [*layout.entities, *([layout.id] if layout.id else [])]
        self._numbers = [TIMESTAMP, AMOUNT, FRAUD, *(n for n in layout.numbers if n != layout.amount)]
        self.is_new = False

    @contextmanager
    def open(self) -> Iterator["State"]:
        """All changes of the block are committed together at its end, or none."""
        with self._sqlite_errors():
            self._database = sqlite3.connect(self.path, timeout=5, isolation_level=None)
        try:
            with self._sqlite_errors():
                self._database.execute("begin immediate")
                self._prepare()
            yield self
            with self._sqlite_errors():
                self._database.execute("commit")
        finally:
            # What was not committed is rolled back.
            self._database.close()

    @contextmanager
    def _sqlite_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise DataError(
                f"{self.path}: {error}; expected a file written by --state, or a new name"
            ) from error

    def _prepare(self) -> None:
        """Create the tables of a new file, and check an old one. Raises DataError, ModelError."""
        existing = self._database.execute("select name from sqlite_master where type = 'table'").fetchall()
        if existing and ("metadata",) not in existing:
            raise DataError(
                f"{self.path}: the database of another program; expected a file written by --state, or a "
                "new name"
            )
        self.is_new = not existing
        columns = [f"{_quote(name)} text" for name in self._texts]
        columns += [f"{_quote(name)} {'integer' if name == TIMESTAMP else 'real'}" for name in self._numbers]
        for statement in (
            *SCHEMA.split(";"),
            f"create table if not exists rows (file integer, {', '.join(columns)})",
            f"create index if not exists by_time on rows ({_quote(TIMESTAMP)})",
        ):
            self._database.execute(statement)
        if name := self.task.pipeline.layout.id:
            self._database.execute(f"create index if not exists by_id on rows ({_quote(name)})")
        self._check_columns()

    def _check_columns(self) -> None:
        """Record the columns and windows of a new file. Raises ModelError where an old one has others."""
        task = self.task
        expected = json.dumps([self._texts, self._numbers, list(task.window_lengths), task.label_delay])
        recorded = self._database.execute("select value from metadata where name = 'columns'").fetchone()
        if recorded is None:
            self._database.execute("insert into metadata values ('columns', ?)", (expected,))
        elif recorded[0] != expected:
            raise ModelError(
                f"{self.path}: the state of a model with other columns or windows; choose a new name"
            )

    def read_before(self, sha256: str) -> pl.DataFrame:
        """The typed transactions of the files that came before this one."""
        number = self._database.execute("select number from files where sha256 = ?", (sha256,)).fetchone()
        limit = number[0] if number else 2**62
        dtypes: dict[str, Any] = dict.fromkeys(self._texts, pl.String) | dict.fromkeys(
            self._numbers, pl.Float64
        )
        dtypes[TIMESTAMP] = pl.Int64
        columns = ", ".join(map(_quote, [*self._texts, *self._numbers]))
        rows = self._database.execute(
            f"select {columns} from rows where file < ? order by rowid", (limit,)
        ).fetchall()
        return pl.DataFrame(rows, schema=dtypes, orient="row")

    def add(self, sha256: str, name: str, rows: pl.DataFrame) -> bool:
        """Add a file's typed transactions; False, and nothing changed, where it was added before."""
        if self._database.execute("select 1 from files where sha256 = ?", (sha256,)).fetchone():
            return False
        with self._sqlite_errors():
            number = self._database.execute(
                "insert into files (sha256, name) values (?, ?)", (sha256, name)
            ).lastrowid
            texts = [pl.col(column).cast(pl.String) for column in self._texts]
            values = rows.select(pl.lit(number).alias("file"), *texts, *self._numbers)
            placeholders = ", ".join("?" * values.width)
            self._database.executemany(f"insert into rows values ({placeholders})", values.iter_rows())
            self._prune()
        return True

    def _prune(self) -> None:
        """Delete what no feature looks back to.

        That is two of the longest windows and a delay, and as much again for late files.
        """
        margin = 3 * max(self.task.window_lengths, default=0) + 2 * self.task.label_delay
        latest = f"(select max({_quote(TIMESTAMP)}) from rows)"
        self._database.execute(f"delete from rows where {_quote(TIMESTAMP)} < {latest} - ?", (margin,))

    def update_labels(self, source: Any) -> int:
        """Set the labels of transactions by a table of ids and labels; the number of those that were here.

        Raises DataError.
        """
        layout = self.task.pipeline.layout
        if not layout.id or not layout.label:
            raise DataError("--labels needs a model that was trained with a label and an --id column")
        frame = tables.read_table(source)
        check_columns(frame, [layout.id, layout.label], tables.source_name(source))
        labels = parse_labels(frame, layout, self.task.positive_label)
        ids = frame[layout.id].cast(pl.String)
        pairs = [(label, id) for label, id in zip(labels, ids, strict=True) if label is not None]
        with self._sqlite_errors():
            changed = self._database.executemany(
                f"update rows set {_quote(FRAUD)} = ? where {_quote(layout.id)} = ?", pairs
            )
        if pairs and not changed.rowcount:
            raise DataError(
                f"{tables.source_name(source)}: none of its {len(pairs)} labeled ids ({pairs[0][1]!r} ...) "
                f"is in {self.path}"
            )
        return changed.rowcount


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def hash_source(source: Any) -> str:
    """SHA-256 of all files, or the bytes, of a source."""
    digest = hashlib.sha256()
    for path in tables.files(source):
        digest.update(path.read_bytes())
    if isinstance(source, bytes):
        digest.update(source)
    return digest.hexdigest()
