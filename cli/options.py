"""Options that several verbs share."""

from collections.abc import Callable
from functools import wraps

import click

JSON = click.option("--json", "as_json", is_flag=True, help="JSON on standard output.")
labels = click.option(
    "--labels",
    type=click.Path(exists=True, dir_okay=False),
    help="Labels of a .tflite that carries none: a text file, one a line.",
)
threads = click.option(
    "--threads", type=click.IntRange(1), help="Threads that read and run; all cores if not given."
)
top = click.option(
    "--top", type=click.IntRange(1), help="Labels shown for an input; the task's own number if not given."
)


def prediction(function: Callable) -> Callable:
    """The arguments and options of every verb that answers."""

    @wraps(function)
    def in_one_form(*, as_json, as_csv, **given):
        if as_json and as_csv:
            raise click.UsageError("--json or --csv, not both")
        return function(form="json" if as_json else "csv" if as_csv else None, **given)

    found = in_one_form
    for decorate in reversed(
        (
            click.argument("inputs", nargs=-1, required=True, metavar="INPUT..."),
            labels,
            threads,
            click.option("--json", "as_json", is_flag=True, help="JSON Lines: one object an input."),
            click.option("--csv", "as_csv", is_flag=True, help="CSV: one row an answer."),
        )
    ):
        found = decorate(found)
    return found


def words(path: str | None) -> list[str] | None:
    """The labels in a text file. Raises DataError."""
    from dltasks.errors import DataError

    if path is None:
        return None
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: the labels can't be read ({error})") from error
