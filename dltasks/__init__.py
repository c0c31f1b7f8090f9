"""Load a trained model, inspect data, train a new model. Importing this package imports nothing heavy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dltasks._version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dltasks.config import TrainingConfig
    from dltasks.doctor.findings import Inspection
    from dltasks.model import Model
    from dltasks.progress import Progress

__all__ = ["__version__", "inspect", "load", "train"]

# A checkout that is not installed has cli/ and models/ beside this folder, not inside it.
_CHECKOUT = Path(__file__).resolve().parent.parent
if (_CHECKOUT / "setup.cfg").is_file():
    __path__.append(str(_CHECKOUT))


def load(
    name: Any,
    labels: Sequence[str] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Model:
    """Load a trained model.

    The last three arguments are for a third-party .tflite file whose metadata lacks them.

    Args:
        name: Name of a bundled model, or path of a bundle folder or a .tflite file.
        labels: Names of the outputs, in order.
        mean: Mean of the input values, one number or one per channel.
        std: Standard deviation of the input values, likewise: the input is (value - mean) / std.

    Returns:
        The model, ready to predict.

    Raises:
        ModelError: There is no such model, or it is damaged or not supported.
    """
    from dltasks.model import load

    return load(name, labels, mean, std)


def inspect(
    task: str, source: Any, config: TrainingConfig | None = None, progress: Progress | None = None
) -> Inspection:
    """Inspect a data set before training on it; nothing is changed.

    Args:
        task: Name of the task that the data is for.
        source: The data, as for `train`.
        config: Training config that the data is read with; the task's default if None.
        progress: Receives messages and progress.

    Returns:
        The findings, which include problems that would end a training run.

    Raises:
        ModelError: There is no such task.
    """
    from dltasks.doctor.inspect import inspect

    return inspect(task, source, config, progress)


def train(
    task: str,
    source: Any,
    out: Any,
    *,
    config: TrainingConfig | None = None,
    resume: bool = False,
    data_description: str = "",
    inspect: bool = True,
    progress: Progress | None = None,
    **settings: Any,
) -> Model:
    """Train a network, write it as a bundle, and load it.

    A run that is interrupted after its first epoch still writes the best network so far.

    Args:
        task: Name of the task.
        source: The labeled data: a folder or a file, in the task's layout.
        out: Folder of the bundle; it is created or replaced.
        config: Training config; the task's default if None.
        resume: Whether to resume an interrupted run that was to write `out`.
        data_description: Origin and license of the data, for the model card.
        inspect: Whether to inspect the data first and refuse data with errors.
        progress: Receives messages and progress.
        **settings: Fields of the config to replace.

    Returns:
        The trained model.

    Raises:
        DataError: The data can't be read, or the inspection found an error.
        TrainingError: The config is invalid, or the run can't start or resume.
        ModelError: There is no such task.
        ExportError: The network can't be converted to a .tflite file, or the bundle can't be written.
        MissingExtraError: Keras or TensorFlow is not installed.
    """
    from dltasks.model import load
    from dltasks.training.train import train

    train(
        task,
        source,
        out,
        config=config,
        resume=resume,
        data_description=data_description,
        inspect=inspect,
        progress=progress,
        **settings,
    )
    return load(out)
