"""What is in these photos: labels with their probabilities."""

import click

from dltasks.cli import options


@click.command(short_help="What is in these photos.")
@options.prediction
@options.top_k
@click.option("--model", help="A bundled model's name, a bundle folder, or a .tflite; objects if not given.")
def command(inputs, known, threads, form, top_k, model):
    """Say what each photo shows: labels with their probabilities.

    INPUT is a photo (JPEG, PNG, WebP, GIF, BMP, TIFF), a folder of them, @LIST (a text file of names,
    one a line), or - for standard input.

    \b
    dltasks classify samples/image/coffee.jpg
    dltasks classify --model runs/flowers --json holiday/ > answers.jsonl
    """
    from dltasks.cli.commands.predict import answer

    answer(model or "objects", inputs, known, threads, form, top_k, "image")
