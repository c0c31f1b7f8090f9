"""Training settings of the summary task."""

from dataclasses import dataclass, replace

from dltasks.config import QUANTIZATION_MODES, EpochSchedule, TrainingConfig, setting
from dltasks.errors import ConfigError

STYLES = ("extract", "headline")

EXAMPLES_SEEN = {"extract": 170_000, "headline": 500_000}
"""Total number of examples shown in a run without a set number of epochs, by style."""


@dataclass(frozen=True)
class SummaryConfig(TrainingConfig):
    """Training settings of the summary task."""

    epochs: int | None = setting(
        None,
        "Maximum number of passes over the training data. By default as many as show 170,000 examples to an "
        "extractive network or 500,000 to a headline network, at least 4 and at most 60.",
        minimum=1,
        changeable_on_resume=True,
    )
    style: str = setting(
        "extract",
        "extract selects sentences of the text; headline writes a new line.",
        choices=STYLES,
        group="Network",
    )
    text: str | None = setting(None, "Column of the text (default: guessed from names).", group="Data")
    summary: str | None = setting(None, "Column of the summary (default: guessed from names).", group="Data")
    batch_size: int = setting(64, "Examples per step.", minimum=1)
    # The default depends on the style; `peak_learning_rate` resolves it.
    learning_rate: float | None = setting(  # type: ignore[assignment]
        None, "Peak learning rate of the schedule (default: 0.001, for headlines 0.0015).", above=0
    )
    weight_decay: float = setting(0.02, "Decoupled weight decay.", minimum=0)
    quantize: str = setting(
        "float16",
        "Quantization mode of the bundle's .tflite.",
        choices=QUANTIZATION_MODES,
        changeable_on_resume=True,
    )
    vocabulary_size: int = setting(
        8000, "Maximum number of tokens in the vocabulary.", minimum=300, maximum=64_000, group="Network"
    )
    hidden_size: int | None = setting(
        None,
        "Size of the hidden vectors, a multiple of 64 (default: 128, for headlines 192).",
        minimum=64,
        maximum=1024,
        group="Network",
    )
    encoder_layers: int | None = setting(
        None,
        "Transformer blocks of the encoder (default: 2, for headlines 1).",
        minimum=1,
        maximum=12,
        group="Network",
    )
    convolutions: int = setting(
        2,
        "Convolutions before the encoder blocks of a headline network.",
        minimum=0,
        maximum=12,
        group="Network",
    )
    decoder_layers: int = setting(
        2, "Transformer blocks of the decoder of a headline network.", minimum=1, maximum=12, group="Network"
    )
    max_source_tokens: int = setting(
        192,
        "Maximum number of tokens of the text that a headline network reads.",
        minimum=32,
        maximum=2048,
        group="Network",
    )
    max_headline_tokens: int = setting(
        24, "Maximum number of tokens of a headline.", minimum=6, maximum=256, group="Network"
    )
    dropout: float = setting(0.1, "Dropout rate during training.", minimum=0, maximum=0.9, group="Network")
    validation_split: float = setting(
        0.05, "Validation fraction, where the data has no validation split.", minimum=0.001, maximum=0.45
    )
    test_split: float = setting(
        0.1, "Test fraction, where the data has no test split; 0 for none.", minimum=0, maximum=0.45
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.hidden_size is not None and self.hidden_size % 64:
            raise ConfigError(f"hidden_size is {self.hidden_size}; it must be a multiple of 64")

    def resolve_hidden_size(self) -> int:
        """The size of the hidden vectors, by default that of the style."""
        return self.hidden_size or (192 if self.style == "headline" else 128)

    def resolve_encoder_layers(self) -> int:
        """The number of encoder blocks, by default that of the style."""
        return self.encoder_layers or (1 if self.style == "headline" else 2)

    def peak_learning_rate(self) -> float:
        return self.learning_rate or (0.0015 if self.style == "headline" else 0.001)

    def resolve_epochs(self, count: int) -> "SummaryConfig":
        if self.epochs is not None:
            return self
        return replace(self, epochs=EpochSchedule(EXAMPLES_SEEN[self.style], 4, 60).epochs_for(count))
