"""The Keras networks for photos: ours, those of keras.applications, and any .keras file as a backbone."""

import difflib
import sys
import warnings
from contextlib import redirect_stdout
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops

from dltasks.errors import ConfigError, ModelError, TrainingError
from dltasks.tasks.classification import compile_classifier

WIDTHS = (32, 64, 128, 256)
BLOCKS = 2


def build(classes: int, size: int, backbone: keras.Model, name: str = "image") -> keras.Model:
    """uint8 "pixels" (batch, size, size, 3) to float32 "probabilities" (batch, classes)."""
    pixels = keras.Input((size, size, 3), dtype="uint8", name="pixels")
    logits = _logits(classes)(layers.Dropout(0.1, name="dropout")(backbone(pixels)))
    probabilities = layers.Softmax(name="probabilities", dtype="float32")(logits)
    return keras.Model({"pixels": pixels}, {"probabilities": probabilities}, name=name)


def _logits(classes: int) -> layers.Dense:
    small = keras.initializers.RandomNormal(stddev=0.01)
    return layers.Dense(classes, kernel_initializer=small, name="logits")


def training_model(network: keras.Model, config, targets: np.ndarray, frozen: bool = False) -> keras.Model:
    """The network up to its logits, sharing its weights, compiled; takes crops of any size.

    targets: float32 (count, classes), for the frequencies that `balance` weighs by.
    frozen: take features (batch, channels) instead of pixels.
    """
    backbone, logits = network.get_layer("backbone"), network.get_layer("logits")
    if frozen:
        name, inputs = "features", keras.Input(backbone.output.shape[1:], name="features")
        features = inputs
    else:
        name, inputs = "pixels", keras.Input((None, None, 3), dtype="uint8", name="pixels")
        features = backbone(inputs)
    outputs = {"probabilities": logits(network.get_layer("dropout")(features))}
    model = keras.Model({name: inputs}, outputs)
    optimizer = keras.optimizers.SGD(
        config.peak_learning_rate(), momentum=0.9, nesterov=True, weight_decay=config.weight_decay
    )
    compile_classifier(model, optimizer, config, targets)
    return model


# Backbones: uint8 pixels (batch, height, width, 3) in, features (batch, channels) out.


def resnet() -> keras.Model:
    """A residual network (He et al., 2015) of 2.8 M parameters that starts at half the resolution."""
    pixels = keras.Input((None, None, 3), dtype="uint8", name="pixels")
    x = layers.Rescaling(1 / 64, offset=-2, name="scaling")(pixels)
    x = _normalised(layers.Conv2D(WIDTHS[0], 3, 2, padding="same", use_bias=False)(x), "relu")
    for stage, width in enumerate(WIDTHS):
        for block in range(BLOCKS):
            x = _block(x, width, stride=2 if stage and not block else 1)
    return keras.Model(pixels, layers.GlobalAveragePooling2D()(x), name="backbone")


def _block(x, width: int, stride: int):
    """Two convolutions beside a shortcut that averages where it shrinks (He et al., 2018, ResNet-D)."""
    shortcut = x
    if stride > 1 or x.shape[-1] != width:
        if stride > 1:
            shortcut = layers.AveragePooling2D(stride, padding="same")(shortcut)
        shortcut = _normalised(layers.Conv2D(width, 1, use_bias=False)(shortcut))
    x = _normalised(layers.Conv2D(width, 3, stride, padding="same", use_bias=False)(x), "relu")
    x = _normalised(layers.Conv2D(width, 3, padding="same", use_bias=False)(x), gamma="zeros")
    return layers.ReLU()(layers.Add()([x, shortcut]))


def _normalised(x, activation: str | None = None, gamma: str = "ones"):
    x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, gamma_initializer=gamma)(x)
    return layers.Activation(activation)(x) if activation else x


def application(name: str) -> keras.Model:
    """A network of keras.applications with its ImageNet weights, its preprocessing inside."""
    module, function = _application(name)
    try:
        # Keras shows a download on standard output, which is for answers.
        with redirect_stdout(sys.stderr), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            network = function(include_top=False, weights="imagenet", pooling="avg")
    except Exception as error:  # Keras wraps whatever the download met in a plain Exception
        reason = str(error).splitlines()[0]
        raise TrainingError(
            f"--backbone {name} could not be downloaded ({reason}); offline, take --backbone objects, "
            "--backbone none, or the path of a .keras file"
        ) from error
    return _with_preprocessing(network, module.preprocess_input)


def applications() -> list[str]:
    """Names of the networks of keras.applications."""
    return [each for each in dir(keras.applications) if each[0].isupper()]


def _application(name: str):
    """The module that a network stands in, and the function that builds it. Raises SettingError."""
    known = applications()
    if name not in known:
        near = difflib.get_close_matches(name, [*known, "objects", "none"], 1, 0.4)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ConfigError(
            f"--backbone {name}: not a bundled model, a path, or a network of keras.applications{hint}"
        )
    function = getattr(keras.applications, name)
    return getattr(keras.applications, function.__module__.rpartition(".")[2]), function


