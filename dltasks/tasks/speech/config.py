"""Settings of a training run on spoken commands."""

from dataclasses import dataclass
from typing import ClassVar

from dltasks.config import EpochSchedule, TrainingConfig, setting
from dltasks.errors import ConfigError


@dataclass(frozen=True)
class SpeechConfig(TrainingConfig):
    """All settings of a training run on spoken commands."""

    length: ClassVar[EpochSchedule] = EpochSchedule(examples_seen=300_000, min_epochs=20, max_epochs=120)

    epochs: int | None = length.epochs_setting()
    learning_rate: float = setting(0.005, "Peak learning rate of the schedule.", above=0)
    weight_decay: float = setting(0.02, "Weight decay, decoupled from the gradient.", minimum=0)
    patience: int = setting(
        40,
        "Stop after this many epochs without a better validation score.",
        minimum=1,
        changeable_on_resume=True,
    )
    seconds: float = setting(
        1.0, "Length of the network's input in seconds.", minimum=0.5, maximum=4, group="Network"
    )
    words: str | None = setting(
        None,
        "Commands, separated by commas; all other words count as unknown (default: all words).",
        group="Data",
    )
    false_alarms_per_hour: float = setting(
        5.0,
        "Budget of false alarms for which the detection thresholds are chosen, with a word that is not a "
        "command spoken every ten seconds. A lower budget misses more commands.",
        minimum=0,
        changeable_on_resume=True,
        group="Detection",
    )
    calibration_minutes: float = setting(
        240.0,
        "Length of the sound, mixed from validation clips, on which the thresholds are chosen; shorter where "
        "a clip would occur more than twenty times.",
        minimum=1,
        changeable_on_resume=True,
        group="Detection",
    )
    max_speed_change: float = setting(
        0.15, "Maximum change of a clip's speed, as a fraction.", minimum=0, maximum=0.5, group="Augmentation"
    )
    max_shift: float = setting(
        0.1,
        "Maximum shift of a clip in time, as a fraction of its length.",
        minimum=0,
        maximum=0.5,
        group="Augmentation",
    )
    max_gain_db: float = setting(
        8.0, "Maximum change of a clip's level in decibels.", minimum=0, group="Augmentation"
    )
    noise_probability: float = setting(
        0.6, "Fraction of the clips mixed with background noise.", minimum=0, maximum=1, group="Augmentation"
    )
    min_snr_db: float = setting(
        0.0,
        "Minimum signal-to-noise ratio of this mix in decibels.",
        minimum=-20,
        maximum=30,
        group="Augmentation",
    )
    silence_probability: float = setting(
        0.02,
        "Fraction of the clips replaced by white noise and labeled as silence.",
        minimum=0,
        maximum=0.5,
        group="Augmentation",
    )
    time_mask_seconds: float = setting(
        0.12,
        "Maximum length of each of SpecAugment's two time masks.",
        minimum=0,
        maximum=0.5,
        group="Augmentation",
    )
    frequency_mask_bands: int = setting(
        5,
        "Maximum width of each of SpecAugment's two frequency masks, in mel bands of 40.",
        minimum=0,
        maximum=20,
        group="Augmentation",
    )
    vtlp: float = setting(
        0.06,
        "Maximum stretch of the frequency scale, as a fraction (vocal tract length perturbation).",
        minimum=0,
        maximum=0.5,
        group="Augmentation",
    )
    equalizer_db: float = setting(
        4.0,
        "Maximum gain of the random equalizer in decibels, at any frequency.",
        minimum=0,
        group="Augmentation",
    )
    mixup_alpha: float = setting(
        0.2,
        "Alpha of mixup, which sets how strongly clips are mixed; 0 for none.",
        minimum=0,
        group="Augmentation",
    )
    label_smoothing: float = setting(
        0.05,
        "Fraction of the target spread evenly over all classes.",
        minimum=0,
        maximum=0.9,
        group="Augmentation",
    )
    validation_split: float = setting(
        0.1, "Fraction of the data for validation, if it has no such split.", minimum=0.01, maximum=0.45
    )
    test_split: float = setting(
        0.1,
        "Fraction of the data for the test, if it has no such split; 0 for none.",
        minimum=0,
        maximum=0.45,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.words is not None and not all(word.strip() for word in self.words.split(",")):
            raise ConfigError(f"words is {self.words!r}; expected words separated by commas")
