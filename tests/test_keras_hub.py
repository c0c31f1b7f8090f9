"""Backbones of KerasHub, from small presets with random weights that the tests save themselves."""

import shutil
import sys
import zipfile

import drawings
import numpy as np
import pytest
from conftest import dltasks

import dltasks as library
from dltasks.errors import MissingExtraError
from dltasks.export.networks import load_network


def save_mobilenet(folder):
    """Save a preset whose layers consist of core Keras layers, for photos of any size; returns its name."""
    from keras_hub import models

    backbone = models.MobileNetBackbone(
        stackwise_expansion=[[8], [16, 16]],
        stackwise_num_blocks=[1, 2],
        stackwise_num_filters=[[8], [16, 16]],
        stackwise_kernel_size=[[3], [5, 5]],
        stackwise_num_strides=[[2], [2, 1]],
        stackwise_se_ratio=[[None], [0.25, 0.25]],
        stackwise_activation=[["relu"], ["hard_swish", "hard_swish"]],
        stackwise_padding=[[1], [2, 2]],
        output_num_filters=32,
        input_num_filters=8,
        depthwise_filters=8,
        depthwise_stride=1,
        depthwise_residual=False,
        last_layer_filter=32,
    )
    return save_preset(backbone, models.MobileNetImageClassifier, folder)


def save_vision_transformer(folder):
    """Save a preset whose own layers hold weights, for photos of 64 x 64 pixels; returns its name."""
    from keras_hub import models

    backbone = models.ViTBackbone((64, 64, 3), 16, num_layers=1, num_heads=2, hidden_dim=16, mlp_dim=32)
    return save_preset(backbone, models.ViTImageClassifier, folder)


def save_preset(backbone, classifier, folder):
    """Save the backbone with its preprocessing; returns its name for --backbone."""
    from keras_hub.layers import ImageConverter

    random = np.random.default_rng(0)
    backbone.set_weights([weights + 0.1 * random.random(weights.shape) for weights in backbone.get_weights()])
    converter = ImageConverter((64, 64), scale=[0.02, 0.015, 0.01], offset=[-2.0, -1.5, -1.0])
    preprocessor = classifier.preprocessor_cls(converter)
    classifier(backbone, num_classes=3, preprocessor=preprocessor).save_to_preset(str(folder))
    return f"kerashub:{folder}"


@pytest.mark.parametrize(
    ("save", "pool"),
    [
        pytest.param(save_mobilenet, lambda outputs: outputs.mean((1, 2)), id="average"),
        pytest.param(save_vision_transformer, lambda outputs: outputs[:, 0], id="class token"),
    ],
)
def test_features_equal_those_of_keras_hub_with_its_preprocessing(tmp_path, save, pool):
    from keras_hub import models

    from dltasks.tasks.image.keras_hub import load_preset

    name = save(tmp_path)
    photos = np.stack([np.asarray(drawings.draw("disc", seed, (64, 64))) for seed in range(2)])
    preprocessor = models.ImageClassifierPreprocessor.from_preset(str(tmp_path))
    outputs = models.Backbone.from_preset(str(tmp_path)).predict(preprocessor(photos), verbose=0)
    expected = pool(outputs)
    backbone = load_preset(name, 64)
    assert np.abs(backbone.predict(photos, verbose=0) - expected).max() < 1e-5 * np.abs(expected).max()
    assert backbone.predict(photos[:, :40, :48], verbose=0).shape == expected.shape


@pytest.mark.parametrize(
    ("save", "needs_keras_hub"), [(save_mobilenet, False), (save_vision_transformer, True)]
)
def test_a_preset_is_trained_and_exported(tmp_path, monkeypatch, save, needs_keras_hub):
    data = drawings.folder(tmp_path / "data", 10)
    settings = {"size": 48, "epochs": 1, "batch_size": 8, "quantize": "none"}
    name = save(tmp_path / "preset")
    model = library.train("image", data, tmp_path / "out", backbone=name, **settings)
    parity = model.manifest["parity"]
    assert parity["agreement"] == 1 and parity["max_difference"] < 1e-4
    assert model.manifest["start"]["name"] == "preset"
    config = zipfile.ZipFile(tmp_path / "out" / "model.keras").read("config.json")
    assert (b"keras_hub" in config) == needs_keras_hub
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    if needs_keras_hub:
        with pytest.raises(MissingExtraError, match="this needs KerasHub"):
            load_network(tmp_path / "out")
    else:
        assert load_network(tmp_path / "out").name == "image"


