"""The tasks: one folder each. The folder's name is the task's name; nothing else registers it."""

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

from dltasks import tasks
from dltasks.errors import ModelError


def task_names() -> list[str]:
    """Names of all tasks; none is imported."""
    return sorted(
        path.parent.name for folder in tasks.__path__ for path in Path(folder).glob("*/__init__.py")
    )


def find_task(name: str) -> Any:
    """The class of the task with this name. Raises ModelError if there is none."""
    if name not in task_names():
        raise ModelError(f"no task {name!r}; there are {', '.join(task_names())}")
    return importlib.import_module(f"{tasks.__name__}.{name}").TASK


def import_network(name: str) -> ModuleType:
    """The module `network` of the task with this name; importing it registers the task's Keras layers."""
    return importlib.import_module(f"{tasks.__name__}.{name}.network")


def task_name(task: Any) -> str:
    """The name of a task: that of the folder of its module."""
    return type(task).__module__.removeprefix(f"{tasks.__name__}.").partition(".")[0]
