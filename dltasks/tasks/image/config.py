"""Settings of a training run on photos."""

from dataclasses import dataclass

from dltasks.config import TrainingConfig, setting
from dltasks.errors import ConfigError

PRETRAINED_RATE, RANDOM_RATE = 0.02, 0.05


@dataclass(frozen=True)
class ImageConfig(TrainingConfig):
    """All settings of a training run on photos."""

    learning_rate: float | None = setting(
        None,
        f"Highest learning rate of the schedule; if not given {PRETRAINED_RATE} from a trained backbone, which it "
        f"must not wash out, and {RANDOM_RATE} from random weights.",
        above=0,
    )
    size: int = setting(96, "Side of the network's square input, in pixels.", minimum=16)
    backbone: str = setting(
        "objects",
        "Where the network begins: a bundled model, none (random weights), the name of a network of "
        "keras.applications (its ImageNet weights are downloaded), a bundle, or a .keras file.",
    )
    head_epochs: int = setting(
        20, "Epochs of the last layer alone, before all layers are trained.", minimum=0
    )
    initial_crop_size: int | None = setting(
        None, "Side of the training crops at the start; 4/7 of --size if not given.", minimum=16
    )
    final_crop_size: int | None = setting(
        None, "Side of the training crops at the end; 6/7 of --size if not given.", minimum=16
    )
    min_crop_area: float = setting(
        0.35, "Smallest share of a photo's area that a training crop keeps.", minimum=0.05, maximum=1
    )
    color_jitter: float = setting(
        0.2, "Most that brightness, contrast and saturation change.", minimum=0, maximum=1
    )
    mixup_alpha: float = setting(
        0.2, "Alpha of mixup and CutMix: how strongly photos are mixed; 0 for not at all.", minimum=0
    )
    label_smoothing: float = setting(
        0.1, "Share of a target spread over all classes.", minimum=0, maximum=0.9
    )
    validation_split: float = setting(
        0.1, "Share to choose by, where the data has no such part.", minimum=0.01
    )
    test_split: float = setting(
        0.1, "Share to judge by, where the data has no such part; 0 for none.", minimum=0
    )

    def __post_init__(self):
        super().__post_init__()
        if self.validation_split + self.test_split > 0.9:
            raise ConfigError(
                f"val {self.validation_split} and test {self.test_split} leave too little to train on; at most 0.9 together"
            )

    def peak_learning_rate(self) -> float:
        if self.learning_rate is not None:
            return self.learning_rate
        return RANDOM_RATE if self.backbone == "none" else PRETRAINED_RATE
