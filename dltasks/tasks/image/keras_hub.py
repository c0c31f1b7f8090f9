"""Backbones of KerasHub: presets with their preprocessing, made of core Keras layers where possible."""

import difflib
import sys
import warnings
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import keras
from keras import layers

from dltasks.errors import ConfigError, DltasksError, ModelError, TrainingError, first_line
from dltasks.frameworks import import_keras_hub

PREFIX = "kerashub:"
"""Start of the name of a backbone of KerasHub."""

CLASS_TOKEN_BACKBONES = ("DINOV2Backbone", "DINOV3Backbone", "DeiTBackbone", "ViTBackbone")
"""KerasHub's classes whose first output token stands for the whole photo."""

UNSUPPORTED_BACKBONES = {"SwinTransformerBackbone": "Roll"}
"""KerasHub's classes that need an operation that LiteRT does not have built in."""


def check_preset(name: str) -> None:
    """Raises MissingExtraError, or ConfigError for a preset that does not exist, without loading it."""
    preset, models = name.removeprefix(PREFIX), import_keras_hub().models
    if "://" in preset or (Path(preset) / "config.json").is_file():
        return
    if Path(preset).is_dir():
        raise ConfigError(f"--backbone {name}: not a preset of KerasHub, which has a config.json")
    if Path(preset).name != preset:
        raise ConfigError(f"--backbone {name}: no such folder")
    for backbone in UNSUPPORTED_BACKBONES:
        if preset in getattr(models, backbone).presets:
            raise ConfigError(f"--backbone {name}: {_unsupported(backbone)}")
    classes = (models.ImageClassifier, models.DINOV2Backbone, models.DINOV3Backbone)
    names = sorted({preset for backbone in classes for preset in backbone.presets})
    if preset not in names:
        matches = difflib.get_close_matches(preset, names, 1, 0.4)
        hint = f"; did you mean {PREFIX}{matches[0]}?" if matches else ""
        raise ConfigError(f"--backbone {name}: expected an image preset of KerasHub, or a folder{hint}")


def describe_preset(name: str) -> dict[str, str]:
    """Name, license and source of the preset's weights."""
    preset = name.removeprefix(PREFIX)
    if Path(preset).is_dir():
        return {"name": Path(preset).name, "license": "that of its owner", "source": "a preset of KerasHub"}
    handle = import_keras_hub().models.Backbone.presets.get(preset, {}).get("kaggle_handle", preset)
    return {"name": f"{preset} of KerasHub", "license": "see the source", "source": handle}


def load_preset(name: str, size: int) -> keras.Model:
    """The backbone of a preset, which is downloaded unless it is a folder or cached.

    size: side length of the photos, for networks that are built for one size. Raises ConfigError,
    MissingExtraError, ModelError, TrainingError.
    """
    check_preset(name)
    preset = name.removeprefix(PREFIX)
    try:
        # The progress of a download goes to standard output, which is for results.
        with redirect_stdout(sys.stderr), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            converter = import_keras_hub().layers.ImageConverter.from_preset(preset)
            return _load_backbone(preset, converter, size)
    except Exception as error:  # KerasHub and the hubs raise many kinds of errors
        raise _loading_error(name, error) from error


def _load_backbone(preset: str, converter: Any, size: int) -> keras.Model:
    """A backbone for any size; if its class does not allow that, for this one, or else for the preset's."""
    for side in (None, size):
        with suppress(Exception):  # the last attempt reports it
            return _load_network(preset, converter, image_shape=(side, side, 3))
    return _load_network(preset, converter)


def _load_network(preset: str, converter: Any, **options: Any) -> keras.Model:
    network = import_keras_hub().models.Backbone.from_preset(preset, dtype="float32", **options)
    return build_backbone(network, converter)


def _loading_error(name: str, error: Exception) -> DltasksError:
    from requests.exceptions import ConnectionError

    reason = first_line(error)
    if isinstance(error, ConnectionError) and error.request is not None:
        reason = f"no connection to {urlsplit(str(error.request.url)).hostname}"
    if isinstance(error, DltasksError) or Path(name.removeprefix(PREFIX)).exists():
        return ModelError(f"--backbone {name}: not usable as a backbone ({reason})")
    return TrainingError(
        f"--backbone {name} could not be downloaded ({reason}); offline, use --backbone objects, "
        f"--backbone none, or the folder of a preset, {PREFIX}./folder"
    )


