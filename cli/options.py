"""Arguments and options that several commands share."""

import math
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import click

from dltasks.cli.grouping import option
from dltasks.cli.names import ModelName

Decorator = Callable[[Any], Any]

INPUT, MODEL, OUTPUT, PERFORMANCE = "Input", "Model", "Output", "Performance"
"""Headings of the options in --help."""

THIRD_PARTY = "Third-party models"
"""Heading of the options that describe a .tflite which dltasks did not write."""


class NumbersParam(click.ParamType):
    """One number, or three separated by commas: one per color channel."""

    name = "number"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        """A list of one or three finite numbers."""
        if not isinstance(value, str):
            return value
        try:
            numbers = [float(text) for text in value.split(",")]
        except ValueError:
            numbers = []
        if len(numbers) not in (1, 3) or not all(map(math.isfinite, numbers)):
            self.fail(f"{value!r}: expected one number, or three separated by commas", parameter, context)
        return numbers


json_output = option("--json", "as_json", group=OUTPUT, is_flag=True, help="JSON on standard output.")

threads = option(
    "--threads",
    group=PERFORMANCE,
    type=click.IntRange(1),
    metavar="N",
    help="Threads for reading and inference (default: all cores).",
)

top_k = option(
    "-k",
    "--top-k",
    group=OUTPUT,
    type=click.IntRange(1),
    metavar="N",
    help="Number of labels for each input (default: the model's own).",
)

model_argument = click.argument("model", type=ModelName())

data_argument = click.argument("data", type=click.Path())


def model(default: str) -> Decorator:
    """The option --model. default: what is used without it, for --help."""
    return option(
        "-m",
        "--model",
        group=MODEL,
        type=ModelName(),
        help=f"A bundled model's name, a bundle folder, or a .tflite (default: {default}).",
    )


def out(help: str, **attributes: Any) -> Decorator:
    """The option --out."""
    return option("-o", "--out", group=OUTPUT, type=click.Path(), help=help, **attributes)


def apply(function: Callable[..., Any], decorators: Sequence[Decorator]) -> Callable[..., Any]:
    """The function with these decorators, the first on top."""
    for decorate in reversed(decorators):
        function = decorate(function)
    return function


def third_party_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options that describe a third-party .tflite, which come as `third_party`, for dltasks.load."""

    @wraps(function)
    def with_third_party(*, labels: str | None, mean: Any, std: Any, **arguments: Any) -> Any:
        return function(third_party={"labels": read_labels(labels), "mean": mean, "std": std}, **arguments)

    return apply(
        with_third_party,
        (
            option(
                "--labels",
                group=THIRD_PARTY,
                type=click.Path(exists=True, dir_okay=False),
                help="Labels of a .tflite without any: a text file, one per line.",
            ),
            option(
                "--mean",
                group=THIRD_PARTY,
                type=NumbersParam(),
                help="Mean of the input scaling (pixel - MEAN) / STD: one number, or one per color channel.",
            ),
            option(
                "--std", group=THIRD_PARTY, type=NumbersParam(), help="STD of the same scaling; see --mean."
            ),
        ),
    )


def prediction(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the arguments and options of a command that predicts; --json or --csv comes as `form`."""

    @wraps(function)
    def with_form(*, as_json: bool, as_csv: bool, **arguments: Any) -> Any:
        if as_json and as_csv:
            raise click.UsageError("--json or --csv, not both")
        return function(output_format="json" if as_json else "csv" if as_csv else None, **arguments)

    return apply(
        with_form,
        (
            click.argument("inputs", nargs=-1, required=True, metavar="INPUT...", type=click.Path()),
            option(
                "--json",
                "as_json",
                group=OUTPUT,
                is_flag=True,
                help="JSON Lines: one object for each input.",
            ),
            option("--csv", "as_csv", group=OUTPUT, is_flag=True, help="CSV: one row for each prediction."),
            threads,
            third_party_options,
        ),
    )


def read_labels(path: str | None) -> list[str] | None:
    """The lines of a text file; None without a path. Raises DataError."""
    from dltasks.errors import DataError

    if path is None:
        return None
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: the labels can't be read ({error})") from error
