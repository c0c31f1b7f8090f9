"""Evaluate a model on labeled data, with 95 % intervals."""

import sys
from typing import Any

import click

from dltasks.cli import options, output
from dltasks.cli.grouping import GroupedCommand, option


@click.command(cls=GroupedCommand)
@options.model_argument
@options.data_argument
@option(
    "--split",
    group=options.INPUT,
    type=click.Choice(("test", "val", "train", "all")),
    help="Split of the data to evaluate on (default: test, where the data has splits).",
)
@options.json_output
@options.threads
@options.third_party_options
def command(
    model: str, data: str, split: str | None, third_party: dict[str, Any], threads: int | None, as_json: bool
) -> None:
    """Evaluate MODEL on DATA, laid out as for training. The predictions are those of its .tflite, the same
    as on a phone.

    \b
    dltasks evaluate runs/flowers more-flowers/
    dltasks evaluate flowers.tflite more-flowers/ --json > scores.json
    """
    import dltasks
    from dltasks.cli.progress import TerminalProgress

    bundle = dltasks.load(model, **third_party)
    with TerminalProgress() as progress:
        evaluation = bundle.evaluate(data, split, threads, progress)
    if as_json:
        output.print_json({"model": bundle.name, "data": data, **evaluation.to_json()})
    else:
        print_evaluation(evaluation)
    skipped = [note for note in evaluation.notes if note.startswith("skipped")]
    for note in evaluation.notes:
        click.echo(note if note in skipped else f"note: {note}", err=True)
    sys.exit(1 if skipped else 0)


def print_evaluation(evaluation: Any) -> None:
    """Print the tables of classes, confusions and the task, then the scores, which stay on the screen."""
    if evaluation.classes:
        _print_classes(evaluation.classes)
    if evaluation.confusion:
        rows = [
            (pair.label, pair.prediction, str(pair.count), str(pair.total), _interval(pair.proportion))
            for pair in evaluation.confusion
        ]
        columns = ("label", "predicted as", "count", "of", "proportion")
        output.print_table("Most frequent confusions (95 % intervals)", columns, rows)
        click.echo()
    for table in evaluation.tables:
        output.print_table(table.title, table.columns, table.rows)
        click.echo()
    scores = [
        (
            name.replace("_", " "),
            f"{score.value:.4f}",
            f"{score.low:.4f} to {score.high:.4f}",
            str(score.count),
        )
        for name, score in evaluation.scores.items()
    ]
    output.print_table("Scores", ("score", "value", "95 % interval", "examples"), scores)


def _print_classes(classes: dict[str, dict[str, Any]]) -> None:
    worst_first = sorted(classes.items(), key=lambda item: item[1]["f1"].value)
    names = [name.replace("_", " ") for name in worst_first[0][1]]
    rows = [
        (label, *map(_interval, scores.values()), str(scores["recall"].count))
        for label, scores in worst_first
    ]
    output.print_table("Classes, the worst first (95 % intervals)", ("class", *names, "examples"), rows)
    click.echo()


def _interval(score: Any) -> str:
    return f"{score.value:.2f} [{score.low:.2f}, {score.high:.2f}]"
