"""Summarize texts, or write headlines for them."""

import math
import os
import sys
from collections.abc import Iterable
from typing import Any

import click

from dltasks.cli import options
from dltasks.cli.grouping import GroupedCommand, option

MODELS = {"extract": "sentences", "headline": "headlines"}
"""Name of the bundled model of each style."""

DEFAULT_SENTENCES = 3


@click.command(cls=GroupedCommand)
@click.argument("texts", nargs=-1, metavar="[FILE...|-]", type=click.Path())
@option(
    "-n",
    "--sentences",
    type=click.IntRange(1),
    help="Exact number of sentences.  [default: 3]",
    group="Summary",
)
@option("--words", type=click.IntRange(1), help="Maximum number of words.", group="Summary")
@option(
    "--ratio",
    type=click.FloatRange(0, 1, min_open=True),
    help="Fraction of the sentences, more than 0 and at most 1.",
    group="Summary",
)
@option(
    "--style",
    type=click.Choice(tuple(MODELS)),
    help="extract selects sentences of the text; headline writes a new line.  [default: extract]",
    group="Summary",
)
@option(
    "--highlight",
    is_flag=True,
    help="Print the whole text with the selected sentences marked.",
    group=options.OUTPUT,
)
@options.model("sentences or headlines")
@options.threads
@option("--json", "as_json", is_flag=True, help="JSON Lines: one object per text.", group=options.OUTPUT)
@option("--csv", "as_csv", is_flag=True, help="CSV: one row per sentence.", group=options.OUTPUT)
def command(texts, sentences, words, ratio, style, highlight, model, threads, as_json, as_csv):
    """Summarize texts: print their three most important sentences, in their order.

    FILE is plain text, Markdown or HTML (its main text is used) in any encoding, a folder of such files,
    @LIST (a text file with one name per line), or - for standard input, which is also the default.

    With --json, each sentence has a score from 0 to 1, and the positions of its first character and after its
    last one in the input, without a byte order mark. For texts like the training data the score is the
    expected ROUGE; for others it only ranks the sentences.

    \b
    dltasks summarize samples/summary/lighthouse.md -n 2
    dltasks summarize --style headline samples/summary/abstract.txt
    """
    _check_usage(texts, sentences, words, ratio, (as_json, as_csv, highlight))
    from dltasks.cli import output

    bundle = _load_model(model, style, {"sentences": sentences, "words": words, "ratio": ratio})
    if bundle.task.style == "headline" and (sentences or ratio or highlight):
        raise click.UsageError("--sentences, --ratio and --highlight do not apply to headlines")
    sources = list(output.read_sources(texts or ("-",)))
    predictions = bundle.iter_predictions(sources, threads)
    if as_json or as_csv:
        failures = output.write_predictions(bundle.name, predictions, "json" if as_json else "csv")
    else:
        failures = _print_summaries(predictions, len(sources) > 1 or _has_folder(sources), highlight)
    sys.exit(1 if failures else 0)


def _check_usage(texts, sentences, words, ratio, forms) -> None:
    """Raises UsageError for options that contradict each other."""
    if sum(value is not None for value in (sentences, words, ratio)) > 1:
        raise click.UsageError("use only one of --sentences, --words and --ratio")
    if sum(forms) > 1:
        raise click.UsageError("use only one of --json, --csv and --highlight")
    if ratio is not None and math.isnan(ratio):
        raise click.UsageError("--ratio is nan; expected more than 0 and at most 1")
    if not texts and sys.stdin.isatty():
        raise click.UsageError("name a text, or - for standard input")


def _load_model(name: str | None, style: str | None, length: dict[str, Any]) -> Any:
    """The model, set to this length. Raises ModelError."""
    from dataclasses import replace

    import dltasks
    from dltasks import registry
    from dltasks.errors import ModelError

    bundle: Any = dltasks.load(name or MODELS[style or "extract"])
    if (task := registry.task_name(bundle.task)) != "summary":
        raise ModelError(f"{name}: a model for the task {task}; use dltasks predict")
    if style and style != bundle.task.style:
        raise ModelError(f"{name}: its style is {bundle.task.style}, not {style}; omit --style")
    length = length | {"sentences": length["sentences"] or DEFAULT_SENTENCES}
    return replace(bundle, task=replace(bundle.task, **length))


def _has_folder(sources: Iterable[str | bytes]) -> bool:
    # Path.is_dir raises OSError for too long a name.
    return any(isinstance(source, str) and os.path.isdir(source) for source in sources)  # noqa: PTH112


def _print_summaries(predictions: Iterable[tuple[str, Any]], with_names: bool, highlight: bool) -> int:
    """Print the summaries, each under the name of its text if wanted; returns the number of failures."""
    from dltasks.cli import output
    from dltasks.errors import DltasksError

    failures = 0
    for name, prediction in predictions:
        if isinstance(prediction, DltasksError):
            failures += 1
            output.print_error(prediction)
            continue
        if with_names:
            click.echo(f"==> {name} <==")
        click.echo(_highlight(prediction) if highlight else prediction.summary)
        if with_names:
            click.echo()
        for note in prediction.notes:
            click.echo(f"note: {name}: {note}", err=True)
    return failures


def _highlight(prediction) -> str:
    """The text with the selected sentences bold on a terminal, between >> and << elsewhere."""
    is_plain = not sys.stdout.isatty() or "NO_COLOR" in os.environ
    text, position = prediction.document.text, 0
    parts = []
    for sentence in prediction.sentences:
        parts.append(text[position : sentence.start])
        parts.append(
            f">>{sentence.text}<<" if is_plain else click.style(sentence.text, bold=True, reverse=True)
        )
        position = sentence.end
    return "".join([*parts, text[position:]]).rstrip()
