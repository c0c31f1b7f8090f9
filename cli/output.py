"""Answers to standard output, the rest to standard error."""

import csv
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator

import click

from dltasks.errors import DltasksError, printable


def sources(inputs: Iterable[str]) -> Iterator[str | bytes]:
    """What the arguments name: `-` is standard input, `@list.txt` a file with one name a line."""
    for each in inputs:
        if each == "-":
            yield sys.stdin.buffer.read()
        elif each.startswith("@"):
            try:
                with open(each[1:], encoding="utf-8") as file:
                    names = file.read().splitlines()
            except UnicodeDecodeError as error:
                raise DltasksError(f"{each[1:]}: not a text file of names, one a line") from error
            except OSError as error:
                raise DltasksError(f"{each[1:]}: the list can't be read ({error.strerror})") from error
            yield from (name.strip() for name in names if name.strip())
        else:
            yield each


def answers(model: str, pairs: Iterable[tuple[str, object]], form: str | None) -> int:
    """Write each answer in this form; gives the number of inputs that failed."""
    plain = _table if sys.stdout.isatty() else _lines
    write = {"json": _json, "csv": _csv}.get(form, plain)
    return write(model, pairs)


def _json(model: str, pairs) -> int:
    failed = 0
    for origin, answer in pairs:
        if isinstance(answer, DltasksError):
            failed += 1
            found = {"error": str(answer)}
        else:
            found = {"model": model, **answer.to_json()}
        print(json.dumps({"input": origin, **found}, ensure_ascii=False))
    return failed


def _csv(model: str, pairs) -> int:
    writer, failed, started = csv.writer(sys.stdout, lineterminator="\n"), 0, False
    for origin, answer in pairs:
        if isinstance(answer, DltasksError):
            failed += 1
            complain(answer)
            continue
        if not started:
            writer.writerow(("input", *answer.csv_columns()))
            started = True
        writer.writerows((origin, *row) for row in answer.csv_rows())
    return failed


def _lines(model: str, pairs) -> int:
    failed = 0
    for origin, answer in pairs:
        if isinstance(answer, DltasksError):
            failed += 1
            complain(answer)
            continue
        remark = answer.note()
        found = ", ".join(" ".join(row) for row in answer.display_rows())
        print(f"{printable(origin)}: {found}" + (f" ({remark})" if remark else ""))
    return failed


def _table(model: str, pairs) -> int:
    failed = 0
    for origin, answer in pairs:
        if isinstance(answer, DltasksError):
            failed += 1
            complain(answer)
            continue
        click.secho(printable(origin), bold=not os.environ.get("NO_COLOR"))
        for name, value in answer.display_rows():
            click.echo(f"  {value:>6}  {name}")
        if answer.note():
            click.echo(f"  ({answer.note()})")
    return failed


def complain(problem: object) -> None:
    """A line on standard error."""
    click.echo(f"dltasks: {problem}", err=True)


def progress(pairs: Iterable, count: Callable[[], int]) -> Iterator:
    """The pairs, with a bar on standard error if that is a terminal and there is more than a moment's work."""
    if not sys.stderr.isatty() or (total := count()) < 32:
        yield from pairs
        return
    with bars() as drawn:
        bar = drawn.add_task("answering", total=total)
        for pair in pairs:
            yield pair
            drawn.advance(bar)


def bars():
    """Progress bars on standard error; what is written to the terminal meanwhile stands above them."""
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


def table(title: str, columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    """A table on a terminal, tab-separated lines elsewhere."""
    if not sys.stdout.isatty():
        for row in rows:
            click.echo("\t".join(row))
        return
    from rich.console import Console
    from rich.table import Table

    drawn = Table(title=title or None, title_justify="left", box=None, pad_edge=False)
    for name in columns:
        drawn.add_column(name, overflow="fold")
    for row in rows:
        drawn.add_row(*row)
    Console().print(drawn)
