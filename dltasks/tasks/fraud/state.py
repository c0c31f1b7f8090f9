"""What was scored before, on disk: tomorrow's file is scored as if yesterday's stood before it.

A SQLite file of typed transactions, as far back as the features look. A file's rows go in when its answers are out, all or
none of them; a file that comes again is answered as the first time, and its rows are not doubled.
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
from dltasks.tasks.fraud.windows import AMOUNT, FRAUD, MOMENT

SCHEMA = """
create table if not exists made (what text primary key, value text);
create table if not exists files (number integer primary key, sha256 text unique, name text);
"""


class State:
    """An open state; see the module. Raises DataError for a file that is not one, or is in use."""

    def __init__(self, path: Path, task):
        self.path, self.task = path, task
        layout = task.recipe.layout
        self._texts = [*layout.entities, *([layout.id] if layout.id else [])]
        self._numbers = [MOMENT, AMOUNT, FRAUD, *(each for each in layout.numbers if each != layout.amount)]

    @contextmanager
    def opened(self) -> Iterator["State"]:
        """The changes of the block come to stand together when it ends, or not at all."""
        with self._failures():
            self._database = sqlite3.connect(self.path, timeout=5, isolation_level=None)
        try:
            with self._failures():
                self._database.execute("begin immediate")
                self._prepare()
            yield self
            with self._failures():
                self._database.execute("commit")
        finally:
            # What was not committed is rolled back.
            self._database.close()

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise DataError(
                f"{self.path}: {error}; wanted a state that --state wrote, or a new name"
            ) from error

    def _prepare(self) -> None:
        there = {
            name for (name,) in self._database.execute("select name from sqlite_master where type = 'table'")
        }
        if there and "made" not in there:
            raise DataError(
                f"{self.path}: a database of something else; wanted a state that --state wrote, or a new name"
            )
        self.new = not there
        columns = [f"{_quoted(each)} text" for each in self._texts]
        columns += [f"{_quoted(each)} {'integer' if each == MOMENT else 'real'}" for each in self._numbers]
        for statement in (
            *SCHEMA.split(";"),
            f"create table if not exists rows (file integer, {', '.join(columns)})",
        ):
            self._database.execute(statement)
        self._database.execute(f"create index if not exists by_time on rows ({_quoted(MOMENT)})")
        if name := self.task.recipe.layout.id:
            self._database.execute(f"create index if not exists by_id on rows ({_quoted(name)})")
        wanted = json.dumps([self._texts, self._numbers, list(self.task.lengths), self.task.label_delay])
        found = self._database.execute("select value from made where what = 'columns'").fetchone()
        if found is None:
            self._database.execute("insert into made values ('columns', ?)", (wanted,))
        elif found[0] != wanted:
            raise ModelError(
                f"{self.path}: the state of a model with other columns or windows; name a new one"
            )

    def before(self, sha256: str) -> pl.DataFrame:
        """The typed transactions of the files that came before this one."""
        number = self._database.execute("select number from files where sha256 = ?", (sha256,)).fetchone()
        limit = number[0] if number else 2**62
        names = [*self._texts, *self._numbers]
        rows = self._database.execute(
            f"select {', '.join(map(_quoted, names))} from rows where file < ? order by rowid", (limit,)
        ).fetchall()
        kinds = {each: pl.String for each in self._texts} | {each: pl.Float64 for each in self._numbers}
        kinds[MOMENT] = pl.Int64
        return pl.DataFrame(rows, schema=kinds, orient="row")

    def add(self, sha256: str, name: str, rows: pl.DataFrame) -> bool:
        """Take a file's typed transactions in; False, and nothing changed, where it was there already."""
        if self._database.execute("select 1 from files where sha256 = ?", (sha256,)).fetchone():
            return False
        with self._failures():
            number = self._database.execute(
                "insert into files (sha256, name) values (?, ?)", (sha256, name)
            ).lastrowid
            texts = [pl.col(each).cast(pl.String) for each in self._texts]
            values = rows.select(pl.lit(number).alias("file"), *texts, *self._numbers)
            marks = ", ".join("?" * values.width)
            self._database.executemany(f"insert into rows values ({marks})", values.iter_rows())
            self._forget()
        return True

    def _forget(self) -> None:
        """Drop what no feature looks back to: two of the longest windows and a delay, and as much for what comes late."""
        oldest = 3 * max(self.task.lengths, default=0) + 2 * self.task.label_delay
        latest = f"(select max({_quoted(MOMENT)}) from rows)"
        self._database.execute(f"delete from rows where {_quoted(MOMENT)} < {latest} - ?", (oldest,))

    def tell(self, known: Any) -> int:
        """Take in what became of transactions, a table of their ids and labels; the number of those that were here.

        Raises DataError.
        """
        from dltasks.tasks.fraud import layout, reading

        recipe = self.task.recipe
        name, label = recipe.layout.id, recipe.layout.label
        if not name or not label:
            raise DataError("--labels needs a model that was trained with a label and an --id column")
        frame = tables.read_table(known)
        layout.require(frame, [name, label], tables.source_name(known))
        labels = reading.label(frame, recipe.layout, self.task.positive)
        pairs = [(f, i) for f, i in zip(labels, frame[name].cast(pl.String), strict=True) if f is not None]
        with self._failures():
            changed = self._database.executemany(
                f"update rows set {_quoted(FRAUD)} = ? where {_quoted(name)} = ?", pairs
            )
        if pairs and not changed.rowcount:
            raise DataError(
                f"{tables.source_name(known)}: none of its {len(pairs)} labelled ids ({pairs[0][1]!r} ...) is in {self.path}"
            )
        return changed.rowcount


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def sha256(source: Any) -> str:
    """Of all that a source names."""
    whole = hashlib.sha256()
    for path in tables.files(source):
        whole.update(path.read_bytes())
    if isinstance(source, bytes):
        whole.update(source)
    return whole.hexdigest()
