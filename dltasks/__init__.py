"""The front door: load a trained model, inspect data, train a new model. Importing it imports nothing heavy."""

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
    """Load a bundled model by its name, a bundle folder, or a .tflite file.

    labels, mean, std: of a third-party .tflite that does not carry them itself: the names of its outputs, and one number or
    one a channel; its input takes (pixel - mean) / std. Raises ModelError.
    """
    from dltasks.model import load

    return load(name, labels, mean, std)


def inspect(
    task: str, source: Any, config: TrainingConfig | None = None, progress: Progress | None = None
) -> Inspection:
    """Inspect the data that `task` is to be trained on, with the settings of `config`; nothing is changed.

    Problems of the data are in the findings. Raises ModelError where there is no such task.
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
    """Train the task's network on `source`, write a bundle to the folder `out`, and load it.

    config: the settings to start from; the task's own by default. settings: fields of the config that replace its values.
    resume: resume the interrupted run that was to write `out`. data_description: text for the model card. inspect: inspect the
    data first, and raise DataError where a finding would end the training or spoil its scores. A run that is interrupted
    after its first epoch still writes its best. Raises DataError, TrainingError, ModelError, ExportError, MissingExtraError.
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
