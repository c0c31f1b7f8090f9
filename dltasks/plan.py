"""Plan: all settings of one training run; recorded in the bundle so that the run can be repeated."""

from dataclasses import dataclass, field, fields, replace

from dltasks.errors import PlanError


def setting(default, help: str, **metadata):
    """A field of a plan; `help` is shown by the command line."""
    return field(default=default, metadata={"help": help, **metadata})


@dataclass(frozen=True)
class Plan:
    """What every task's training run can set. A task adds fields of its own in a subclass."""

    epochs: int = setting(30, "At most this many passes over the training data.", minimum=1)
    minutes: float | None = setting(
        None, "Time budget of the training, in minutes; the schedule fits itself into it.", minimum=0
    )
    batch_size: int = setting(32, "Examples per step.", minimum=1)
    learning_rate: float = setting(0.02, "Highest learning rate of the schedule.", minimum=0)
    weight_decay: float = setting(2.5e-3, "Weight decay, decoupled from the gradient.", minimum=0)
    patience: int = setting(15, "Stop after this many epochs without a better validation score.", minimum=1)
    balance: bool = setting(False, "Weigh each class by the inverse of its frequency.")
    seed: int = setting(0, "Seed of every random choice.", minimum=0)
    quantize: str = setting(
        "float16",
        "Level of the bundle's own .tflite.",
        choices=("none", "float16", "weights8", "dynamic", "int8"),
    )
    precision: str = setting(
        "float32",
        "How model.keras keeps its weights; float16 halves the file.",
        choices=("float32", "float16"),
    )

    def highest_rate(self) -> float:
        """The learning rate at the top of the schedule."""
        return self.learning_rate

    def __post_init__(self):
        for each in fields(self):
            value = getattr(self, each.name)
            minimum, choices = each.metadata.get("minimum"), each.metadata.get("choices")
            if minimum is not None and value is not None and value < minimum:
                raise PlanError(f"{each.name} is {value}; it must be at least {minimum}")
            if choices and value not in choices:
                raise PlanError(f"{each.name} is {value!r}; it must be one of {', '.join(choices)}")


def changed(plan: Plan, settings: dict) -> Plan:
    """`plan` with these settings replaced. Raises PlanError for a setting that it does not have."""
    known = {each.name for each in fields(plan)}
    unknown = sorted(set(settings) - known)
    if unknown:
        raise PlanError(f"no setting {unknown[0]!r}; there are {', '.join(sorted(known))}")
    return replace(plan, **settings)
