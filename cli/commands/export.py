"""Export a model for phones and boards (LiteRT) or servers (SavedModel)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from dltasks.cli import options, output
from dltasks.cli.grouping import GroupedCommand, option

DEFAULT_NAMES = {
    "litert": "{model}-{mode}.tflite",
    "streaming": "{model}-streaming-{mode}.tflite",
    "saved-model": "{model}-saved-model",
}
"""Name of the exported file or folder for each format."""

CHECKS = "Checks"


@click.command(cls=GroupedCommand)
@options.model_argument
@option(
    "--data",
    group=options.INPUT,
    type=click.Path(),
    help="Calibration and comparison data (default: held-out training data). Prefer unseen data.",
)
@option(
    "--format",
    group=options.OUTPUT,
    type=click.Choice(tuple(DEFAULT_NAMES)),
    default="litert",
    show_default=True,
    help="One .tflite, a .tflite that takes a stream chunk by chunk, or a folder for TensorFlow Serving.",
)
@option(
    "--quantize",
    group=options.OUTPUT,
    type=click.Choice(("none", "float16", "mixed", "weight-int8", "dynamic", "int8", "auto")),
    help="Quantization mode of a .tflite (default: float16); auto takes the best that passes the checks.",
)
@option(
    "--prefer",
    group=options.OUTPUT,
    type=click.Choice(("speed", "size")),
    default="speed",
    show_default=True,
    help="Which is the best mode for --quantize auto.",
)
@options.out("File or folder to write (default: MODEL-MODE.tflite or MODEL-saved-model).")
@options.json_output
@option(
    "--min-agreement",
    group=CHECKS,
    type=click.FloatRange(0, 1),
    default=0.98,
    show_default=True,
    help="Minimum top-1 agreement with the Keras model; below it the export fails.",
)
@option(
    "--max-score-drop",
    group=CHECKS,
    type=click.FloatRange(0),
    default=0.01,
    show_default=True,
    help="Maximum drop of the first score from the Keras model's, for data with labels.",
)
def command(
    model: str,
    data: str | None,
    format: str,
    quantize: str | None,
    prefer: str,
    out: str | None,
    as_json: bool,
    min_agreement: float,
    max_score_drop: float,
) -> None:
    """Export MODEL as one .tflite or as a SavedModel, run it at once on real inputs, and compare it with
    the Keras network; the comparison also goes to a file beside it, NAME.parity.json. --format streaming
    writes a .tflite that takes a stream chunk by chunk, its state as inputs and outputs; speech models have
    that form.

    \b
    dltasks export runs/flowers --format litert --quantize int8 --out flowers.tflite
    dltasks export runs/flowers --quantize auto --prefer size --out flowers.tflite
    """
    import dltasks

    if quantize and format == "saved-model":
        raise click.UsageError("--quantize is for .tflite files; a SavedModel keeps float32")
    mode = quantize or "float16"
    bundle = dltasks.load(model)
    out = out or DEFAULT_NAMES[format].format(model=bundle.name, mode=mode)
    result = bundle.export(out, format, mode, data, min_agreement, max_score_drop, prefer)
    modes = result.modes
    for note in result.notes:
        output.print_note(note)
    if as_json:
        output.print_json(_to_json(bundle.name, out, format, result.parity, modes))
        return
    if modes:
        columns = ("quantization", "size", "latency, one thread", "score", "agreement", "checks")
        rows = [_mode_row(mode, parity, min_agreement, max_score_drop) for mode, parity in modes.items()]
        output.print_table("All quantization modes", columns, rows)
        click.echo()
    _print_parity(out, result.parity)


def _to_json(model: str, out: str, format: str, parity: Any, modes: dict[str, Any]) -> dict[str, Any]:
    summaries = {mode: value if isinstance(value, str) else value.summary() for mode, value in modes.items()}
    content = {"model": model, "out": out, "format": format, "file_bytes": _size(out), **parity.to_json()}
    return content | ({"quantizations": summaries} if summaries else {})


def _mode_row(mode: str, parity: Any, min_agreement: float, max_score_drop: float) -> tuple[str, ...]:
    """One mode of --quantize auto; `parity` is a text where the mode failed."""
    from dltasks.export.parity import threshold_failure

    if isinstance(parity, str):
        return mode, parity, "", "", "", ""
    first = next(iter(parity.scores.values()), None)
    return (
        mode,
        f"{parity.bytes / 1e6:.2f} MB",
        f"{parity.latency:.2f} ms",
        _score(first["file"]) if first else "",
        f"{parity.agreement:.1%}",
        "failed" if threshold_failure(parity, min_agreement, max_score_drop) else "passed",
    )


def _print_parity(out: str, parity: Any) -> None:
    rows = [*_parity_rows(parity), ("size", f"{_size(out) / 1e6:.2f} MB")]
    output.print_table(out, ("property", "value"), rows)
    if parity.worst:
        click.echo()
        columns = ("input", "file", "network", "difference")
        output.print_table("Largest differences", columns, [_worst_row(entry) for entry in parity.worst])
    click.echo(f"written: {out}", err=True)


def _parity_rows(parity: Any) -> Iterator[tuple[str, str]]:
    yield "quantization", parity.quantize
    yield "agreement", f"{parity.agreement:.1%} of {parity.count} top-1 predictions equal the network's"
    for name, score in list(parity.scores.items())[:3]:
        yield name.replace("_", " "), f"{_score(score['file'])}; of the network {_score(score['network'])}"
    yield "difference", f"{parity.max_difference:.2g} maximum, {parity.mean_difference:.2g} mean"
    if worst := parity.worst_class:
        yield "worst class", f"{worst['class']}: {worst['agreement']:.1%} of {worst['count']} agree"
    if parity.latency:
        yield "latency", f"{parity.latency:.2f} ms on one thread of this machine"


def _worst_row(entry: dict[str, Any]) -> tuple[str, ...]:
    return entry["input"], entry["file"], entry["network"], f"{entry['difference']:.2g}"


def _size(out: str) -> int:
    """Bytes of the exported file, or of all files in the exported folder."""
    path = Path(out)
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _score(score: dict[str, float]) -> str:
    return f"{score['value']:.4f} [{score['low']:.4f}, {score['high']:.4f}]"
