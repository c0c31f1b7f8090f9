"""Where a network for photos may begin."""

import subprocess
import sys

import drawings
import numpy as np
import pytest
from conftest import ENVIRONMENT, dltasks


def train_on_drawings(place, *options):
    """The finished process of training on ten drawings a class, to the folder `out`."""
    drawings.folder(place / "data", 10)
    return dltasks("train", "image", place / "data", "--out", place / "out", *options)


def test_offline_an_application_says_so_in_one_line_and_names_the_offline_choice(tmp_path):
    drawings.folder(tmp_path / "data", 5)
    nowhere = {"https_proxy": "http://127.0.0.1:9", "KERAS_HOME": str(tmp_path / "keras")}
    arguments = ["train", "image", "data", "--out", "out", "--backbone", "MobileNetV2", "--size", "32"]
    ran = subprocess.run(
        [sys.executable, "-m", "dltasks.cli.main", *arguments],
        cwd=tmp_path,
        env=ENVIRONMENT | nowhere,
        capture_output=True,
        text=True,
    )
    last = ran.stderr.splitlines()[-1]
    assert ran.returncode == 1 and "Traceback" not in ran.stderr
    assert "MobileNetV2 could not be downloaded" in last and "--backbone objects" in last


@pytest.mark.parametrize("name", ["MobileNetV2", "ResNet50", "EfficientNetV2B0"])
def test_the_preprocessing_of_an_application_is_kept_inside(name):
    from dltasks.tasks.image import network

    module, function = network._application(name)
    bare = function(include_top=False, weights=None, pooling="avg")
    photos = np.stack([np.asarray(drawings.draw("disc", i, (64, 64))) for i in range(2)])
    direct = bare.predict(module.preprocess_input(photos.astype("float32")), verbose=0)
    within = network._with_preprocessing(bare, module.preprocess_input).predict(photos, verbose=0)
    assert np.abs(direct - within).max() < 1e-4 * max(1, np.abs(direct).max())


def test_a_keras_file_of_ones_own_is_a_backbone_and_recorded(tmp_path):
    import keras
    from keras import layers

    pixels = keras.Input((None, None, 3))
    x = layers.Conv2D(8, 3, 2, activation="relu")(layers.Rescaling(1 / 255)(pixels))
    top = layers.Dense(7, activation="softmax")(layers.GlobalAveragePooling2D()(x))
    keras.Model(pixels, top).save(tmp_path / "mine.keras")
    said = train_on_drawings(tmp_path, "--backbone", tmp_path / "mine.keras", "--size", 32, "--epochs", 1)
    assert said.returncode == 0, said.stderr
    shown = dltasks("show", tmp_path / "out")
    assert f"plan backbone\t{tmp_path / 'mine.keras'}" in shown.stdout


@pytest.mark.parametrize("flat", [False, True])
def test_a_keras_file_made_for_one_size_is_a_backbone_unless_it_flattens(tmp_path, flat):
    import keras
    from keras import layers

    from dltasks.errors import ModelError
    from dltasks.tasks.image import network

    pooled = [layers.Flatten(), layers.Dense(5)] if flat else [layers.GlobalAveragePooling2D()]
    parts = [keras.Input((64, 64, 3)), layers.Conv2D(8, 3, 2, activation="relu"), *pooled, layers.Dense(3)]
    mine = keras.Sequential(parts)
    mine.save(tmp_path / "mine.keras")
    if flat:
        with pytest.raises(ModelError, match="pool before its first Dense layer"):
            network.from_file(tmp_path / "mine.keras")
        return
    backbone = network.from_file(tmp_path / "mine.keras")
    photos = np.stack([np.asarray(drawings.draw("disc", i, (64, 64))) for i in range(2)])
    expected = keras.Model(mine.inputs, mine.layers[-1].input).predict(photos.astype("float32"), verbose=0)
    assert np.allclose(backbone.predict(photos, verbose=0), expected, atol=1e-4)
    assert backbone.predict(photos[:, :40, :48], verbose=0).shape == (2, 8)


def test_a_file_that_is_no_keras_model_is_one_line(tmp_path):
    (tmp_path / "mine.keras").write_text("x")
    said = train_on_drawings(tmp_path, "--backbone", tmp_path / "mine.keras")
    assert said.returncode == 1 and "not a Keras model that loads safely" in said.stderr.splitlines()[-1]


def test_a_time_budget_ends_the_run(tmp_path):
    said = train_on_drawings(
        tmp_path,
        "--backbone",
        "none",
        "--size",
        32,
        "--time-limit",
        0.3,
        "--epochs",
        100000,
        "--patience",
        100000,
    )
    assert said.returncode == 0, said.stderr
    assert (tmp_path / "out" / "bundle.json").is_file()
