"""TrainingConfig: all settings of a training run, recorded in its bundle so that the run can be repeated."""

import math
import typing
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self, TypeVar

from dltasks.errors import ConfigError
from dltasks.validation import range_error, type_error

QUANTIZATION_MODES = ("none", "float16", "mixed", "weight-int8", "dynamic", "int8")
"""Quantization modes, from the most accurate to the smallest and fastest."""

AUTO = "auto"
"""In place of a quantization mode: the best mode that stays within the accuracy thresholds."""


@dataclass(frozen=True)
class EpochSchedule:
    """The default number of epochs: a small data set needs more of them than a large one.

    Attributes:
        examples_seen: Examples processed over all epochs.
        min_epochs: Minimum number of epochs.
        max_epochs: Maximum number of epochs.
    """

    examples_seen: int
    min_epochs: int
    max_epochs: int

    def epochs_for(self, count: int) -> int:
        """Number of epochs for `count` training examples."""
        return min(max(math.ceil(self.examples_seen / count), self.min_epochs), self.max_epochs)

    def epochs_setting(self) -> Any:
        """The field `epochs` of a training config."""
        return setting(
            None,
            f"Maximum number of epochs; by default as many as process {self.examples_seen:,} examples, "
            f"within {self.min_epochs} to {self.max_epochs}.",
            minimum=1,
            changeable_on_resume=True,
        )


def setting(
    default: Any,
    help: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    choices: tuple[str, ...] = (),
    changeable_on_resume: bool = False,
    group: str = "",
) -> Any:
    """A field of a training config.

    Args:
        default: Default value.
        help: Help text of the command-line option.
        minimum: Smallest allowed value.
        maximum: Largest allowed value.
        above: Exclusive lower bound.
        choices: The allowed values.
        changeable_on_resume: Whether a resumed run may change it; it affects neither split nor network.
        group: Heading of the option in --help.
    """
    metadata = {
        "help": help,
        "minimum": minimum,
        "maximum": maximum,
        "above": above,
        "choices": choices,
        "changeable_on_resume": changeable_on_resume,
        "group": group,
    }
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class TrainingConfig:
    """Settings common to the training runs of all tasks; each task adds its own in a subclass.

    Raises:
        ConfigError: A value has the wrong type or is out of range.
    """

    length: typing.ClassVar[EpochSchedule] = EpochSchedule(examples_seen=20_000, min_epochs=10, max_epochs=60)

    epochs: int | None = length.epochs_setting()
    time_limit: float | None = setting(
        None,
        "Time limit of the training, in minutes; the learning rate schedule is fitted to it.",
        above=0,
        changeable_on_resume=True,
    )
    batch_size: int = setting(32, "Examples per step.", minimum=1)
    learning_rate: float | None = setting(0.02, "Peak learning rate of the schedule.", above=0)
    weight_decay: float = setting(2.5e-3, "Decoupled weight decay.", minimum=0)
    patience: int = setting(
        15,
        "Stop after this many epochs without a better validation score.",
        minimum=1,
        changeable_on_resume=True,
    )
    balance: bool = setting(False, "Weight each class by the inverse of its frequency.")
    seed: int = setting(0, "Seed of all random choices.", minimum=0)
    quantize: str = setting(
        "float16",
        "Quantization mode of the bundle's .tflite file.",
        choices=QUANTIZATION_MODES,
        changeable_on_resume=True,
    )
    weight_dtype: str = setting(
        "float32",
        "Data type of the weights in model.keras; float16 halves the file.",
        choices=("float32", "float16"),
        changeable_on_resume=True,
    )

    def resolve_epochs(self, count: int) -> Self:
        """This config with `epochs` set, by default from the number of training examples."""
        if self.epochs is not None:
            return self
        return replace(self, epochs=self.epoch_schedule().epochs_for(count))

    def epoch_schedule(self) -> EpochSchedule:
        """The default number of epochs; a task where it depends on other settings overrides this."""
        return self.length

    def peak_learning_rate(self) -> float:
        """The peak learning rate; a task whose default depends on other settings overrides this."""
        if self.learning_rate is None:
            raise ConfigError("learning_rate is null; expected a number")
        return self.learning_rate

    def __post_init__(self) -> None:
        annotations = typing.get_type_hints(type(self))
        for entry in fields(self):
            value, annotation = getattr(self, entry.name), annotations[entry.name]
            if typing.get_origin(annotation) is tuple:
                object.__setattr__(self, entry.name, _to_tuple(entry.name, value))
                continue
            error = type_error(value, annotation, entry.name) or range_error(
                value, entry.metadata, entry.name
            )
            if error:
                raise ConfigError(error)


def _to_tuple(name: str, value: Any) -> tuple[str, ...]:
    """One text or many as a tuple. Raises ConfigError."""
    values = (value,) if isinstance(value, str) else value
    if not isinstance(values, list | tuple) or not all(isinstance(text, str) and text for text in values):
        raise ConfigError(f"{name} is {value!r}; expected one or more texts, none of them empty")
    return tuple(values)


Config = TypeVar("Config", bound=TrainingConfig)


def with_overrides(config: Config, settings: dict[str, Any]) -> Config:
    """The training config with some settings replaced. Raises ConfigError."""
    names = {entry.name for entry in fields(config)}
    if unknown := sorted(set(settings) - names):
        raise ConfigError(f"no setting {unknown[0]!r}; there are {', '.join(sorted(names))}")
    return replace(config, **settings)
