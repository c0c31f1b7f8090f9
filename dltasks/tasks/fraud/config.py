"""Settings of a training run on transactions."""

from dataclasses import dataclass
from typing import ClassVar

from dltasks.config import QUANTIZATION_MODES, EpochSchedule, TrainingConfig, setting

DEFAULT_LABEL_DELAY = "7d"
"""Delay of labels where neither the config nor a short table sets another."""

TIME_UNITS = ("s", "ms", "us", "ns", "min", "h", "d")


@dataclass(frozen=True)
class FraudConfig(TrainingConfig):
    """All settings of a training run on transactions."""

    length: ClassVar[EpochSchedule] = EpochSchedule(examples_seen=600_000, min_epochs=4, max_epochs=60)

    epochs: int | None = length.epochs_setting()
    batch_size: int = setting(512, "Examples per step.", minimum=1)
    quantize: str = setting(
        "none",
        "Quantization mode of the bundle's .tflite; float16 cannot hold numbers above 65,504.",
        choices=QUANTIZATION_MODES,
        changeable_on_resume=True,
    )
    learning_rate: float = setting(0.003, "Highest learning rate of the schedule.", above=0)
    weight_decay: float = setting(0.6, "Weight decay, decoupled from the gradient.", minimum=0)

    label: str | None = setting(
        None, "Column of the fraud label (default: guessed from its name).", group="Data"
    )
    positive_label: str | None = setting(
        None, "Value of the label that means fraud (default: 1, true, yes or fraud).", group="Data"
    )
    time: str | None = setting(None, "Column of the time (default: guessed).", group="Data")
    amount: str | None = setting(None, "Column of the amount (default: guessed).", group="Data")
    entity: tuple[str, ...] = setting(
        (), "Column that identifies one side of a payment: a customer, a terminal. Repeatable.", group="Data"
    )
    card: str | None = setting(
        None, "Entity that is checked within a budget (default: guessed from its name).", group="Data"
    )
    amount_by: tuple[str, ...] = setting(
        (),
        "Entity to aggregate amounts by (default: the card; amounts of terminals are mostly noise). "
        "Repeatable.",
        group="Data",
    )
    fraud_rate_by: tuple[str, ...] = setting(
        (), "Entity whose past fraud rate is a feature (default: all but the card). Repeatable.", group="Data"
    )
    id: str | None = setting(
        None, "Column that identifies each transaction (default: guessed).", group="Data"
    )
    number: tuple[str, ...] = setting((), "Column to read as a number. Repeatable.", group="Data")
    category: tuple[str, ...] = setting((), "Column to read as a category. Repeatable.", group="Data")
    ignore: tuple[str, ...] = setting((), "Column to leave out. Repeatable.", group="Data")
    time_unit: str | None = setting(
        None, "Unit of a time column of numbers (default: seconds).", choices=TIME_UNITS, group="Data"
    )
    time_origin: str | None = setting(
        None, "Date of 0 in a time column of numbers, such as 2018-04-01.", group="Data"
    )
    date_order: str | None = setting(
        None,
        "Order of dates such as 03/04/2018 (default: guessed from all rows).",
        choices=("day-first", "month-first"),
        group="Data",
    )
    timezone: str = setting(
        "UTC", "Time zone of nights, weekends and days, such as Europe/Brussels.", group="Data"
    )
    windows: str = setting(
        "1d,7d,30d", "Lengths of the windows over an entity's past, separated by commas.", group="Features"
    )
    label_delay: str | None = setting(
        None,
        "Time until the label of a transaction is known (default: 7d, or none if the table spans less than "
        "four weeks).",
        group="Features",
    )
    train_from: str | None = setting(
        None, "Start of the training period: a date, or a number in the time column's unit.", group="Data"
    )
    train_to: str | None = setting(
        None, "End of the training period; a date includes the whole day.", group="Data"
    )
    test_from: str | None = setting(None, "Start of the test period.", group="Data")
    test_to: str | None = setting(
        None, "End of the test period; a date includes the whole day.", group="Data"
    )
    exclude_known_fraud: bool | None = setting(
        None,
        "Exclude cards from a test day that were known as defrauded before it (default: if there is a card "
        "column).",
        group="Evaluation",
    )
    budget: int = setting(
        100, "Cards that can be checked in a day.", minimum=1, changeable_on_resume=True, group="Evaluation"
    )
    alert_cost: float = setting(
        0.0,
        "Cost of one check, in the currency of the amounts.",
        minimum=0,
        changeable_on_resume=True,
        group="Evaluation",
    )
    network: str = setting(
        "ensemble",
        "ensemble sees a transaction and its windows; sequence also sees the card's last transactions.",
        choices=("ensemble", "sequence"),
        group="Network",
    )
    history_length: int = setting(
        10, "Transactions of the card that --network sequence sees.", minimum=2, maximum=200, group="Network"
    )
    unsupervised: bool = setting(
        False, "Train an autoencoder, without labels, and detect anomalies.", group="Network"
    )
    baselines: bool = setting(
        True,
        "Compare with logistic regression, a random forest and XGBoost, where installed.",
        changeable_on_resume=True,
        group="Evaluation",
    )
    ensemble_size: int = setting(
        4, "Members of the ensemble in the network.", minimum=1, maximum=64, group="Network"
    )
    width: int = setting(64, "Units of each layer.", minimum=4, maximum=1024, group="Network")
    trees: int = setting(
        150,
        "Boosted trees in the network, beside the ensemble; 0 for none.",
        minimum=0,
        maximum=1000,
        group="Network",
    )
    validation_split: float = setting(
        0.1, "Fraction of the training period's cards used for validation.", minimum=0.01, maximum=0.45
    )
    test_split: float = setting(
        0.2, "Fraction of the time used for testing, unless --test-from is given.", minimum=0, maximum=0.9
    )
