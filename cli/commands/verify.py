"""Check that a model is intact and predicts as it did when it was written."""

import sys
from collections.abc import Iterator
from typing import Any

import click

from dltasks.cli import options, output
from dltasks.cli.grouping import GroupedCommand
from dltasks.cli.names import check_model


@click.command(cls=GroupedCommand)
@options.model_argument
@options.json_output
def command(model: str, as_json: bool) -> None:
    """Check MODEL, a bundle or a .tflite that dltasks wrote: its hashes, its format, and its golden vectors
    (a few inputs with the outputs of the machine that wrote it), which must give the same outputs here.
    Exit code 1 if a check fails.

    \b
    dltasks verify flowers.tflite
    dltasks verify runs/flowers --json
    """
    from dltasks.bundle.verify import verify

    check_model(model)
    verification = verify(model)
    if as_json:
        output.print_json(verification.to_json())
    else:
        output.print_table(model, ("check", "", "result"), list(_rows(verification)))
    sys.exit(0 if verification.passed else 1)


def _rows(verification: Any) -> Iterator[tuple[str, str, str]]:
    for check in verification.checks:
        yield check.what, "good" if check.passed else "BAD", check.message
    if parity := verification.parity:
        agreement = f"top-1 agreement {parity['agreement']:.1%} with the network"
        yield "parity", "", f"{agreement} on {parity['count']} examples when it was written"
