"""Backbones to start from: those of bundles, the networks of keras.applications, and any .keras file."""

import difflib
import sys
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from dltasks.errors import ConfigError, ModelError, TrainingError, first_line
from dltasks.task import LoadPretrained
from dltasks.tasks.image import keras_hub
from dltasks.tasks.image.network import build_resnet


def find_backbone(name: str, load_pretrained: LoadPretrained, size: int) -> keras.Model:
    """The backbone of this name: "none", a model, a bundle, a .keras file, a preset, or an application.

    size: side length of the photos, for presets that are built for one size. Raises ConfigError,
    MissingExtraError, ModelError, TrainingError.
    """
    if name == "none":
        return build_resnet()
    if name.startswith(keras_hub.PREFIX):
        return keras_hub.load_preset(name, size)
    if Path(name).suffix == ".keras":
        return load_backbone(Path(name))
    if (network := load_pretrained(name)) is not None:
        return _copy_as_float32(network.get_layer("backbone"))
    return download_application(name)


def check_backbone(name: str) -> None:
    """Raises ConfigError or MissingExtraError for a backbone that does not exist, without building it."""
    from dltasks.bundle.storage import find_bundle

    if name.startswith(keras_hub.PREFIX):
        return keras_hub.check_preset(name)
    if name == "none" or find_bundle(name) is not None:
        return
    if Path(name).suffix != ".keras":
        find_application(name)
    elif not Path(name).is_file():
        raise ConfigError(f"--backbone {name}: no such file")


def describe_origin(name: str) -> dict[str, str] | None:
    """Name, license and source of the weights of this backbone; None for random ones and for our own."""
    from dltasks.bundle.storage import find_bundle, read_manifest

    if name == "none":
        return None
    if name.startswith(keras_hub.PREFIX):
        return keras_hub.describe_preset(name)
    if folder := find_bundle(name):
        manifest = read_manifest(folder)
        origin = manifest.get("origin") or manifest.get("start")
        return origin and {key: origin[key] for key in ("name", "license", "source")}
    if Path(name).suffix == ".keras":
        return {"name": Path(name).name, "license": "that of its owner", "source": "a .keras file"}
    return {
        "name": f"{name}, trained on ImageNet-1k",
        "license": "see keras.io/api/applications",
        "source": "keras.applications",
    }


def application_names() -> list[str]:
    """Names of the networks of keras.applications."""
    return [name for name in dir(keras.applications) if name[0].isupper()]


def find_application(name: str) -> tuple[Any, Callable[..., keras.Model]]:
    """The module and the constructor of a network of keras.applications. Raises ConfigError."""
    names = application_names()
    if name not in names:
        matches = difflib.get_close_matches(name, [*names, "objects", "none"], 1, 0.4)
        hint = f"; did you mean {matches[0]}?" if matches else ""
        raise ConfigError(
            f"--backbone {name}: expected a bundled model, a path, or a network of keras.applications{hint}"
        )
    constructor = getattr(keras.applications, name)
    return getattr(keras.applications, constructor.__module__.rpartition(".")[2]), constructor


def download_application(name: str) -> keras.Model:
    """A network of keras.applications with its ImageNet weights and preprocessing.

    Raises ConfigError, TrainingError.
    """
    module, constructor = find_application(name)
    try:
        # Keras prints the progress of a download to standard output, which is for results.
        with redirect_stdout(sys.stderr), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            network = constructor(include_top=False, weights="imagenet", pooling="avg")
    except Exception as error:  # Keras raises plain Exceptions for failed downloads
        raise TrainingError(
            f"--backbone {name} could not be downloaded ({first_line(error)}); offline, "
            "use --backbone objects, --backbone none, or the path of a .keras file"
        ) from error
    return include_preprocessing(network, module.preprocess_input)


def include_preprocessing(network: keras.Model, preprocess: Callable[[np.ndarray], Any]) -> keras.Model:
    """The network with its preprocessing as a 1 x 1 convolution.

    Every preprocess_input of keras.applications is affine over the channels: its values for black, red, green
    and blue determine it.
    """
    probes = np.concatenate([np.zeros((1, 3)), 255 * np.eye(3)]).reshape(4, 1, 1, 3)
    values = np.asarray(preprocess(probes.astype("float32").copy())).reshape(4, 3)
    offset, kernel = values[0], (values[1:] - values[0]) / 255
    channels = layers.Conv2D(3, 1, name="preprocessing", trainable=False)
    pixels = keras.Input((None, None, 3), dtype="uint8", name="pixels")
    features = network(channels(_to_float32(pixels)))
    channels.set_weights([kernel.reshape(1, 1, 3, 3), offset])
    return keras.Model(pixels, features, name="backbone")


def load_backbone(path: Path) -> keras.Model:
    """The layer "backbone" of a .keras file, or everything before its last Dense layer. Raises ModelError."""
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises many kinds of errors for a damaged zip
        raise ModelError(f"{path}: not a Keras model that loads safely ({first_line(error)})") from error
    if "backbone" in [layer.name for layer in model.layers]:
        return _copy_as_float32(model.get_layer("backbone"))
    dense = [layer for layer in model.layers if isinstance(layer, layers.Dense)]
    features = dense[-1].input if dense else model.output
    if len(features.shape) != 2:
        features = layers.GlobalAveragePooling2D()(features)
    pixels = keras.Input((None, None, 3), dtype="uint8", name="pixels")
    try:
        network = _accept_any_size(model, features)
        return keras.Model(pixels, network(_to_float32(pixels)), name="backbone")
    except ValueError as error:
        raise ModelError(
            f"{path}: not usable as a backbone, which takes photos of any size (batch, height, width, 3); "
            "pool before its first Dense layer, for example with GlobalAveragePooling2D"
        ) from error


def _accept_any_size(model: keras.Model, features: Any) -> keras.Model:
    """A copy of the model up to `features`, for photos of any height and width.

    Raises ValueError where its layers do not allow that.
    """
    if len(model.inputs) != 1 or len(model.inputs[0].shape) != 4 or model.inputs[0].shape[-1] != 3:
        raise ValueError("expected one input of photos")
    network = keras.Model(model.inputs[0], features, name="features")
    copy = keras.models.clone_model(network, input_tensors=keras.Input((None, None, 3)))
    copy.set_weights(network.get_weights())
    return copy


def _to_float32(pixels: Any) -> Any:
    """The same levels as float32; layers do not convert uint8."""
    return layers.Rescaling(1.0, dtype="float32")(pixels)


def _copy_as_float32(backbone: keras.Model) -> keras.Model:
    """A trainable copy with float32 weights."""
    copy = keras.models.clone_model(backbone)
    copy.set_weights(backbone.get_weights())
    copy.name = "backbone"
    return copy