def train_error(tmp_path, backbone, network=False):
    """The line that training from this backbone ends with."""
    drawings.folder(tmp_path / "data", 5)
    arguments = [tmp_path / "data", "--out", tmp_path / "out", "--backbone", backbone, "--size", "32"]
    result = dltasks("train", "image", *arguments, network=network)
    assert result.returncode and not result.stdout and not (tmp_path / "out").exists()
    return result.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet_50_imagnet", "or a folder; did you mean kerashub:resnet_50_imagenet?"),
        ("bert_base_en", "expected an image preset of KerasHub, or a folder"),
        ("swin_tiny_patch4_window7_224", "SwinTransformerBackbone needs Roll, which LiteRT does not have"),
        ("./missing", "--backbone kerashub:./missing: no such folder"),
        ("tests", "--backbone kerashub:tests: not a preset of KerasHub, which has a config.json"),
    ],
)
def test_a_preset_that_does_not_exist_is_refused_in_one_line(tmp_path, name, expected):
    assert expected in train_error(tmp_path, f"kerashub:{name}")


def test_without_keras_hub_the_error_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    assert "pip install 'dltasks[kerashub]'" in train_error(tmp_path, "kerashub:resnet_50_imagenet")


def test_offline_the_error_names_the_offline_choices(tmp_path, monkeypatch):
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "cache"))
    error = train_error(tmp_path, "kerashub:resnet_50_imagenet", network=True)
    assert (
        "could not be downloaded (no connection to api.kaggle.com); offline, use --backbone objects" in error
    )
    assert "kerashub:./folder" in error


def test_a_downloaded_preset_is_used_offline(tmp_path, monkeypatch):
    from kagglehub.cache import Cache
    from kagglehub.handle import parse_model_handle

    from dltasks.tasks.image.keras_hub import load_preset

    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "cache"))
    save_mobilenet(tmp_path / "preset")
    handle = parse_model_handle("keras/mobilenetv3/keras/mobilenet_v3_small_050_imagenet/1")
    shutil.copytree(tmp_path / "preset", Cache().get_path(handle))
    for file in (tmp_path / "preset").iterdir():
        Cache().mark_as_complete(handle, file.name)
    assert load_preset("kerashub:mobilenet_v3_small_050_imagenet", 32).output.shape == (None, 32)


def test_the_origin_of_a_downloaded_preset_is_recorded():
    from dltasks.tasks.image.backbones import describe_origin

    assert describe_origin("kerashub:mobilenet_v3_large_100_imagenet") == {
        "name": "mobilenet_v3_large_100_imagenet of KerasHub",
        "license": "see the source",
        "source": "kaggle://keras/mobilenetv3/keras/mobilenet_v3_large_100_imagenet/1",
    }


def test_a_preset_without_preprocessing_is_refused_in_one_line(tmp_path):
    name = save_mobilenet(tmp_path / "preset")
    (tmp_path / "preset" / "image_converter.json").unlink()
    error = train_error(tmp_path, name)
    assert "not usable as a backbone" in error and "image_converter.json" in error


def test_the_help_names_choices_that_exist():
    from dltasks.tasks.image.backbones import check_backbone

    # Lines are also broken after hyphens.
    help = "".join(dltasks("train", "image", "--help").stdout.split())
    choices = {
        "objects": "EfficientNet-Lite0, 4.7M, 75.1%",
        "kerashub:mobilenet_v3_large_100_imagenet": "5.5M, 75.8%",
        "EfficientNetV2B0": "7.2M, 78.7%",
        "kerashub:efficientnet_b3_ra2_imagenet": "12.2M, 82.2%",
        "EfficientNetV2S": "21.6M, 83.9%",
    }
    for name, size_and_accuracy in choices.items():
        assert f"{name} ({size_and_accuracy})".replace(" ", "") in help
        check_backbone(name)
