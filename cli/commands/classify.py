"""What is in these photos: labels with their probabilities."""

import click

from dltasks.cli import options
from dltasks.cli.grouping import GroupedCommand


@click.command(cls=GroupedCommand)
@options.model("objects")
@options.prediction
@options.top_k
def command(inputs, known, threads, form, top_k, model):
    """Say what each photo shows: labels with their probabilities.

    INPUT is a photo (JPEG, PNG, WebP, GIF, BMP, TIFF), a folder of them, @LIST (a text file of names,
    one a line), or - for standard input.

    \b
    dltasks classify samples/image/coffee.jpg
    dltasks classify --model runs/flowers --json holiday/ > answers.jsonl
    """
    from dltasks.cli.commands.predict import predict_and_write

    predict_and_write(model or "objects", inputs, known, threads, form, top_k, "image")
