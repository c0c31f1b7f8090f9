"""Plan: all settings of one training run; recorded in the bundle so that the run can be repeated."""

import math
import typing
from dataclasses import dataclass, field, fields, replace

from dltasks.errors import ConfigError

QUANTIZATION_MODES = ("none", "float16", "weight-int8", "dynamic", "int8")
"""Levels of quantisation, from the most faithful to the smallest and fastest."""

AUTO = "auto"
"""In place of a level: the best that holds the floors."""

_TYPE_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


@dataclass(frozen=True)
class EpochSchedule:
    """How long a run is that does not say: small data bears more passes, and large data needs few.

    shown: examples in all; fewest, most: bounds on the epochs.
    """

    examples_seen: int
    min_epochs: int
    max_epochs: int

    def epochs_for(self, count: int) -> int:
        """For `count` training examples."""
        return min(max(math.ceil(self.examples_seen / count), self.min_epochs), self.max_epochs)

    def epochs_setting(self):
        """The field `epochs` of a plan."""
        return setting(
            None,
            f"At most this many passes over the training data; if not given as many as show {self.examples_seen:,} examples, "
            f"but {self.min_epochs} at least and {self.max_epochs} at most.",
            minimum=1,
            changeable_on_resume=True,
        )


def setting(default, help: str, **metadata):
    """A field of a plan; `help` is shown by the command line.

    metadata: `minimum` and `maximum` are allowed themselves, `above` is not; `choices` are all there are. What is
    `late` changes neither the division nor the network, so that a run which goes on may set it anew.
    """
    return field(default=default, metadata={"help": help, **metadata})


@dataclass(frozen=True)
class TrainingConfig:
    """What every task's training run can set. A task adds fields of its own in a subclass."""

    length: typing.ClassVar[EpochSchedule] = EpochSchedule(examples_seen=20_000, min_epochs=10, max_epochs=60)

    epochs: int | None = length.epochs_setting()
    time_limit: float | None = setting(
        None,
        "Time budget of the training, in minutes; the schedule fits itself into it.",
        above=0,
        changeable_on_resume=True,
    )
    batch_size: int = setting(32, "Examples per step.", minimum=1)
    learning_rate: float = setting(0.02, "Highest learning rate of the schedule.", above=0)
    weight_decay: float = setting(2.5e-3, "Weight decay, decoupled from the gradient.", minimum=0)
    patience: int = setting(
        15,
        "Stop after this many epochs without a better validation score.",
        minimum=1,
        changeable_on_resume=True,
    )
    balance: bool = setting(False, "Weigh each class by the inverse of its frequency.")
    seed: int = setting(0, "Seed of every random choice.", minimum=0)
    quantize: str = setting(
        "float16",
        "Level of the bundle's own .tflite.",
        choices=QUANTIZATION_MODES,
        changeable_on_resume=True,
    )
    weight_dtype: str = setting(
        "float32",
        "How model.keras keeps its weights; float16 halves the file.",
        choices=("float32", "float16"),
        changeable_on_resume=True,
    )

    def resolve_epochs(self, count: int) -> "TrainingConfig":
        """This plan with the epochs that `count` training examples want, where it does not say."""
        if self.epochs is not None:
            return self
        return replace(self, epochs=self.length.epochs_for(count))

    def peak_learning_rate(self) -> float:
        """The learning rate at the top of the schedule."""
        return self.learning_rate

    def __post_init__(self):
        hints = typing.get_type_hints(type(self))
        for each in fields(self):
            if typing.get_origin(hints[each.name]) is tuple:
                object.__setattr__(self, each.name, _as_texts(each.name, getattr(self, each.name)))
                continue
            _check_setting(each.name, getattr(self, each.name), hints[each.name], each.metadata)


def _as_texts(name: str, value) -> tuple[str, ...]:
    """One text or many as a tuple. Raises SettingError."""
    values = (value,) if isinstance(value, str) else value
    if not isinstance(values, list | tuple) or not all(isinstance(each, str) and each for each in values):
        raise ConfigError(f"{name} is {value!r}; it must be texts")
    return tuple(values)


def _check_setting(name: str, value, hint, metadata) -> None:
    """Raises SettingError for a value of another kind than `hint`, or out of its range."""
    kinds = typing.get_args(hint) or (hint,)
    allowed = (*kinds, int) if float in kinds else kinds
    if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in kinds):
        wanted = " or ".join(_TYPE_NAMES[kind] for kind in kinds if kind in _TYPE_NAMES)
        raise ConfigError(f"{name} is {value!r}; it must be {wanted}")
    if value is None:
        return
    above, minimum, maximum, choices = map(metadata.get, ("above", "minimum", "maximum", "choices"))
    if above is not None and not value > above:
        raise ConfigError(f"{name} is {value}; it must be more than {above}")
    if minimum is not None and not value >= minimum:
        raise ConfigError(f"{name} is {value}; it must be at least {minimum}")
    if maximum is not None and not value <= maximum:
        raise ConfigError(f"{name} is {value}; it must be at most {maximum}")
    if choices and value not in choices:
        raise ConfigError(f"{name} is {value!r}; it must be one of {', '.join(choices)}")


def with_overrides(config: TrainingConfig, settings: dict) -> TrainingConfig:
    """`plan` with these settings replaced. Raises SettingError."""
    known = {each.name for each in fields(config)}
    unknown = sorted(set(settings) - known)
    if unknown:
        raise ConfigError(f"no setting {unknown[0]!r}; there are {', '.join(sorted(known))}")
    return replace(config, **settings)
