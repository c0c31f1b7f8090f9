"""Backbones of the image network: applications, .keras files, random weights under a time limit."""

import itertools
import subprocess
import sys
import time

import drawings
import numpy as np
import pytest
from conftest import ENVIRONMENT, dltasks

import dltasks as library


def train_on_drawings(path, *options):
    """The finished process of training on ten drawings a class, to the folder `out`."""
    drawings.folder(path / "data", 10)
    return dltasks("train", "image", path / "data", "--out", path / "out", *options)


def test_offline_an_application_fails_in_one_line_that_names_the_offline_choice(tmp_path):
    drawings.folder(tmp_path / "data", 5)
    offline = {"https_proxy": "http://127.0.0.1:9", "KERAS_HOME": str(tmp_path / "keras")}
    arguments = ["train", "image", "data", "--out", "out", "--backbone", "MobileNetV2", "--size", "32"]
    process = subprocess.run(
        [sys.executable, "-m", "dltasks.cli.main", *arguments],
        cwd=tmp_path,
        env=ENVIRONMENT | offline,
        capture_output=True,
        text=True,
    )
    last = process.stderr.splitlines()[-1]
    assert process.returncode == 1 and "Traceback" not in process.stderr
    assert "MobileNetV2 could not be downloaded" in last and "--backbone objects" in last


@pytest.mark.parametrize("name", ["MobileNetV2", "ResNet50", "EfficientNetV2B0"])
def test_the_backbone_of_an_application_includes_its_preprocessing(name):
    from dltasks.tasks.image.backbones import find_application, include_preprocessing

    module, constructor = find_application(name)
    bare = constructor(include_top=False, weights=None, pooling="avg")
    photos = np.stack([np.asarray(drawings.draw("disc", i, (64, 64))) for i in range(2)])
    expected = bare.predict(module.preprocess_input(photos.astype("float32")), verbose=0)
    features = include_preprocessing(bare, module.preprocess_input).predict(photos, verbose=0)
    assert np.abs(expected - features).max() < 1e-4 * max(1, np.abs(expected).max())


def test_a_keras_file_is_a_backbone_and_recorded(tmp_path):
    import keras
    from keras import layers

    pixels = keras.Input((None, None, 3))
    x = layers.Conv2D(8, 3, 2, activation="relu")(layers.Rescaling(1 / 255)(pixels))
    top = layers.Dense(7, activation="softmax")(layers.GlobalAveragePooling2D()(x))
    keras.Model(pixels, top).save(tmp_path / "mine.keras")
    result = train_on_drawings(tmp_path, "--backbone", tmp_path / "mine.keras", "--size", 32, "--epochs", 1)
    assert result.returncode == 0, result.stderr
    shown = dltasks("show", tmp_path / "out")
    assert f"backbone\t{tmp_path / 'mine.keras'}\n" in shown.stdout


@pytest.mark.parametrize("flat", [False, True])
def test_a_keras_file_made_for_one_size_is_a_backbone_unless_it_flattens(tmp_path, flat):
    import keras
    from keras import layers

    from dltasks.errors import ModelError
    from dltasks.tasks.image.backbones import load_backbone

    pooling = [layers.Flatten(), layers.Dense(5)] if flat else [layers.GlobalAveragePooling2D()]
    convolution = layers.Conv2D(8, 3, 2, activation="relu")
    model = keras.Sequential([keras.Input((64, 64, 3)), convolution, *pooling, layers.Dense(3)])
    model.save(tmp_path / "mine.keras")
    if flat:
        with pytest.raises(ModelError, match="pool before its first Dense layer"):
            load_backbone(tmp_path / "mine.keras")
        return
    backbone = load_backbone(tmp_path / "mine.keras")
    photos = np.stack([np.asarray(drawings.draw("disc", i, (64, 64))) for i in range(2)])
    features = keras.Model(model.inputs, model.layers[-1].input)
    expected = features.predict(photos.astype("float32"), verbose=0)
    assert np.allclose(backbone.predict(photos, verbose=0), expected, atol=1e-4)
    assert backbone.predict(photos[:, :40, :48], verbose=0).shape == (2, 8)


def test_a_file_that_is_no_keras_model_fails_in_one_line(tmp_path):
    (tmp_path / "mine.keras").write_text("x")
    result = train_on_drawings(tmp_path, "--backbone", tmp_path / "mine.keras")
    assert result.returncode == 1
    assert "not a Keras model that loads safely" in result.stderr.splitlines()[-1]


def test_a_time_limit_ends_the_run(tmp_path, monkeypatch):
    minutes, ticks = 0.3, itertools.count(0, 0.4)
    # Time passes only when the clock is read, by 0.4 s each time.
    monkeypatch.setattr(time, "monotonic", lambda: next(ticks))
    data = drawings.folder(tmp_path / "data", 10)
    endless = {"epochs": 100_000, "patience": 100_000}
    settings = {"backbone": "none", "size": 32, "time_limit": minutes, "batch_size": 8}
    model = library.train("image", data, tmp_path / "out", **settings, **endless)
    training = model.manifest["training"]
    assert (tmp_path / "out" / "bundle.json").is_file()
    assert 1 < training["epochs"] < 50 and 0 < training["seconds"] < 60 * minutes
