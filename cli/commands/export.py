"""Write a model as a file for phones and boards (LiteRT) or for servers (SavedModel)."""

import json
from pathlib import Path

import click

from dltasks.cli import options, output

_ENDINGS = {"litert": "{}.tflite", "streaming": "streaming-{}.tflite", "saved-model": "saved-model"}


@click.command(short_help="Write a model for phones or servers.")
@click.argument("model")
@click.option(
    "--format", type=click.Choice(("litert", "streaming", "saved-model")), default="litert", show_default=True
)
@click.option(
    "--quantize",
    type=click.Choice(("none", "float16", "weight-int8", "dynamic", "int8", "auto")),
    help="Level of quantisation of a LiteRT file; float16 if not given. auto tries all and keeps the best that holds the floors.",
)
@click.option(
    "--prefer",
    type=click.Choice(("speed", "size")),
    default="speed",
    show_default=True,
    help="Which is the best of --quantize auto.",
)
@click.option("--out", help="Where to; MODEL-LEVEL.tflite or MODEL-saved-model here if not given.")
@click.option(
    "--data",
    help="Real inputs to calibrate and compare on, best such as it was not trained on; if not given, what was held out of its "
    "training data.",
)
@click.option(
    "--min-agreement",
    type=click.FloatRange(0, 1),
    default=0.98,
    show_default=True,
    help="Least share of equal first answers; below it nothing is written.",
)
@click.option(
    "--max-score-drop",
    type=click.FloatRange(0),
    default=0.01,
    show_default=True,
    help="How much of the network's first score the file may lose, where the data has labels.",
)
@options.JSON
def command(model, format, quantize, prefer, out, data, min_agreement, max_score_drop, as_json):
    """Write MODEL as one .tflite or as a SavedModel, run it at once on real inputs, and say how far it
    answers as the Keras network does; all of it also goes to a file beside it, NAME.parity.json. --format streaming writes a .tflite
    that takes a stream step by step, its state as inputs and outputs; speech models have that form.

    \b
    dltasks export runs/flowers --format litert --quantize int8 --out flowers.tflite
    dltasks export runs/flowers --quantize auto --prefer size --out flowers.tflite
    """
    import dltasks

    if quantize and format == "saved-model":
        raise click.UsageError("--quantize is for .tflite files; a SavedModel keeps float32")
    quantize = quantize or "float16"
    bundle = dltasks.load(model)
    out = out or f"{bundle.name}-{_ENDINGS[format].format(quantize)}"
    found = bundle.export(out, format, quantize, data, min_agreement, max_score_drop, prefer)
    for note in found.notes:
        click.echo(f"note: {note}", err=True)
    if as_json:
        levels = {
            level: each if isinstance(each, str) else each.summary() for level, each in found.levels.items()
        }
        told = {
            "model": bundle.name,
            "out": out,
            "to": format,
            "file_bytes": _size(out),
            **found.parity.to_json(),
        }
        click.echo(json.dumps(told | ({"levels": levels} if levels else {}), ensure_ascii=False))
        return
    if found.levels:
        columns = ("level", "size", "latency, one thread", "score", "agreement", "floors")
        rows = [_level(*each, min_agreement, max_score_drop) for each in found.levels.items()]
        output.table("All levels", columns, rows)
        click.echo()
    output.table(out, ("what", "value"), [*_rows(found.parity), ("size", f"{_size(out) / 1e6:.2f} MB")])
    if found.parity.worst:
        click.echo()
        columns = ("input", "file", "network", "difference")
        output.table("Inputs that differ most", columns, [_worst(each) for each in found.parity.worst])
    click.echo(f"written: {out}", err=True)


def _level(level: str, parity, min_agreement: float, max_score_drop: float) -> tuple[str, ...]:
    from dltasks.export.parity import threshold_failure

    if isinstance(parity, str):
        return level, parity, "", "", "", ""
    first = next(iter(parity.scores.values()), None)
    return (
        level,
        f"{parity.bytes / 1e6:.2f} MB",
        f"{parity.latency:.2f} ms",
        _score(first["file"]) if first else "",
        f"{parity.agreement:.1%}",
        "below" if threshold_failure(parity, min_agreement, max_score_drop) else "held",
    )


def _rows(parity):
    yield "level", parity.quantize
    yield "agreement", f"{parity.agreement:.1%} of {parity.count} first answers as the network's"
    for name, each in list(parity.scores.items())[:3]:
        yield name.replace("_", " "), f"{_score(each['file'])}; of the network {_score(each['network'])}"
    yield "difference", f"{parity.max_difference:.2g} at most, {parity.mean_difference:.2g} in the mean"
    if worst := parity.worst_class:
        yield "worst class", f"{worst['class']}: {worst['agreement']:.1%} of {worst['count']} agree"
    if parity.latency:
        yield "latency", f"{parity.latency:.2f} ms on one thread of this machine"


def _worst(worst: dict) -> tuple[str, ...]:
    return worst["input"], worst["file"], worst["network"], f"{worst['difference']:.2g}"


def _size(out: str) -> int:
    """Bytes of what was written, all that a .tflite carries with it."""
    path = Path(out)
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(each.stat().st_size for each in files if each.is_file())


def _score(score: dict) -> str:
    return f"{score['value']:.4f} [{score['low']:.4f}, {score['high']:.4f}]"
