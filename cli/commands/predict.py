"""Answer with any model: its name, a bundle folder, or a .tflite.

dltasks predict runs/flowers photo.jpg holiday/
"""

import os
import sys

import click

from dltasks.cli import options, output


@click.command(short_help="Answer with any model.")
@click.argument("model")
@options.prediction
@options.top_k
def command(model, inputs, known, threads, form, top_k):
    """Answer each INPUT with MODEL: a bundled model's name, a bundle folder, or a .tflite.

    INPUT is a file, a folder, @LIST (a text file of names, one a line), or - for standard input.

    \b
    dltasks predict runs/flowers photo.jpg holiday/
    """
    answer(model, inputs, known, threads, form, top_k)


def answer(model: str, inputs, known, threads, form, top_k, task: str | None = None) -> None:
    """Load the model, answer the inputs, and leave with exit code 1 if any of them failed.

    task: the only one whose models are taken; any if None.
    """
    from dataclasses import replace

    import dltasks
    from dltasks import registry
    from dltasks.errors import ModelError

    bundle = dltasks.load(model, **known)
    if task and registry.task_name(bundle.task) != task:
        raise ModelError(
            f"{model}: a model for {registry.task_name(bundle.task)}, not for {task}; dltasks predict takes any"
        )
    if top_k:
        bundle = replace(bundle, task=replace(bundle.task, top_k=top_k))
    sources = list(output.sources(inputs))
    pairs = bundle.iter_predictions(sources, threads)
    shown = output.progress(pairs, lambda: sum(_count(each) for each in sources))
    if output.answers(bundle.name, shown, form):
        sys.exit(1)


def _count(source) -> int:
    """About how many inputs a source holds; for the progress bar."""
    if isinstance(source, bytes) or not os.path.isdir(source):
        return 1
    return sum(len(names) for _, _, names in os.walk(source))
