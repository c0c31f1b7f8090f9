"""Classify photos: labels with their probabilities."""

import click

from dltasks.cli import options
from dltasks.cli.grouping import GroupedCommand


@click.command(cls=GroupedCommand)
@options.model("objects")
@options.prediction
@options.top_k
def command(inputs, third_party, threads, output_format, top_k, model):
    """Classify each photo: its most probable labels and their probabilities.

    INPUT is a photo (JPEG, PNG, WebP, GIF, BMP or TIFF), a folder of photos, @LIST (a text file with one
    path per line), or - for standard input.

    \b
    dltasks classify samples/image/coffee.jpg
    dltasks classify -m runs/flowers --json holiday/ > predictions.jsonl
    """
    from dltasks.cli.commands.predict import predict_and_write

    predict_and_write(model or "objects", inputs, third_party, threads, output_format, top_k, "image")
