"""The tasks: one folder each. The folder's name is the task's name; nothing else registers it."""

import importlib
from pathlib import Path

from dltasks import tasks
from dltasks.errors import ModelError


def task_names() -> list[str]:
    """The tasks there are, without importing them."""
    return sorted(
        each.parent.name for folder in tasks.__path__ for each in Path(folder).glob("*/__init__.py")
    )


def find_task(name: str):
    """The class of the task with this name. Raises ModelError if there is none."""
    if name not in task_names():
        raise ModelError(f"no task {name!r}; there are {', '.join(task_names())}")
    return importlib.import_module(f"{tasks.__name__}.{name}").TASK


def import_network(name: str):
    """The module `network` of the task with this name, which defines its Keras layers."""
    return importlib.import_module(f"{tasks.__name__}.{name}.network")


def task_name(task) -> str:
    """The name of the folder that this task stands in."""
    return type(task).__module__.removeprefix(f"{tasks.__name__}.").partition(".")[0]
