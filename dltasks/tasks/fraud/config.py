"""Settings of a training run on transactions."""

from dataclasses import dataclass
from typing import ClassVar

from dltasks.config import QUANTIZATION_MODES, EpochSchedule, TrainingConfig, setting

DEFAULT_LABEL_DELAY = "7d"
"""Of labels, where nobody says another."""

TIME_UNITS = ("s", "ms", "us", "ns", "min", "h", "d")


@dataclass(frozen=True)
class FraudConfig(TrainingConfig):
    """All settings of a training run on transactions."""

    length: ClassVar[EpochSchedule] = EpochSchedule(examples_seen=600_000, min_epochs=4, max_epochs=60)

    epochs: int | None = length.epochs_setting()
    batch_size: int = setting(512, "Examples per step.", minimum=1)
    quantize: str = setting(
        "none",
        "Level of the bundle's own .tflite; float16 has no place for numbers beyond 65,504.",
        choices=QUANTIZATION_MODES,
        changeable_on_resume=True,
    )
    learning_rate: float = setting(0.003, "Highest learning rate of the schedule.", above=0)
    weight_decay: float = setting(0.6, "Weight decay, decoupled from the gradient.", minimum=0)

    label: str | None = setting(None, "Column that says what was fraud; guessed from names if not given.")
    positive: str | None = setting(None, "Its value that says fraud; 1, true, yes or fraud if not given.")
    time: str | None = setting(None, "Column of the time; guessed if not given.")
    amount: str | None = setting(None, "Column of the amount; guessed if not given.")
    entity: tuple[str, ...] = setting(
        (), "Column of one side of a payment (customer, terminal); may be given again."
    )
    card: str | None = setting(
        None, "The entity that a budget of checks counts; guessed from names if not given."
    )
    amount_by: tuple[str, ...] = setting(
        (),
        "Entity whose amounts are summed up in windows; the card if not given, as those of terminals are mostly noise. May "
        "be given again.",
    )
    fraud_rate_by: tuple[str, ...] = setting(
        (), "Entity whose rate of past frauds is used; all but the card if not given. May be given again."
    )
    id: str | None = setting(None, "Column that names each transaction; guessed if not given.")
    number: tuple[str, ...] = setting((), "Column to take for a number; may be given again.")
    category: tuple[str, ...] = setting((), "Column to take for a category; may be given again.")
    ignore: tuple[str, ...] = setting((), "Column to leave out; may be given again.")
    time_unit: str | None = setting(
        None, "Unit of a time in numbers; seconds if not given.", choices=TIME_UNITS
    )
    time_origin: str | None = setting(None, "Date of a time of 0 (2018-04-01).")
    date_order: str | None = setting(
        None, "Whether 03/04/2018 is the third of April.", choices=("day-first", "month-first")
    )
    timezone: str = setting("UTC", "Time zone of nights, weekends and days (Europe/Brussels).")
    windows: str = setting("1d,7d,30d", "Lengths of the windows over an entity's past, separated by commas.")
    label_delay: str | None = setting(
        None,
        "Time after which it is known whether a transaction was fraud; 7d if not given, nothing for a table of less than "
        "four weeks.",
    )
    train_from: str | None = setting(None, "Start of the training, a date or in the time column's units.")
    train_to: str | None = setting(None, "End of it; a date without a time of day is trained on to its end.")
    test_from: str | None = setting(None, "Start of what is judged.")
    test_to: str | None = setting(None, "End of it.")
    exclude_known_fraud: bool | None = setting(
        None,
        "Leave cards out of a test day that were known as defrauded before it; done where there is a card column.",
    )
    budget: int = setting(100, "Cards that can be checked a day.", minimum=1, changeable_on_resume=True)
    alert_cost: float = setting(
        0.0, "Cost of checking one, in the currency of the amounts.", minimum=0, changeable_on_resume=True
    )
    network: str = setting(
        "members",
        "members sees a transaction and its windows; sequence the card's last transactions too.",
        choices=("members", "sequence"),
    )
    history: int = setting(10, "Transactions that --network sequence sees.", minimum=2, maximum=200)
    unsupervised: bool = setting(False, "Learn without labels what is usual: an autoencoder.")
    baselines: bool = setting(
        True,
        "Train logistic regression, a random forest and XGBoost, where installed, to stand beside.",
        changeable_on_resume=True,
    )
    ensemble_size: int = setting(4, "Members of the ensemble in the network.", minimum=1, maximum=64)
    width: int = setting(64, "Units of each layer.", minimum=4, maximum=1024)
    trees: int = setting(
        150, "Boosted trees in the network, beside the members; 0 for none.", minimum=0, maximum=1000
    )
    validation_split: float = setting(
        0.1, "Share of the training part's cards to choose by.", minimum=0.01, maximum=0.45
    )
    test_split: float = setting(
        0.2, "Share of the time to judge by, where --test-from does not say.", minimum=0, maximum=0.9
    )
