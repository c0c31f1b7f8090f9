"""Recognize spoken commands in clips."""

import click

from dltasks.cli import options
from dltasks.cli.grouping import GroupedCommand


@click.command(cls=GroupedCommand)
@options.model("commands")
@options.prediction
@options.top_k
def command(inputs, third_party, threads, output_format, top_k, model):
    """Print the command in each clip: labels with their probabilities.

    INPUT is a recording (WAV, FLAC, OGG, MP3 or AIFF, of any sample rate and number of channels), a folder of
    them, @LIST (a text file with one name per line), or - for standard input. A clip longer than the
    network's input gets its most probable command; `dltasks listen` finds all of them.

    \b
    dltasks recognize samples/speech/yes.flac
    dltasks recognize -m runs/words --json clips/ > predictions.jsonl
    """
    from dltasks.cli.commands.predict import predict_and_write

    predict_and_write(model or "commands", inputs, third_party, threads, output_format, top_k, "speech")
