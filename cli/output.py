"""Predictions and tables on standard output; errors, notes and progress bars on standard error."""

import csv
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import click

from dltasks.errors import DltasksError, printable

Predictions = Iterable[tuple[str, Any]]
"""Names of inputs, each with its prediction or the DltasksError in its place."""

MIN_BAR_INPUTS = 32
"""Minimum number of inputs for a progress bar."""


def read_sources(arguments: Iterable[str]) -> Iterator[str | bytes]:
    """The inputs that arguments name: "-" is standard input, "@list.txt" a file with one name per line.

    Raises DltasksError where a list can't be read.
    """
    for argument in arguments:
        if argument == "-":
            yield sys.stdin.buffer.read()
        elif argument.startswith("@"):
            yield from _read_list(argument[1:])
        else:
            yield argument


def _read_list(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except UnicodeDecodeError as error:
        raise DltasksError(f"{path}: not a text file of names, one per line") from error
    except OSError as error:
        raise DltasksError(f"{path}: the list can't be read ({error.strerror})") from error
    return [line.strip() for line in lines if line.strip()]


def write_predictions(model: str, predictions: Predictions, output_format: str | None) -> int:
    """Write predictions to standard output as they come; the number of inputs that failed.

    form: "json", "csv", or None for lines (a table on a terminal). Failures go to standard error;
    in JSON they are objects in their place.
    """
    if output_format == "json":
        return _write_json(model, predictions)
    write = _CsvWriter() if output_format == "csv" else _write_table if sys.stdout.isatty() else _write_line
    failures = 0
    for source, prediction in predictions:
        if isinstance(prediction, DltasksError):
            failures += 1
            print_error(prediction)
        else:
            write(source, prediction)
    return failures


def _write_json(model: str, predictions: Predictions) -> int:
    failures = 0
    for source, prediction in predictions:
        failed = isinstance(prediction, DltasksError)
        failures += failed
        print_json(
            {"input": source}
            | ({"error": str(prediction)} if failed else {"model": model, **prediction.to_json()})
        )
    return failures


class _CsvWriter:
    """Rows of predictions, with a header above the first."""

    def __init__(self) -> None:
        self._writer = csv.writer(sys.stdout, lineterminator="\n")
        self._has_header = False

    def __call__(self, source: str, prediction: Any) -> None:
        if not self._has_header:
            self._writer.writerow(("input", *prediction.csv_columns()))
            self._has_header = True
        self._writer.writerows((source, *row) for row in prediction.csv_rows())


def _write_line(source: str, prediction: Any) -> None:
    note = prediction.note()
    heading = f"{heading}: " if (heading := _heading(prediction)) else ""
    values = ", ".join(" ".join(row) for row in prediction.display_rows())
    print(f"{printable(source)}: {heading}{values}" + (f" ({note})" if note else ""))


def _write_table(source: str, prediction: Any) -> None:
    heading = f": {heading}" if (heading := _heading(prediction)) else ""
    title = f"{printable(source)}{heading}"
    click.echo(title if os.environ.get("NO_COLOR") else click.style(title, bold=True))
    for name, value in prediction.display_rows():
        click.echo(f"  {value:>6}  {name}")
    if note := prediction.note():
        click.echo(f"  ({note})")


def _heading(prediction: Any) -> str:
    """What the rows of a prediction have in common; few predictions have such a heading."""
    return getattr(prediction, "heading", "")


def print_json(value: Mapping[str, Any]) -> None:
    """A JSON object on one line of standard output."""
    print(json.dumps(value, ensure_ascii=False))


def print_error(error: object) -> None:
    """A line on standard error."""
    click.echo(f"dltasks: {error}", err=True)


def print_note(note: object) -> None:
    """A note on standard error."""
    click.echo(f"note: {note}", err=True)


def with_progress_bar(items: Iterable[Any], count: Callable[[], int]) -> Iterator[Any]:
    """The items, with a bar on standard error if that is a terminal and there are many.

    count: gives the number of items; called only on a terminal.
    """
    if not sys.stderr.isatty() or (total := count()) < MIN_BAR_INPUTS:
        yield from items
        return
    with progress_bars() as bars:
        bar = bars.add_task("predicting", total=total)
        for item in items:
            yield item
            bars.advance(bar)


def progress_bars() -> Any:
    """Progress bars on standard error; other output to the terminal appears above them."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=sys.stdout.isatty(),
    )


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table on a terminal, tab-separated lines elsewhere."""
    if not sys.stdout.isatty():
        for row in rows:
            click.echo("\t".join(row))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title or None, title_justify="left", box=None, pad_edge=False)
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console().print(table)
