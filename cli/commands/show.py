"""Show what a model is: task, scores, data, plan, files."""

import json

import click

from dltasks.cli import options, output


@click.command(short_help="Show what a model is.")
@click.argument("model")
@options.JSON
def command(model, as_json):
    """Show MODEL: its task, how good it is, what it was trained on, with which plan, and what its file is made of; of a .tflite
    made elsewhere, the file.

    \b
    dltasks show objects
    """
    import dltasks
    from dltasks.errors import ModelError
    from dltasks.litert import summary

    try:
        bundle = dltasks.load(model)
    except ModelError as error:
        told, why = _stranger(model, error)
        if as_json:
            click.echo(json.dumps({"model": model, "error": why, "file": told}, ensure_ascii=False))
        else:
            output.table(model, ("what", "value"), list(summary.summary_rows(told)))
        click.echo(f"note: {why}", err=True)
        return
    told = bundle.model_summary()
    if as_json:
        click.echo(json.dumps({"model": bundle.name, **bundle.manifest, "file": told}, ensure_ascii=False))
        return
    output.table(bundle.name, ("what", "value"), [*_rows(bundle), *summary.summary_rows(told)])


def _stranger(model: str, error):
    """What a file that can be run and not understood is made of, and why it is not understood. Raises ModelError."""
    from pathlib import Path

    from dltasks.bundle.storage import MANIFEST_FILE, files_in_tflite
    from dltasks.errors import DamagedError
    from dltasks.litert import sandbox
    from dltasks.litert.summary import model_summary

    path = Path(model)
    content = path.read_bytes() if path.is_file() else b""
    ours = isinstance(error, DamagedError) or MANIFEST_FILE in files_in_tflite(content, path)
    if ours or content[4:8] != b"TFL3":
        raise error
    sandbox.check_in_subprocess(content, path)
    return model_summary(content), str(error)


def _rows(bundle):
    record = bundle.manifest
    yield "task", record["task"]
    yield "where", str(bundle.path)
    if "form" in record and record.get("evaluation"):
        yield (
            "scores",
            "of the model.tflite of the bundle it was exported from; dltasks evaluate has this file's",
        )
    for name, each in (record.get("evaluation") or {}).get("scores", {}).items():
        yield (
            name.replace("_", " "),
            f"{each['value']:.4f} [{each['low']:.4f}, {each['high']:.4f}] on {each['count']} examples",
        )
    if "parity" not in record:
        return
    parity, training = record["parity"], record["training"]
    yield (
        "file",
        f"{parity['bytes'] / 1e6:.2f} MB ({parity['quantize']}), {record['parameters']:,} parameters",
    )
    yield "parity", f"{parity['agreement']:.1%} of {parity['count']} first answers as the network's"
    yield "latency", f"{parity['latency']:.2f} ms on one thread where it was exported"
    if stream := record.get("stream_parity"):
        step = f"{stream['latency']:.2f} ms for {bundle.task.stream_chunk_size} samples"
        yield "stream", f"{stream['agreement']:.1%} as the network's, {step}"
    yield "trained", f"{training['epochs']} epochs, {training['seconds'] / 60:.0f} min"
    yield "examples", ", ".join(f"{count} {part}" for part, count in training["examples"].items())
    yield "about", " ".join(record["data_description"].split()) or "nothing said"
    yield from ((name, _field(value)) for name, value in record["fields"].items())
    yield from ((f"config {name}", _set(value)) for name, value in record["config"].items())
    yield from ((f"version {name}", str(value)) for name, value in record["versions"].items())
    if words := getattr(bundle.task, "labels", ()):
        yield "labels", ", ".join(words)


def _field(value) -> str:
    if value and isinstance(value, list) and isinstance(value[0], dict):
        return f"{len(value)} rows; in the model's README.md, and here with --json"
    if value and isinstance(value, list | dict) and len(value) > 12:
        return f"{len(value)} values; here with --json"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _set(value) -> str:
    if isinstance(value, list):
        return ", ".join(value) or "not set"
    return "not set" if value is None else str(value)
