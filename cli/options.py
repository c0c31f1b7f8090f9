"""Options that several verbs share."""

import math
from collections.abc import Callable
from functools import wraps

import click

JSON = click.option("--json", "as_json", is_flag=True, help="JSON on standard output.")
labels = click.option(
    "--labels",
    type=click.Path(exists=True, dir_okay=False),
    help="Labels of a .tflite that carries none: a text file, one a line.",
)


class Colours(click.ParamType):
    """One number, or three with commas between them."""

    name = "number"

    def convert(self, value, param, context):
        if not isinstance(value, str):
            return value
        try:
            found = [float(each) for each in value.split(",")]
        except ValueError:
            found = []
        if len(found) not in (1, 3) or not all(map(math.isfinite, found)):
            self.fail(f"{value!r}: wanted one number, or three with commas between them", param, context)
        return found


def foreign(function: Callable) -> Callable:
    """What a .tflite made elsewhere may not say of itself; comes as `known`, for dltasks.load."""

    @wraps(function)
    def with_known(*, labels, mean, std, **given):
        return function(known={"labels": words(labels), "mean": mean, "std": std}, **given)

    said = "Of a .tflite made elsewhere that does not say it: its input takes (pixel - MEAN) / STD; one number or three."
    found = with_known
    for decorate in (
        click.option("--std", type=Colours(), help="See --mean."),
        click.option("--mean", type=Colours(), help=said),
        labels,
    ):
        found = decorate(found)
    return found


threads = click.option(
    "--threads", type=click.IntRange(1), help="Threads that read and run; all cores if not given."
)
top_k = click.option(
    "--top-k", type=click.IntRange(1), help="Labels shown for an input; the task's own number if not given."
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
            foreign,
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
