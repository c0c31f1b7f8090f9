"""Training settings of image classification."""

from dataclasses import dataclass

from dltasks.config import EpochSchedule, TrainingConfig, setting
from dltasks.errors import ConfigError

PRETRAINED_LEARNING_RATE, RANDOM_LEARNING_RATE = 2e-4, 0.05
"""Default peak learning rates of a pretrained backbone (AdamW) and of random weights (momentum)."""

PRETRAINED_SCHEDULE = EpochSchedule(examples_seen=8_800, min_epochs=4, max_epochs=15)
"""Default number of epochs of a pretrained backbone, which is close to its goal from the start."""

PRETRAINED_SIZE, RANDOM_SIZE = 224, 96
"""Default side lengths of the input of a pretrained backbone and of random weights, in pixels."""

MAX_HELD_OUT_FRACTION = 0.9
"""Maximum fraction of the data for validation and test together."""


@dataclass(frozen=True)
class ImageConfig(TrainingConfig):
    """Training settings of image classification."""

    # None stands for a default that depends on the backbone.
    epochs: int | None = setting(
        None,
        f"Maximum number of epochs; by default as many as process {PRETRAINED_SCHEDULE.examples_seen:,} "
        f"examples, at least {PRETRAINED_SCHEDULE.min_epochs} (random weights: "
        f"{TrainingConfig.length.examples_seen:,} and {TrainingConfig.length.min_epochs}).",
        minimum=1,
        changeable_on_resume=True,
    )
    learning_rate: float | None = setting(  # type: ignore[assignment]
        None,
        f"Peak learning rate (default: {PRETRAINED_LEARNING_RATE} for a pretrained backbone, "
        f"{RANDOM_LEARNING_RATE} for random weights).",
        above=0,
    )
    size: int | None = setting(
        None,
        "Side length of the network's square input, in pixels (default: that of the bundle that --backbone "
        f"names, {PRETRAINED_SIZE} for another pretrained backbone, {RANDOM_SIZE} for random weights).",
        minimum=16,
        group="Network",
    )
    backbone: str = setting(
        "objects",
        "Initial weights: a bundled model, none (random weights), a bundle, a .keras file, or, downloaded, "
        "a network of keras.applications or kerashub:PRESET (an image preset of KerasHub, or the folder of "
        "one). Good choices, with parameters and ImageNet accuracy: objects (EfficientNet-Lite0, 4.7M, "
        "75.1%), kerashub:mobilenet_v3_large_100_imagenet (5.5M, 75.8%), EfficientNetV2B0 (7.2M, 78.7%), "
        "kerashub:efficientnet_b3_ra2_imagenet (12.2M, 82.2%), EfficientNetV2S (21.6M, 83.9%).",
        group="Network",
    )
    fine_tune: str = setting(
        "top",
        "Layers of a pretrained backbone that are trained: the top, which takes a third of the time, or "
        "all. Backbones other than EfficientNet-Lite are always trained as a whole.",
        choices=("top", "all"),
        group="Network",
    )
    initial_crop_size: int | None = setting(
        None,
        "Side length of the first training crops (default: 6/7 of --size, or 4/7 for random weights).",
        minimum=16,
        group="Augmentation",
    )
    final_crop_size: int | None = setting(
        None,
        "Side length of the last training crops (default: 6/7 of --size).",
        minimum=16,
        group="Augmentation",
    )
    min_crop_area: float = setting(
        0.35,
        "Minimum fraction of a photo's area in a training crop.",
        minimum=0.05,
        maximum=1,
        group="Augmentation",
    )
    color_jitter: float = setting(
        0.2,
        "Maximum change of brightness, contrast and saturation.",
        minimum=0,
        maximum=1,
        group="Augmentation",
    )
    mixup_alpha: float = setting(
        0.2,
        "Alpha of MixUp and CutMix: higher mixes photos more strongly, 0 turns both off.",
        minimum=0,
        group="Augmentation",
    )
    label_smoothing: float = setting(
        0.1, "Fraction of each target spread over all classes.", minimum=0, maximum=0.9, group="Augmentation"
    )
    validation_split: float = setting(
        0.1, "Fraction for validation, where the data declares no such split.", minimum=0.01
    )
    test_split: float = setting(
        0.1, "Fraction for testing, where the data declares no such split; 0 for none.", minimum=0
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.validation_split + self.test_split > MAX_HELD_OUT_FRACTION:
            raise ConfigError(
                f"--validation-split {self.validation_split} and --test-split {self.test_split} leave too "
                f"little to train on; expected at most {MAX_HELD_OUT_FRACTION} together"
            )

    def peak_learning_rate(self) -> float:
        if self.learning_rate is not None:
            return self.learning_rate
        return PRETRAINED_LEARNING_RATE if self.is_pretrained() else RANDOM_LEARNING_RATE

    def epoch_schedule(self) -> EpochSchedule:
        return PRETRAINED_SCHEDULE if self.is_pretrained() else self.length

    def input_size(self) -> int:
        """The side length of the network's input. Raises ModelError for a damaged bundle."""
        from dltasks.bundle.storage import find_bundle, read_manifest

        if self.size is not None:
            return self.size
        if not self.is_pretrained():
            return RANDOM_SIZE
        folder = find_bundle(self.backbone)
        size = read_manifest(folder)["fields"].get("size") if folder else None
        return size if isinstance(size, int) else PRETRAINED_SIZE

    def is_pretrained(self) -> bool:
        """Whether training starts from the weights of another network."""
        return self.backbone != "none"
