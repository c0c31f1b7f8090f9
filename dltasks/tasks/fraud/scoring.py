"""Scoring of tables for `dltasks detect-fraud`, printed or written as a table with the predictions added."""

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import click
import numpy as np
import polars as pl

from dltasks.data import tables
from dltasks.data.batch import Batch
from dltasks.data.columns import concat
from dltasks.errors import DataError, ModelError
from dltasks.files import atomic_path, os_errors_as
from dltasks.parallel import parallel_map
from dltasks.tasks.fraud.budget import select_alerts
from dltasks.tasks.fraud.data import ScoringInput, load_scoring_input, parse_for_model
from dltasks.tasks.fraud.parsing import RowProblem
from dltasks.tasks.fraud.prediction import FraudPrediction, FraudPredictions
from dltasks.tasks.fraud.state import State, hash_source
from dltasks.tasks.fraud.task import FraudTask
from dltasks.tasks.fraud.windows import INDEX

MAX_PRINTED_PROBLEMS = 10
"""Maximum number of unusable rows that are printed one by one."""


@dataclass(frozen=True, eq=False)
class ScoredTable:
    """A table with its predictions; rows with a problem have none."""

    model: str
    scoring_input: ScoringInput
    predictions: FraudPredictions

    def print(self, format: str, alerts_only: bool) -> None:
        """Print one line per transaction. format: "json", "csv" or "lines"."""
        files = self.scoring_input.transactions.files
        count = len(self.predictions)
        indices = np.flatnonzero(self.predictions.alerts) if alerts_only else range(count)
        pairs = ((files[i], self.predictions[i]) for i in indices)
        {"json": self._print_json, "csv": self._print_csv, "lines": self._print_lines}[format](pairs)

    def _print_json(self, pairs: Iterable[tuple[str, FraudPrediction]]) -> None:
        for file, prediction in pairs:
            values = {"input": file, "model": self.model, **prediction.to_json()}
            print(json.dumps(values, ensure_ascii=False))
        for problem in self.scoring_input.problems:
            values = {"input": problem.file, "row": problem.row, "error": problem.reason}
            print(json.dumps(values, ensure_ascii=False))

    def _print_csv(self, pairs: Iterable[tuple[str, FraudPrediction]]) -> None:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(("input", *FraudPrediction.csv_columns()))
        writer.writerows((file, *row) for file, prediction in pairs for row in prediction.csv_rows())

    def _print_lines(self, pairs: Iterable[tuple[str, FraudPrediction]]) -> None:
        for file, prediction in pairs:
            note = f" ({prediction.note()})" if prediction.note() else ""
            print(f"{file}: {' '.join(prediction.display_rows()[0])}{note}")

    def write(self, out: str) -> None:
        """Write the table with risk, alert and three reasons added. Raises DataError."""
        name = "anomaly_score" if self.predictions.unsupervised else "probability"
        added = pl.DataFrame(
            [
                self.scoring_input.typed[INDEX],
                pl.Series(name, self.predictions.risks, dtype=pl.Float32),
                pl.Series("alert", self.predictions.alerts),
                *self._reason_columns(),
            ]
        )
        # Rows without a prediction stay in the table.
        frame = self.scoring_input.original.drop(added.columns, strict=False).with_row_index(INDEX)
        frame = frame.join(added, on=INDEX, how="left", maintain_order="left").drop(INDEX)
        with os_errors_as(DataError, out), atomic_path(Path(out)) as path:
            frame.write_parquet(path) if out.endswith(".parquet") else frame.write_csv(path)
        click.echo(f"written: {out}", err=True)

    def _reason_columns(self) -> Iterator[pl.Series]:
        reasons = self.predictions.reasons
        has_reasons = reasons.any()
        for i in range(3):
            if not has_reasons:
                yield pl.repeat(None, len(reasons), dtype=pl.String, eager=True).alias(f"reason_{i + 1}")
                continue
            values = [phrases[i] if phrases and len(phrases) > i else None for phrases in reasons]
            yield pl.Series(f"reason_{i + 1}", values, dtype=pl.String)

    def print_summary(self) -> None:
        """Print a line on standard error."""
        counts = {"transaction": len(self.predictions), "alert": int(self.predictions.alerts.sum())}
        texts = [f"{count} {word}{'s' * (count != 1)}" for word, count in counts.items()]
        click.echo(", ".join(texts), err=True)


