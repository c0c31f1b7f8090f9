"""Say how good a model is on labelled data, with 95 % intervals."""

import json
import sys

import click

from dltasks.cli import options, output


@click.command(short_help="Say how good a model is.")
@click.argument("model")
@click.argument("data")
@click.option(
    "--split",
    type=click.Choice(("test", "val", "train", "all")),
    help="Part of divided data; test if not given.",
)
@options.foreign
@options.threads
@options.JSON
def command(model, data, split, known, threads, as_json):
    """Score MODEL on DATA, laid out as for training; its .tflite answers, as it will on a phone.

    \b
    dltasks evaluate runs/flowers test/
    """
    import dltasks
    from dltasks.cli.progress import TerminalProgress

    bundle = dltasks.load(model, **known)
    with TerminalProgress() as progress:
        found = bundle.evaluate(data, split, threads, progress)
    if as_json:
        click.echo(json.dumps({"model": bundle.name, "data": data, **found.to_json()}, ensure_ascii=False))
    else:
        show(found)
    for note in found.notes:
        click.echo(f"note: {note}" if not note.startswith("skipped") else note, err=True)
    sys.exit(1 if any(note.startswith("skipped") for note in found.notes) else 0)


def show(found) -> None:
    """Classes from the worst to the best, what is confused most, and the scores, which then stand last on a screen."""
    if found.classes:
        worst_first = sorted(found.classes.items(), key=lambda item: item[1]["f1"].value)
        columns = [name.replace("_", " ") for name in worst_first[0][1]]
        output.table(
            "Classes, the worst first (95 % intervals)",
            ("class", *columns, "examples"),
            [
                (name, *(_interval(s) for s in each.values()), str(each["recall"].count))
                for name, each in worst_first
            ],
        )
        click.echo()
    if found.confusion:
        output.table(
            "Confused most (95 % intervals)",
            ("is", "taken for", "times", "of", "share"),
            [
                (c.label, c.prediction, str(c.count), str(c.total), _interval(c.proportion))
                for c in found.confusion
            ],
        )
        click.echo()
    for each in found.tables:
        output.table(each.title, each.columns, each.rows)
        click.echo()
    scores = [
        (name.replace("_", " "), f"{s.value:.4f}", f"{s.low:.4f} to {s.high:.4f}", str(s.count))
        for name, s in found.scores.items()
    ]
    output.table("Scores", ("score", "value", "95 % interval", "examples"), scores)


def _interval(score) -> str:
    return f"{score.value:.2f} [{score.low:.2f}, {score.high:.2f}]"