def _unsupported(backbone: str) -> str:
    return f"{backbone} needs {UNSUPPORTED_BACKBONES[backbone]}, which LiteRT does not have built in"


def build_backbone(network: keras.Model, converter: Any) -> keras.Model:
    """uint8 "pixels" (batch, height, width, 3) of any size to features (batch, channels).

    network: a backbone of KerasHub; if it is for photos of one size, they are scaled to it. converter: its
    ImageConverter. Raises ModelError.
    """
    if type(network).__name__ in UNSUPPORTED_BACKBONES:
        raise ModelError(_unsupported(type(network).__name__))
    if converter is None or [tensor.shape[-1] for tensor in network.inputs] != [3]:
        raise ModelError(f"{type(network).__name__} does not take photos alone")
    height, width = network.inputs[0].shape[1:3]
    pixels = keras.Input((None, None, 3), dtype="uint8", name="pixels")
    scale, offset = converter.scale or 1.0, converter.offset or 0.0
    x = layers.Rescaling(scale, offset, dtype="float32", name="preprocessing")(pixels)
    if height is not None:
        x = layers.Resizing(height, width, name="resizing")(x)
    core = expand_layers(network)
    outputs = core(keras.tree.map_structure(lambda _: x, network.input))
    backbone = keras.Model(pixels, _pool(outputs, network), name="backbone")
    if core is network:
        _trace(backbone)
    return backbone


def _pool(outputs: Any, network: keras.Model) -> Any:
    """Features (batch, channels) of the network's outputs, pooled as by its classifier in KerasHub."""
    if isinstance(outputs, dict):  # feature maps, the coarsest last
        outputs = list(outputs.values())[-1]
    if len(outputs.shape) == 4:
        return layers.GlobalAveragePooling2D(name="pooling")(outputs)
    if type(network).__name__ in CLASS_TOKEN_BACKBONES and getattr(network, "use_class_token", True):
        return outputs[:, 0]
    return layers.GlobalAveragePooling1D(name="pooling")(outputs)


# --- from KerasHub's layers to those of Keras


def expand_layers(network: keras.Model) -> keras.Model:
    """The network made of the core Keras layers that KerasHub's layers consist of; it shares the weights.

    Such a network loads without KerasHub. The network is returned as it is if layers of KerasHub hold weights
    of their own, or compute with the size of a batch.
    """
    if not all(map(_can_expand, network.layers)):
        return network
    names = [(layer, layer.name) for layer in network._flatten_layers()]
    try:
        core = _expand_once(network)
        while not all(map(_is_core, core.layers)):
            core = _expand_once(core)
        _trace(core)
    except (TypeError, ValueError):
        for layer, name in names:
            layer.name = name
        return network
    return core


def _trace(network: keras.Model) -> None:
    """Raises TypeError or ValueError for a network that can't take batches of any size."""
    import tensorflow as tf

    if keras.backend.backend() == "tensorflow":
        specs = keras.tree.map_structure(
            lambda tensor: tf.TensorSpec(tensor.shape, tensor.dtype), network.input
        )
        tf.function(network).get_concrete_function(specs)


def _expand_once(network: keras.Model) -> keras.Model:
    return keras.models.clone_model(network, clone_function=lambda layer: layer, call_function=_call_parts)


def _call_parts(layer: Any, *arguments: Any, **options: Any) -> Any:
    """Call a core layer, or the layers that a layer of KerasHub consists of."""
    if _is_core(layer):
        return layer(*arguments, **options)
    for part in _parts(layer):
        part.name = f"{layer.name}_{part.name}"
    # Layers without the option `training` are given it, too, as None.
    return layer.call(*arguments, **{name: value for name, value in options.items() if value is not None})


def _can_expand(layer: Any) -> bool:
    """Whether all weights in the layer belong to core Keras layers."""
    if _is_core(layer):
        return True
    parts = _parts(layer)
    weights = {id(variable) for part in parts for variable in part.variables}
    return weights == {id(variable) for variable in layer.variables} and all(map(_can_expand, parts))


def _is_core(layer: Any) -> bool:
    # Keras can't save an Identity with a dtype policy, as in HGNetV2; expanding removes it.
    return type(layer).__module__.startswith("keras.") and not isinstance(layer, layers.Identity)


def _parts(layer: Any) -> list[Any]:
    """The layers directly in a layer."""
    return list(layer._flatten_layers(include_self=False, recursive=False))
