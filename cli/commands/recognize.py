"""Which command is spoken in these clips."""

import click

from dltasks.cli import options
from dltasks.cli.grouping import GroupedCommand


@click.command(cls=GroupedCommand)
@options.model("commands")
@options.prediction
@options.top_k
def command(inputs, known, threads, form, top_k, model):
    """Say which command each clip holds: labels with their probabilities.

    INPUT is a recording (WAV, FLAC, OGG, MP3, AIFF; of any rate and number of channels), a folder of them,
    @LIST (a text file of names, one a line), or - for standard input. A clip longer than the model hears at once
    is scanned for its surest command; `dltasks listen` finds every one.

    \b
    dltasks recognize samples/speech/yes.flac
    dltasks recognize --model runs/words --json clips/ > answers.jsonl
    """
    from dltasks.cli.commands.predict import predict_and_write

    predict_and_write(model or "commands", inputs, known, threads, form, top_k, "speech")
