"""Names of models and tasks on the command line: validation, completion, suggestions for mistyped ones."""

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:  # only completion needs it
    from click.shell_completion import CompletionItem


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most like this one; None where none is near."""
    return next(iter(difflib.get_close_matches(name, list(known), 1, 0.5)), None)


def hint(name: str, known: Iterable[str]) -> str:
    """The question "did you mean ...?"; empty where no known name is near."""
    near = nearest(name, known)
    return f"did you mean {near}?" if near else ""


def check_model(name: str) -> None:
    """Raises ModelError, with a suggestion, where `name` is neither a bundled model nor an existing path."""
    from dltasks.bundle.load import unknown_model
    from dltasks.bundle.storage import find_bundle
    from dltasks.errors import ModelError

    if find_bundle(name) is None and not Path(name).exists():
        raise ModelError(unknown_model(name, Path(name)))


class ModelName(click.ParamType):
    """A bundled model's name, a bundle folder or a .tflite file; checked when it is loaded."""

    name = "model"

    def shell_complete(
        self, context: click.Context, parameter: click.Parameter, incomplete: str
    ) -> "list[CompletionItem]":
        """The bundled models that begin so; where there is none, the shell completes paths."""
        from click.shell_completion import CompletionItem

        from dltasks.bundle import storage

        names = [CompletionItem(name) for name in storage.bundled_names() if name.startswith(incomplete)]
        return [CompletionItem(incomplete, type="file"), *names]


class TaskName(click.ParamType):
    """The name of a task."""

    name = "task"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> str:
        """The name itself; wrong usage where no task has it."""
        from dltasks import registry

        known = registry.task_names()
        if value not in known:
            advice = hint(value, known) or f"tasks: {', '.join(known)}"
            self.fail(f"no task {value!r}; {advice}", parameter, context)
        return value

    def shell_complete(
        self, context: click.Context, parameter: click.Parameter, incomplete: str
    ) -> "list[CompletionItem]":
        """The tasks that begin so."""
        from click.shell_completion import CompletionItem

        from dltasks import registry

        return [CompletionItem(name) for name in registry.task_names() if name.startswith(incomplete)]
