"""Settings of a training run on texts and their summaries."""

from dataclasses import dataclass, replace

from dltasks.config import QUANTIZATION_MODES, EpochSchedule, TrainingConfig, setting
from dltasks.errors import ConfigError

STYLES = ("extract", "headline")

EXAMPLES_SEEN = {"extract": 170_000, "headline": 500_000}
"""Examples that are shown in a run that does not say how long it is, in all."""


@dataclass(frozen=True)
class SummaryConfig(TrainingConfig):
    """All settings of a training run on texts and their summaries."""

    epochs: int | None = setting(
        None,
        "At most this many passes over the training data; if not given as many as show 170,000 examples to an extractive "
        "network, 500,000 to one that writes headlines, but 4 at least and 60 at most.",
        minimum=1,
        changeable_on_resume=True,
    )
    style: str = setting(
        "extract", "extract chooses sentences of the text; headline writes a new line.", choices=STYLES
    )
    text: str | None = setting(None, "Column of the text; guessed from names if not given.")
    summary: str | None = setting(None, "Column of the summary; guessed from names if not given.")
    batch_size: int = setting(64, "Examples per step.", minimum=1)
    learning_rate: float | None = setting(
        None, "Highest learning rate of the schedule; 0.001 if not given, 0.0015 for headlines.", above=0
    )
    weight_decay: float = setting(0.02, "Weight decay, decoupled from the gradient.", minimum=0)
    quantize: str = setting(
        "float16", "Level of the bundle's own .tflite.", choices=QUANTIZATION_MODES, changeable_on_resume=True
    )
    vocabulary_size: int = setting(
        8000, "Word pieces in the vocabulary, at most.", minimum=300, maximum=64_000
    )
    hidden_size: int | None = setting(
        None,
        "Size of the vectors, a multiple of 64; 128 if not given, 192 for headlines.",
        minimum=64,
        maximum=1024,
    )
    encoder_layers: int | None = setting(
        None,
        "Transformer blocks that see the whole text; 2 if not given, 1 for headlines.",
        minimum=1,
        maximum=12,
    )
    convolutions: int = setting(2, "Convolutions before them in a headline network.", minimum=0, maximum=12)
    decoder_layers: int = setting(2, "Transformer blocks that write a headline.", minimum=1, maximum=12)
    max_source_tokens: int = setting(
        192, "Pieces of the text that a headline network reads.", minimum=32, maximum=2048
    )
    max_headline_tokens: int = setting(24, "Pieces of the longest headline.", minimum=6, maximum=256)
    dropout: float = setting(0.1, "Share of the values that are dropped in training.", minimum=0, maximum=0.9)
    validation_split: float = setting(
        0.05, "Share to choose by, where the data has no such part.", minimum=0.001, maximum=0.45
    )
    test_split: float = setting(
        0.1, "Share to judge by, where the data has no such part; 0 for none.", minimum=0, maximum=0.45
    )

    def __post_init__(self):
        super().__post_init__()
        if self.hidden_size is not None and self.hidden_size % 64:
            raise ConfigError(f"units is {self.hidden_size}; it must be a multiple of 64")

    def width(self) -> int:
        """Units, where none are said as many as the style wants."""
        return self.hidden_size or (192 if self.style == "headline" else 128)

    def depth(self) -> int:
        """Blocks, likewise."""
        return self.encoder_layers or (1 if self.style == "headline" else 2)

    def peak_learning_rate(self) -> float:
        return self.learning_rate or (0.0015 if self.style == "headline" else 0.001)

    def resolve_epochs(self, count: int) -> "SummaryConfig":
        if self.epochs is not None:
            return self
        return replace(self, epochs=EpochSchedule(EXAMPLES_SEEN[self.style], 4, 60).epochs_for(count))
