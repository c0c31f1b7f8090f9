"""Check that a model is whole and answers here as it did when it was written."""

import json
import sys

import click

from dltasks.cli import options, output


@click.command(short_help="Check that a model is whole and answers as it should.")
@click.argument("model")
@options.JSON
def command(model, as_json):
    """Check MODEL, a bundle or a .tflite that dltasks wrote: its hashes and its format, and that golden vectors (a few
    inputs with the outputs of the machine that it was written on) give the same here. Exit code 1 if not.

    \b
    dltasks verify flowers.tflite
    """
    from dltasks.bundle.verify import verify

    found = verify(model)
    if as_json:
        click.echo(json.dumps(found.to_json(), ensure_ascii=False))
    else:
        output.table(model, ("what", "", "found"), list(_rows(found)))
    sys.exit(0 if found.passed else 1)


def _rows(found):
    for each in found.checks:
        yield each.what, "good" if each.passed else "BAD", each.message
    if found.parity:
        told = f"{found.parity['agreement']:.1%} of {found.parity['count']} first answers as the network's when it was written"
        yield "parity", "", told
