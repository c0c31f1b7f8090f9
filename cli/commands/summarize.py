"""What these texts say, in few of their sentences or in one new line."""

import math
import os
import sys

import click

from dltasks.cli import options
from dltasks.cli.grouping import GroupedCommand, option

STYLES = {"extract": "sentences", "headline": "headlines"}
"""The bundled model of each style."""

SENTENCES = 3
"""Of a summary, where no length is asked."""


@click.command(cls=GroupedCommand)
@click.argument("texts", nargs=-1, metavar="[FILE...|-]", type=click.Path())
@option(
    "-n",
    "--sentences",
    group="Summary",
    type=click.IntRange(1),
    help="Exactly so many sentences, where the text has them.",
)
@option("--words", group="Summary", type=click.IntRange(1), help="Never more than so many words.")
@option(
    "--ratio",
    group="Summary",
    type=click.FloatRange(0, 1, min_open=True),
    help="This share of the sentences.",
)
@option(
    "--style",
    group="Summary",
    type=click.Choice(tuple(STYLES)),
    help="extract chooses sentences of the text; headline writes a new line.  [default: extract]",
)
@option(
    "--highlight",
    group=options.OUTPUT,
    is_flag=True,
    help="The whole text, with the chosen sentences marked.",
)
@options.model("by --style")
@options.threads
@option("--json", "as_json", group=options.OUTPUT, is_flag=True, help="JSON Lines: one object a text.")
@option("--csv", "as_csv", group=options.OUTPUT, is_flag=True, help="CSV: one row a sentence.")
def command(texts, sentences, words, ratio, style, highlight, model, threads, as_json, as_csv):
    """Summarise each text: three of its sentences in their order, or as many as you ask for.

    FILE is plain text, Markdown or HTML (its main text is taken), in any encoding; a folder of such; @LIST (a text file of
    names, one a line); or - for standard input, which is also read where nothing is named. With --json each sentence has
    the characters of the input where it starts and ends (a byte order mark not counted), and a score from 0 to 1: of texts like
    those of training the ROUGE that it is likely to get, of others only an order.

    \b
    dltasks summarize samples/summary/lighthouse.md
    dltasks summarize --words 50 report.md page.html
    dltasks summarize --style headline samples/summary/lighthouse.md
    dltasks summarize --sentences 5 --json book.txt
    """
    if sum(each is not None for each in (sentences, words, ratio)) > 1:
        raise click.UsageError("--sentences, --words or --ratio, one of them")
    if as_json + as_csv + highlight > 1:
        raise click.UsageError("--json, --csv or --highlight, one of them")
    if ratio is not None and math.isnan(ratio):
        raise click.UsageError("--ratio nan: wanted more than 0, at most 1")
    if not texts and sys.stdin.isatty():
        raise click.UsageError("name a text, or - for standard input")
    from dltasks.cli import output

    bundle = _loaded(model, style, sentences, words, ratio)
    if bundle.task.style == "headline" and (sentences or ratio or highlight):
        raise click.UsageError(
            "a headline is one new line: --sentences, --ratio and --highlight say nothing of it"
        )
    sources = list(output.read_sources(texts or ("-",)))
    pairs = bundle.iter_predictions(sources, threads)
    form = "json" if as_json else "csv" if as_csv else None
    if form:
        failed = output.write_predictions(bundle.name, pairs, form)
    else:
        failed = _shown(pairs, len(sources) > 1 or os.path.isdir(sources[0]), highlight)
    sys.exit(1 if failed else 0)


def _loaded(model, style, sentences, words, ratio):
    """The bundle, asked for this length. Raises ModelError."""
    from dataclasses import replace

    import dltasks
    from dltasks import registry
    from dltasks.errors import ModelError

    bundle = dltasks.load(model or STYLES[style or "extract"])
    if registry.task_name(bundle.task) != "summary":
        raise ModelError(f"{model}: a model for {registry.task_name(bundle.task)}; dltasks predict takes any")
    if style and style != bundle.task.style:
        raise ModelError(f"{model}: its style is {bundle.task.style}, not {style}; leave out --style")
    asked = {"sentences": sentences or SENTENCES, "words": words, "ratio": ratio}
    return replace(bundle, task=replace(bundle.task, **asked))


def _shown(pairs, named: bool, highlight: bool) -> int:
    """Write the summaries, each under the name of its text if there are several; gives how many failed."""
    from dltasks.cli import output
    from dltasks.errors import DltasksError

    failed = 0
    for origin, answer in pairs:
        if isinstance(answer, DltasksError):
            failed += 1
            output.print_error(answer)
            continue
        if named:
            click.echo(f"==> {origin} <==")
        click.echo(_highlighted(answer) if highlight else answer.summary)
        if named:
            click.echo()
        for note in answer.notes:
            click.echo(f"note: {origin}: {note}", err=True)
    return failed


def _highlighted(answer) -> str:
    """The text with its chosen sentences bold on a terminal, between >> and << elsewhere."""
    plain = not sys.stdout.isatty() or "NO_COLOR" in os.environ
    text, parts, at = answer.document.text, [], 0
    for each in answer.sentences:
        parts.append(text[at : each.start])
        parts.append(f">>{each.text}<<" if plain else click.style(each.text, bold=True, reverse=True))
        at = each.end
    return "".join([*parts, text[at:]]).rstrip()
