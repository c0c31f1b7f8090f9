"""The tasks: one folder each. The folder's name is the task's name; nothing else registers it."""

import importlib
from pathlib import Path

from dltasks.errors import ModelError

_FOLDER = Path(__file__).parent


def names() -> list[str]:
    """The tasks there are, without importing them."""
    return sorted(each.parent.name for each in _FOLDER.glob("*/__init__.py"))


def find(name: str):
    """The class of the task with this name. Raises ModelError if there is none."""
    if name not in names():
        raise ModelError(f"no task {name!r}; there are {', '.join(names())}")
    return importlib.import_module(f"{__name__}.{name}").TASK


def find_network(name: str):
    """The module `network` of the task with this name, which defines its Keras layers."""
    return importlib.import_module(f"{__name__}.{name}.network")


def name_of(task) -> str:
    """The name of the folder that this task stands in."""
    return type(task).__module__.removeprefix(f"{__name__}.").partition(".")[0]
