"""Tables of transactions scored as columns, and told: on standard output or as a table with the answers beside."""

import csv
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import polars as pl

import dltasks
from dltasks.data import tables
from dltasks.data.batch import Batch
from dltasks.data.columns import concat
from dltasks.errors import DataError, ModelError
from dltasks.files import atomic_path, os_errors_as
from dltasks.parallel import parallel_map
from dltasks.tasks.fraud import budget, data
from dltasks.tasks.fraud.data import Asked
from dltasks.tasks.fraud.prediction import FraudPrediction, FraudPredictions
from dltasks.tasks.fraud.reading import Problem
from dltasks.tasks.fraud.state import State, sha256
from dltasks.tasks.fraud.task import FraudTask
from dltasks.tasks.fraud.windows import PLACE

SHOWN = 10
"""Rows that make no sense that are named one by one."""


def loaded(model: str, threshold: float | None, explained: bool):
    """The bundle, answering as asked. Raises ModelError."""
    bundle = dltasks.load(model)
    if not isinstance(bundle.task, FraudTask):
        raise ModelError(f"{model}: not a model of transactions")
    task = replace(bundle.task, explained=explained)
    if threshold is not None:
        task = replace(task, threshold=threshold)
    return replace(bundle, task=task)


def budget_of(text: str | None) -> tuple[int, str] | None:
    """Cards and their period. Raises SettingError."""
    return budget.parsed(text) if text else None


def with_history(bundle, sources: list, history: list | None, limit, threads, told: Callable) -> bool:
    """Score a table that brings its past; whether a row could not be. Raises DataError."""
    before = None
    if history:
        found = data.typed(history, bundle.task)
        _complain(found.problems)
        before = found.frame
    elif bundle.task.recipe.layout.entities:
        click.echo("note: no --history and no --state: what was before this table is not known", err=True)
    asked = data.to_score(sources, bundle.task, before)
    told(_scored(bundle, asked, limit, threads))
    _complain(asked.problems)
    return bool(asked.problems)


def with_state(
    bundle, sources: list, state: str, history: list | None, known: Any, limit, threads, told: Callable
) -> bool:
    """Score a table after all that the state has seen. The state takes it in when it is told; whether a row could not be.

    history: earlier transactions that the state takes in first. Raises DataError.
    """
    with State(Path(state), bundle.task).opened() as opened:
        if history:
            found = data.typed(history, bundle.task)
            _complain(found.problems)
            opened.add(sha256(history), tables.source_name(history), found.frame)
        elif opened.new:
            click.echo(
                f"note: {state} is new: what was before this table is not known; --history tells it", err=True
            )
        if known:
            count = opened.tell(known)
            click.echo(f"{count} transactions of {state} now have a label", err=True)
        key = sha256(sources)
        asked = data.to_score(sources, bundle.task, opened.before(key))
        told(_scored(bundle, asked, limit, threads))
        if not opened.add(key, tables.source_name(sources), asked.typed):
            click.echo(f"note: {state} had these transactions already; it is as it was", err=True)
    _complain(asked.problems)
    return bool(asked.problems)


def _complain(problems: tuple[Problem, ...]) -> None:
    for each in problems[:SHOWN]:
        click.echo(f"dltasks: {each.error()}", err=True)
    if len(problems) > SHOWN:
        click.echo(f"dltasks: and {len(problems) - SHOWN} more rows like these", err=True)


@dataclass(frozen=True, eq=False)
class Scored:
    """Answers to the rows of a frame, and the rows that have none."""

    model: str
    asked: Asked
    answers: FraudPredictions

    def show(self, form: str, only_alerts: bool) -> None:
        """One line a transaction on standard output."""
        files = self.asked.transactions.table.files[self.asked.transactions.places]
        chosen = np.flatnonzero(self.answers.alerts) if only_alerts else range(len(self.answers))
        pairs = ((files[i], self.answers[i]) for i in chosen)
        {"json": self._json, "csv": self._csv, "lines": self._lines}[form](pairs)

    def _json(self, pairs) -> None:
        for file, answer in pairs:
            print(json.dumps({"input": file, "model": self.model, **answer.to_json()}, ensure_ascii=False))
        for each in self.asked.problems:
            print(json.dumps({"input": each.file, "row": each.row, "error": each.reason}, ensure_ascii=False))

    def _csv(self, pairs) -> None:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(("input", *FraudPrediction.csv_columns()))
        writer.writerows((file, *row) for file, answer in pairs for row in answer.csv_rows())

    def _lines(self, pairs) -> None:
        for file, answer in pairs:
            found = " ".join(answer.rows()[0])
            print(f"{file}: {found}" + (f" ({answer.note()})" if answer.note() else ""))

    def write(self, out: str) -> None:
        """The table as it was with "probability" (or "unusualness"), "alert" and three reasons. Raises DataError."""
        name = "unusualness" if self.answers.unsupervised else "probability"
        answers = pl.DataFrame(
            [
                self.asked.typed[PLACE],
                pl.Series(name, self.answers.shares, dtype=pl.Float32),
                pl.Series("alert", self.answers.alerts),
                *self._reasons(),
            ]
        )
        # Rows without an answer keep their place.
        frame = self.asked.plain.drop(answers.columns, strict=False).with_row_index(PLACE)
        frame = frame.join(answers, on=PLACE, how="left", maintain_order="left").drop(PLACE)
        with os_errors_as(DataError, out), atomic_path(Path(out)) as path:
            frame.write_parquet(path) if out.endswith(".parquet") else frame.write_csv(path)
        click.echo(f"written: {out}", err=True)

    def _reasons(self) -> list[pl.Series]:
        told = self.answers.reasons
        names, count = [f"reason_{i + 1}" for i in range(3)], len(told)
        if not told.any():
            return [pl.repeat(None, count, dtype=pl.String, eager=True).alias(name) for name in names]
        found = [[each[i] if each and len(each) > i else None for each in told] for i in range(3)]
        return [pl.Series(name, values, dtype=pl.String) for name, values in zip(names, found, strict=True)]

    def summarise(self) -> None:
        """A line on standard error."""
        count, alerts = len(self.answers), int(self.answers.alerts.sum())
        many = [
            f"{number} {word}{'s' * (number != 1)}"
            for number, word in ((count, "transaction"), (alerts, "alert"))
        ]
        click.echo(", ".join(many), err=True)


def _scored(bundle, asked: Asked, limit: tuple[int, str] | None, threads: int | None) -> Scored:
    run = bundle.run
    if not len(asked.transactions):
        raise DataError(f"{asked.problems[0].error()}; no other row can be scored either")
    batches = Batch(asked.transactions, asked.transactions.table.files[asked.transactions.places])
    answered = parallel_map(
        lambda batch: bundle.task.predict(batch.inputs, run), batches.chunks(bundle.task.batch_size), threads
    )
    answers = concat(answered)
    if limit:
        answers = replace(answers, alerts=budget.alerts(asked.transactions, answers.shares, *limit))
    return Scored(bundle.name, asked, answers)