@dataclass(frozen=True)
class Scorer:
    """Scores tables with one model.

    Attributes:
        model: a bundled model's name, a bundle folder, or a .tflite, loaded.
        budget: cards and their period, or None for alerts by the threshold.
        threads: all cores if None.
        output: takes the scored table.
    """

    model: Any
    budget: tuple[int, str] | None
    threads: int | None
    output: Callable[[ScoredTable], None]

    def score_with_history(self, sources: list[Any], history: list[Any] | None) -> bool:
        """Score a table after its history; whether a row could not be scored. Raises DataError."""
        earlier = self._parse_history(history) if history else None
        scoring_input = load_scoring_input(sources, self.model.task, earlier)
        if not history and self.model.task.pipeline.layout.entities:
            click.echo("note: without --history or --state, earlier transactions are unknown", err=True)
        self.output(self._score(scoring_input))
        return _report_problems(scoring_input.problems)

    def score_with_state(self, sources: list[Any], path: str, history: list[Any] | None, labels: Any) -> bool:
        """Score a table after all that the state has seen; whether a row could not be scored.

        The state takes the table in once its predictions are output. history: earlier transactions that the
        state takes in first. labels: a table of ids and labels that became known. Raises DataError.
        """
        with State(Path(path), self.model.task).open() as state:
            if history:
                earlier = self._parse_history(history)
                state.add(hash_source(history), tables.source_name(history), earlier)
            elif state.is_new:
                click.echo(
                    f"note: {path} is new: earlier transactions are unknown; --history provides them",
                    err=True,
                )
            if labels:
                click.echo(f"{state.update_labels(labels)} transactions of {path} now have a label", err=True)
            sha256 = hash_source(sources)
            scoring_input = load_scoring_input(sources, self.model.task, state.read_before(sha256))
            self.output(self._score(scoring_input))
            if not state.add(sha256, tables.source_name(sources), scoring_input.typed):
                click.echo(f"note: {path} has these transactions already and is unchanged", err=True)
        return _report_problems(scoring_input.problems)

    def _parse_history(self, history: list[Any]) -> pl.DataFrame:
        typed = parse_for_model(history, self.model.task)
        _report_problems(typed.problems)
        return typed.frame

    def _score(self, scoring_input: ScoringInput) -> ScoredTable:
        transactions, task, run = scoring_input.transactions, self.model.task, self.model.run
        if not len(transactions):
            raise DataError(f"{scoring_input.problems[0].error()}; no other row can be scored either")
        batches = Batch(transactions, transactions.files).chunks(task.batch_size)
        parts = parallel_map(lambda batch: task.predict(batch.inputs, run), batches, self.threads)
        predictions = cast(FraudPredictions, concat(parts))
        if self.budget:
            alerts = select_alerts(transactions, predictions.risks, *self.budget)
            predictions = replace(predictions, alerts=alerts)
        return ScoredTable(self.model.name, scoring_input, predictions)


def configure(model: Any, threshold: float | None, with_reasons: bool) -> Any:
    """The model with this threshold, if any, and with or without reasons. Raises ModelError."""
    if not isinstance(model.task, FraudTask):
        raise ModelError(f"{model.name}: not a model of transactions")
    task = replace(model.task, with_reasons=with_reasons)
    if threshold is not None:
        task = replace(task, threshold=threshold)
    return replace(model, task=task)


def _report_problems(problems: tuple[RowProblem, ...]) -> bool:
    """Print the first problems on standard error; whether there are any."""
    for problem in problems[:MAX_PRINTED_PROBLEMS]:
        click.echo(f"dltasks: {problem.error()}", err=True)
    if len(problems) > MAX_PRINTED_PROBLEMS:
        click.echo(f"dltasks: and {len(problems) - MAX_PRINTED_PROBLEMS} more such rows", err=True)
    return bool(problems)