def _floats(pixels):
    """The levels as float32, which layers do not make of uint8 by themselves."""
    return layers.Rescaling(1.0, dtype="float32")(pixels)


def _with_preprocessing(network: keras.Model, preprocess) -> keras.Model:
    """Every preprocess_input is affine over the channels, so its probes give it as a 1 x 1 convolution."""
    probes = np.concatenate([np.zeros((1, 3)), 255 * np.eye(3)]).reshape(4, 1, 1, 3)
    seen = np.asarray(preprocess(probes.astype("float32").copy())).reshape(4, 3)
    offset, kernel = seen[0], (seen[1:] - seen[0]) / 255
    channels = layers.Conv2D(3, 1, name="preprocessing", trainable=False)
    pixels = keras.Input((None, None, 3), dtype="uint8", name="pixels")
    features = network(channels(_floats(pixels)))
    channels.set_weights([kernel.reshape(1, 1, 3, 3), offset])
    return keras.Model(pixels, features, name="backbone")


def from_file(path: Path) -> keras.Model:
    """The backbone of a .keras file: its layer "backbone", or all that comes before its last Dense layer."""
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises whatever a damaged zip leads to
        raise ModelError(f"{path}: not a Keras model that loads safely ({_first_line(error)})") from error
    names = [each.name for each in model.layers]
    if "backbone" in names:
        return _float32(model.get_layer("backbone"))
    dense = [each for each in model.layers if isinstance(each, layers.Dense)]
    features = dense[-1].input if dense else model.output
    if len(features.shape) != 2:
        features = layers.GlobalAveragePooling2D()(features)
    pixels = keras.Input((None, None, 3), dtype="uint8", name="pixels")
    try:
        network = _of_any_size(model, features)
        return keras.Model(pixels, network(_floats(pixels)), name="backbone")
    except ValueError as error:
        raise ModelError(
            f"{path}: can't be a backbone, which takes photos of any size (batch, height, width, 3); pool before "
            "its first Dense layer, with GlobalAveragePooling2D, say"
        ) from error


def _of_any_size(model: keras.Model, features) -> keras.Model:
    """The layers and weights up to `features`, on photos of any height and width.

    Raises ValueError where that can't be.
    """
    if len(model.inputs) != 1 or len(model.inputs[0].shape) != 4 or model.inputs[0].shape[-1] != 3:
        raise ValueError("not one input of photos")
    network = keras.Model(model.inputs[0], features, name="features")
    copy = keras.models.clone_model(network, input_tensors=keras.Input((None, None, 3)))
    copy.set_weights(network.get_weights())
    return copy


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _float32(backbone: keras.Model) -> keras.Model:
    """A copy with all weights trainable as float32."""
    copy = keras.models.clone_model(backbone)
    copy.set_weights(backbone.get_weights())
    copy.name = "backbone"
    return copy


def check_backbone(name: str) -> None:
    """Raises SettingError for a backbone that can't be found, without building it."""
    from dltasks.bundle.storage import find_bundle

    if name == "none" or find_bundle(name) is not None:
        return
    if Path(name).suffix != ".keras":
        _application(name)
    elif not Path(name).is_file():
        raise ConfigError(f"--backbone {name}: no such file")


def find_backbone(name: str, load_pretrained) -> keras.Model:
    """The backbone a plan asks for: "none", a bundled model, a bundle or .keras file, an application."""
    if name == "none":
        return resnet()
    if Path(name).suffix == ".keras":
        return from_file(Path(name))
    if (network := load_pretrained(name)) is not None:
        return _float32(network.get_layer("backbone"))
    return application(name)


# Augmentation: layers that take and give a batch of pixels as float32 from 0 to 255.


@keras.saving.register_keras_serializable("dltasks")
class RandomCrop(layers.Layer):
    """A crop of random place, area and shape, half of them mirrored, scaled to `size` with antialiasing.

    "Inception crop" (Szegedy et al., 2014): area from `area` to 1, sides from 3:4 to 4:3. Scaling is two
    matrix products, so it runs alike on every backend and costs little.
    """

    def __init__(self, size: int, area: float, seed: int, **options):
        super().__init__(**options)
        self.size, self.area = size, area
        self.random = keras.random.SeedGenerator(seed)

    def call(self, images):
        batch, height, width = ops.shape(images)[0], images.shape[1], images.shape[2]
        area, shape, x, y, flip = ops.unstack(keras.random.uniform((5, batch), seed=self.random), axis=0)
        area = self.area + (1 - self.area) * area
        ratio = ops.exp((2 * shape - 1) * float(np.log(4 / 3)) / 2)
        # Within these bounds both sides fit into the photo at the drawn area.
        ratio = ops.clip(ratio, ops.sqrt(area), 1 / ops.sqrt(area))
        tall, wide = ops.sqrt(area) / ratio, ops.sqrt(area) * ratio
        rows = self._sampling(height, y * (1 - tall), tall, flip * 0)
        columns = self._sampling(width, x * (1 - wide), wide, flip)
        images = ops.cast(images, "float32")
        strips = ops.matmul(rows, ops.reshape(images, (-1, height, width * 3)))
        strips = ops.reshape(strips, (-1, self.size, width, 3))
        strips = ops.reshape(ops.transpose(strips, (0, 2, 1, 3)), (-1, width, self.size * 3))
        crops = ops.reshape(ops.matmul(columns, strips), (-1, self.size, self.size, 3))
        return ops.transpose(crops, (0, 2, 1, 3))

    def _sampling(self, length: int, start, extent, flip):
        """Triangle filter weights (batch, size, length); rows sum to 1."""
        steps = (np.arange(self.size, dtype="float32") + 0.5) / self.size
        steps = ops.where(flip[:, None] > 0.5, 1 - steps[None], steps[None])
        places = (start[:, None] + extent[:, None] * steps) * length
        support = ops.maximum(extent * length / self.size, 1.0)[:, None, None]
        pixels = np.arange(length, dtype="float32") + 0.5
        weights = ops.relu(1 - ops.abs(places[:, :, None] - pixels) / support)
        return weights / ops.sum(weights, axis=-1, keepdims=True)

    def compute_output_shape(self, shape):
        return (shape[0], self.size, self.size, 3)


