"""Options that several verbs share."""

from collections.abc import Callable

import click

JSON = click.option("--json", "as_json", is_flag=True, help="JSON on standard output.")


def prediction(function: Callable) -> Callable:
    """The arguments and options of every verb that answers."""
    for decorate in reversed(
        (
            click.argument("inputs", nargs=-1, required=True, metavar="INPUT..."),
            click.option(
                "--labels",
                type=click.Path(exists=True, dir_okay=False),
                help="Labels of a .tflite that carries none: a text file, one a line.",
            ),
            click.option(
                "--threads",
                type=click.IntRange(1),
                help="Threads that read and run; all cores if not given.",
            ),
            click.option("--json", "form", flag_value="json", help="JSON Lines: one object an input."),
            click.option("--csv", "form", flag_value="csv", help="CSV: one row an answer."),
        )
    ):
        function = decorate(function)
    return function


def top(function: Callable) -> Callable:
    """How many answers are shown for an input."""
    return click.option("--top", type=click.IntRange(1), help="Labels shown for an input; 5 if not given.")(
        function
    )
