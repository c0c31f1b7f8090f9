"""Show the task, scores, data, training config and files of a model."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from dltasks.cli import options, output
from dltasks.cli.grouping import GroupedCommand

MAX_VALUES = 12
"""Maximum number of values of a field that are shown without --json."""


@click.command(cls=GroupedCommand)
@options.model_argument
@options.json_output
def command(model: str, as_json: bool) -> None:
    """Show MODEL: its task, its scores, its training data and config, and the contents of its file. Of a
    third-party .tflite, the file.

    \b
    dltasks show objects
    dltasks show flowers.tflite --json
    """
    import dltasks
    from dltasks.errors import ModelError
    from dltasks.litert import summary

    try:
        bundle = dltasks.load(model)
    except ModelError as error:
        contents = _third_party_contents(model, error)
        if as_json:
            output.print_json({"model": model, "error": str(error), "file": contents})
        else:
            output.print_table(model, ("property", "value"), list(summary.summary_rows(contents)))
        output.print_note(error)
        return
    contents = bundle.model_summary()
    if as_json:
        output.print_json({"model": bundle.name, **bundle.manifest, "file": contents})
        return
    rows = [*_rows(bundle), *summary.summary_rows(contents)]
    output.print_table(bundle.name, ("property", "value"), rows)


def _third_party_contents(model: str, error: Exception) -> dict[str, Any]:
    """The contents of a .tflite that runs but is no model for a task.

    Raises `error` for any other file, and ModelError where the file can't be run.
    """
    from dltasks.bundle.storage import MANIFEST_FILE, files_in_tflite
    from dltasks.errors import DamagedError
    from dltasks.litert import sandbox
    from dltasks.litert.summary import model_summary

    path = Path(model)
    content = path.read_bytes() if path.is_file() else b""
    is_ours = isinstance(error, DamagedError) or MANIFEST_FILE in files_in_tflite(content, path)
    if is_ours or content[4:8] != b"TFL3":
        raise error
    sandbox.check_in_subprocess(content, path)
    return model_summary(content)


def _rows(bundle: Any) -> Iterator[tuple[str, str]]:
    manifest = bundle.manifest
    yield "task", manifest["task"]
    yield "path", str(bundle.path)
    yield from _score_rows(manifest)
    if "parity" not in manifest:
        return
    yield from _file_rows(bundle)
    yield from _training_rows(manifest)
    yield from ((name, _field(value)) for name, value in manifest["fields"].items())
    yield from ((f"config {name}", _setting(value)) for name, value in manifest["config"].items())
    yield from ((f"version {name}", str(value)) for name, value in manifest["versions"].items())
    if labels := getattr(bundle.task, "labels", ()):
        yield "labels", ", ".join(labels)


def _score_rows(manifest: dict[str, Any]) -> Iterator[tuple[str, str]]:
    evaluation = manifest.get("evaluation") or {}
    if "export_format" in manifest and evaluation:
        yield (
            "scores",
            "of the bundle's model.tflite; run dltasks evaluate for those of this file",
        )
    for name, score in evaluation.get("scores", {}).items():
        interval = f"[{score['low']:.4f}, {score['high']:.4f}]"
        yield name.replace("_", " "), f"{score['value']:.4f} {interval} on {score['count']} examples"


def _file_rows(bundle: Any) -> Iterator[tuple[str, str]]:
    manifest, parity = bundle.manifest, bundle.manifest["parity"]
    size = f"{parity['bytes'] / 1e6:.2f} MB ({parity['quantize']})"
    yield "file", f"{size}, {manifest['parameters']:,} parameters"
    yield "parity", f"{parity['agreement']:.1%} of {parity['count']} top-1 predictions equal the network's"
    yield "latency", f"{parity['latency']:.2f} ms on one thread of the machine that exported it"
    if stream := manifest.get("stream_parity"):
        chunk = f"{stream['latency']:.2f} ms for {bundle.task.stream_chunk_size} samples"
        yield "stream", f"{stream['agreement']:.1%} equal to the network's, {chunk}"


def _training_rows(manifest: dict[str, Any]) -> Iterator[tuple[str, str]]:
    training = manifest["training"]
    yield "trained", f"{training['epochs']} epochs, {training['seconds'] / 60:.0f} min"
    yield "examples", ", ".join(f"{count} {split}" for split, count in training["examples"].items())
    yield "data", " ".join(manifest["data_description"].split()) or "no description"


def _field(value: Any) -> str:
    if value and isinstance(value, list) and isinstance(value[0], dict):
        return f"{len(value)} rows; in the model's README.md, and here with --json"
    if value and isinstance(value, list | dict) and len(value) > MAX_VALUES:
        return f"{len(value)} values; here with --json"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _setting(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value) or "not set"
    return "not set" if value is None else str(value)
