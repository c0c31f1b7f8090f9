"""Classify photos: labels with their probabilities."""

import click

from dltasks.cli import options


@click.command(short_help="Classify photos: labels with their probabilities.")
@options.prediction
@options.top_k
@click.option("-m", "--model", help="A bundled model, a bundle folder, or a .tflite file (default: objects).")
def command(inputs, known, threads, form, top_k, model):
    """Classify each photo: its most probable labels and their probabilities.

    INPUT is a photo (JPEG, PNG, WebP, GIF, BMP or TIFF), a folder of photos, @LIST (a text file with one
    path per line), or - for standard input.

    \b
    dltasks classify samples/image/coffee.jpg
    dltasks classify -m runs/flowers --json holiday/ > predictions.jsonl
    """
    from dltasks.cli.commands.predict import answer

    answer(model or "objects", inputs, known, threads, form, top_k, "image")
