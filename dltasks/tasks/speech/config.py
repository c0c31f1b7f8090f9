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
    learning_rate: float = setting(0.005, "Highest learning rate of the schedule.", above=0)
    weight_decay: float = setting(0.02, "Weight decay, decoupled from the gradient.", minimum=0)
    patience: int = setting(
        40,
        "Stop after this many epochs without a better validation score.",
        minimum=1,
        changeable_on_resume=True,
    )
    seconds: float = setting(
        1.0, "Length of what the network hears at once, in seconds.", minimum=0.5, maximum=4
    )
    words: str | None = setting(
        None, "Commands, separated by commas; other words are unknown. All words if not given."
    )
    false_alarms_per_hour: float = setting(
        5.0,
        "Budget that the thresholds for listening are chosen for, while a word that is no command is said every "
        "ten seconds; the lower, the more commands are missed.",
        minimum=0,
        changeable_on_resume=True,
    )
    listening_minutes: float = setting(
        240.0,
        "Length of the recording, mixed from validation clips, that they are chosen on; less where a clip would be heard "
        "more than twenty times.",
        minimum=1,
        changeable_on_resume=True,
    )
    speed: float = setting(0.15, "Most that a clip is played faster or slower.", minimum=0, maximum=0.5)
    shift: float = setting(
        0.1, "Most that a clip is moved, as a share of its length.", minimum=0, maximum=0.5
    )
    gain: float = setting(8.0, "Most that a clip is made louder or softer, in decibels.", minimum=0)
    noise: float = setting(0.6, "Share of the clips that get noise over them.", minimum=0, maximum=1)
    signal_to_noise: float = setting(
        0.0, "Fewest decibels by which noise lies below a clip.", minimum=-20, maximum=30
    )
    silence_probability: float = setting(
        0.02, "Share of the clips that become silence with white noise.", minimum=0, maximum=0.5
    )
    masked_seconds: float = setting(
        0.12, "Longest of the two stretches of time that SpecAugment masks.", minimum=0, maximum=0.5
    )
    masked_bands: int = setting(
        5,
        "Most mel bands, of 40, in the two stretches of frequency that SpecAugment masks.",
        minimum=0,
        maximum=20,
    )
    vtlp: float = setting(
        0.06, "Most that frequencies are stretched or shrunk, as a share.", minimum=0, maximum=0.5
    )
    equalizer_db: float = setting(
        4.0, "Most that a stretch of frequencies is made louder or softer, in decibels.", minimum=0
    )
    mixup_alpha: float = setting(
        0.2, "Alpha of mixup: how strongly clips are mixed; 0 for not at all.", minimum=0
    )
    label_smoothing: float = setting(
        0.05, "Share of a target spread over all classes.", minimum=0, maximum=0.9
    )
    validation_split: float = setting(
        0.1, "Share to choose by, where the data has no such part.", minimum=0.01, maximum=0.45
    )
    test_split: float = setting(
        0.1, "Share to judge by, where the data has no such part; 0 for none.", minimum=0, maximum=0.45
    )

    def __post_init__(self):
        super().__post_init__()
        if self.words is not None and not all(each.strip() for each in self.words.split(",")):
            raise ConfigError(f"words is {self.words!r}; it must be words, separated by commas")
