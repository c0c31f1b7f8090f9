"""Predict with any model: its name, a bundle folder, or a .tflite."""

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from dltasks.cli import options, output
from dltasks.cli.grouping import GroupedCommand


@click.command(cls=GroupedCommand)
@options.model_argument
@options.prediction
@options.top_k
def command(model: str, **arguments: Any) -> None:
    """Predict each INPUT with MODEL: a bundled model's name, a bundle folder, or a .tflite.

    INPUT is a file, a folder, @LIST (a text file of names, one per line), or - for standard input.

    \b
    dltasks predict runs/flowers photo.jpg holiday/
    dltasks predict flowers.tflite --json @list.txt
    """
    predict_and_write(model, **arguments)


def predict_and_write(
    model: str,
    inputs: Sequence[str],
    third_party: dict[str, Any],
    threads: int | None,
    output_format: str | None,
    top_k: int | None,
    task: str | None = None,
) -> None:
    """Load the model, write a prediction for each input, and exit with code 1 if any input failed.

    task: the only task whose models are accepted; None for any. Raises ModelError.
    """
    import dltasks
    from dltasks import registry
    from dltasks.errors import ModelError

    bundle: Any = dltasks.load(model, **third_party)
    model_task = registry.task_name(bundle.task)
    if task and model_task != task:
        raise ModelError(f"{model}: a model for {model_task}, not for {task}; dltasks predict takes any")
    if top_k:
        bundle = replace(bundle, task=replace(bundle.task, top_k=top_k))
    sources = list(output.read_sources(inputs))
    predictions = output.with_progress_bar(
        bundle.iter_predictions(sources, threads), lambda: sum(map(_estimate_count, sources))
    )
    if output.write_predictions(bundle.name, predictions, output_format):
        sys.exit(1)


def _estimate_count(source: str | bytes) -> int:
    """About how many inputs a source holds."""
    if isinstance(source, bytes) or not Path(source).is_dir():
        return 1
    return sum(len(names) for _, _, names in os.walk(source))
