"""The front door: load a trained model, look through data, train a new model. Importing it imports nothing heavy."""

from pathlib import Path

__version__ = "0.1.0"
__all__ = ["__version__", "inspect", "load", "train"]

# A checkout that is not installed has cli/ and models/ beside this folder, not inside it.
_CHECKOUT = Path(__file__).resolve().parent.parent
if (_CHECKOUT / "setup.cfg").is_file():
    __path__.append(str(_CHECKOUT))


def __getattr__(name):
    if name == "load":
        from dltasks.bundle import load

        return load
    if name == "inspect":
        from dltasks.inspection import inspect

        return inspect
    if name == "train":
        from dltasks.training import train

        return train
    raise AttributeError(f"module 'dltasks' has no attribute {name!r}")


def __dir__():
    return __all__
