"""Write a model as a file for phones and boards (LiteRT) or for servers (SavedModel)."""

import json

import click

from dltasks.cli import options, output

_ENDINGS = {"litert": "{}.tflite", "streaming": "streaming-{}.tflite", "saved-model": "saved-model"}


@click.command(short_help="Write a model for phones or servers.")
@click.argument("model")
@click.option(
    "--to", type=click.Choice(("litert", "streaming", "saved-model")), default="litert", show_default=True
)
@click.option(
    "--quantize",
    type=click.Choice(("none", "float16", "weights8", "dynamic", "int8")),
    help="Level of quantisation of a LiteRT file; float16 if not given.",
)
@click.option("--out", help="Where to; MODEL-LEVEL.tflite or MODEL-saved-model here if not given.")
@click.option("--data", help="Real inputs to calibrate and compare on; the training data if not given.")
@click.option(
    "--floor",
    type=click.FloatRange(0, 1),
    default=0.98,
    show_default=True,
    help="Least share of equal first answers; below it nothing is written.",
)
@options.JSON
def command(model, to, quantize, out, data, floor, as_json):
    """Write MODEL as one .tflite or as a SavedModel, run it at once on real inputs, and say how far it
    answers as the Keras network does. --to streaming writes a .tflite that takes a stream step by step, its
    state as inputs and outputs; speech models have that form.

    \b
    dltasks export runs/flowers --to litert --quantize int8 --out flowers.tflite
    """
    import dltasks

    if quantize and to == "saved-model":
        raise click.UsageError("--quantize is for .tflite files; a SavedModel keeps float32")
    quantize = quantize or "float16"
    bundle = dltasks.load(model)
    out = out or f"{bundle.name}-{_ENDINGS[to].format(quantize)}"
    parity = bundle.export(out, to, quantize, data, floor)
    if as_json:
        click.echo(json.dumps({"model": bundle.name, "out": out, "to": to, **parity.to_json()}))
        return
    rows = [
        ("agreement", f"{parity.agreement:.1%} of {parity.count} first answers as the network's"),
        ("largest difference", f"{parity.difference:.2g}"),
        ("size", f"{parity.bytes / 1e6:.2f} MB"),
    ]
    rows += [("latency", f"{parity.latency:.2f} ms on one thread of this machine")] * bool(parity.latency)
    output.table(out, ("what", "value"), rows)
    click.echo(f"written: {out}", err=True)