@keras.saving.register_keras_serializable("dltasks")
class RandomColour(layers.Layer):
    """Brightness, contrast and saturation changed by up to `strength`, each photo on its own."""

    def __init__(self, strength: float, seed: int, **options):
        super().__init__(**options)
        self.strength = strength
        self.random = keras.random.SeedGenerator(seed)

    def call(self, images):
        batch = ops.shape(images)[0]
        factors = keras.random.uniform((3, batch, 1, 1, 1), -1.0, 1.0, seed=self.random)
        brightness, contrast, saturation = ops.unstack(1 + self.strength * factors, axis=0)
        images = images * brightness
        middle = ops.mean(images, axis=(1, 2, 3), keepdims=True)
        images = middle + (images - middle) * contrast
        grey = ops.mean(images, axis=3, keepdims=True)
        return grey + (images - grey) * saturation


@keras.saving.register_keras_serializable("dltasks")
class Mixing(layers.Layer):
    """Photos and their targets mixed with those of another photo of the batch.

    Half the batches as a weighted mean (mixup, Zhang et al., 2017), half with a rectangle put in (CutMix,
    Yun et al., 2019); shares drawn from Beta(alpha, alpha), one a photo.
    """

    def __init__(self, alpha: float, seed: int, **options):
        super().__init__(**options)
        self.alpha = alpha
        self.random = keras.random.SeedGenerator(seed)

    def call(self, images, targets):
        batch, height, width = ops.shape(images)[0], images.shape[1], images.shape[2]
        share = keras.random.beta((batch,), self.alpha, self.alpha, seed=self.random)
        share = ops.reshape(ops.maximum(share, 1 - share), (-1, 1, 1))
        x, y, cut = ops.unstack(keras.random.uniform((3, batch, 1, 1), seed=self.random), axis=0)
        side = ops.sqrt(1 - share)
        rows = (np.arange(height, dtype="float32").reshape(1, -1, 1) + 0.5) / height
        columns = (np.arange(width, dtype="float32").reshape(1, 1, -1) + 0.5) / width
        inside = ops.logical_and(ops.abs(rows - y) < side / 2, ops.abs(columns - x) < side / 2)
        kept = ops.where(cut[0] > 0.5, 1.0 - ops.cast(inside, "float32"), share)
        images = kept[..., None] * images + (1 - kept[..., None]) * ops.flip(images, axis=0)
        part = ops.mean(kept, axis=(1, 2))[:, None]
        return images, part * targets + (1 - part) * ops.flip(targets, axis=0)


def augmentation(size: int, classes: int, config, to: int) -> keras.Model:
    """Photos (batch, size, size, 3) and targets to uint8 crops of side `to` and targets, for training only."""
    pixels = keras.Input((size, size, 3), dtype="uint8", name="pixels")
    targets = keras.Input((classes,), name="probabilities")
    crops = RandomCrop(to, config.min_crop_area, config.seed)(pixels)
    mixed = targets
    if config.color_jitter:
        crops = RandomColour(config.color_jitter, config.seed + 1)(crops)
    if config.mixup_alpha:
        crops, mixed = Mixing(config.mixup_alpha, config.seed + 2)(crops, targets)
    crops = Rounded(dtype="uint8")(crops)
    return keras.Model(
        {"pixels": pixels, "probabilities": targets}, {"pixels": crops, "probabilities": mixed}
    )


@keras.saving.register_keras_serializable("dltasks")
class Rounded(layers.Layer):
    """Levels from 0 to 255 as uint8."""

    def __init__(self, **options):
        super().__init__(autocast=False, **options)

    def call(self, images):
        return ops.cast(ops.clip(ops.round(images), 0, 255), "uint8")

    def compute_output_spec(self, images):
        return keras.KerasTensor(images.shape, "uint8")
