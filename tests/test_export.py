"""Exports: operations that LiteRT lacks are refused with the layer's name, low agreement with a fix."""

import resource

import numpy as np
import pytest

from dltasks.errors import ExportError
from dltasks.export.convert import to_saved_model, to_tflite
from dltasks.export.parity import Parity, check_parity
from dltasks.export.runners import predict_in_batches
from dltasks.protocols import default_signature


def network_with(layer):
    """A network of one input and one output around this layer."""
    import keras

    numbers = keras.Input((4,), name="numbers")
    return keras.Model({"numbers": numbers}, {"answer": keras.layers.Dense(3, name="last")(layer(numbers))})


def test_an_operation_that_would_need_flex_is_refused_with_its_layer():
    import keras

    class Odd(keras.layers.Layer):
        def call(self, numbers):
            return keras.ops.erfinv(numbers)

    with pytest.raises(ExportError, match="layer odd_one needs Erfinv, which LiteRT does not have built in"):
        to_tflite(network_with(Odd(name="odd_one")), "none", {})


def test_names_of_inputs_and_outputs_are_those_of_the_network():
    import keras

    from dltasks.litert.runtime import Runtime

    network = network_with(keras.layers.Dense(5, activation="relu"))
    runtime = Runtime(to_tflite(network, "none", {}))
    inputs = {"numbers": np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)}
    outputs, expected = runtime.run(inputs), predict_in_batches(network, inputs)
    assert list(outputs) == ["answer"]
    assert np.abs(outputs["answer"] - expected["answer"]).max() < 1e-5


def parity(quantize: str, agreement: float) -> Parity:
    return Parity(quantize, agreement, 0.1, 500, 1000, 1.0)


@pytest.mark.parametrize(
    "mode, next_mode",
    [
        ("int8", "dynamic"),
        ("dynamic", "weight-int8"),
        ("weight-int8", "mixed"),
        ("mixed", "float16"),
        ("float16", "none"),
    ],
)
def test_a_mode_below_the_threshold_names_the_next_to_try(mode, next_mode):
    with pytest.raises(ExportError, match=f"97.0% of 500 examples.*try --quantize {next_mode}"):
        check_parity(parity(mode, 0.97), 0.98)
    check_parity(parity(mode, 0.98), 0.98)


def test_a_model_saved_in_float16_has_equal_bytes_for_equal_weights(tmp_path):
    import keras

    from dltasks.export.networks import save_network

    network = network_with(keras.layers.Dense(64))
    save_network(network, tmp_path / "one.keras", "float16")
    save_network(network, tmp_path / "two.keras", "float16")
    assert (tmp_path / "one.keras").read_bytes() == (tmp_path / "two.keras").read_bytes()
    loaded = keras.saving.load_model(tmp_path / "one.keras", compile=False)
    for saved, restored in zip(network.get_weights(), loaded.get_weights(), strict=True):
        assert (saved == restored).all()


def test_a_full_disk_during_a_conversion_is_reported(tmp_path):
    import keras

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    network = network_with(keras.layers.Dense(1000))
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_000, hard))
    try:
        with pytest.raises(ExportError, match="can't be written"):
            to_saved_model(default_signature(network), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_large_quantized_buffers_survive_the_metadata():
    import keras

    from dltasks.litert.metadata import add_metadata
    from dltasks.litert.runtime import Runtime

    # The quantizer writes buffers behind the FlatBuffer where they take more than 256 KiB.
    layer = keras.Sequential([keras.layers.Dense(600, name="wide"), keras.layers.Dense(600, name="wider")])
    model = to_tflite(network_with(layer), "weight-int8", {})
    about = dict.fromkeys(("name", "description", "version", "author", "license"), "x")
    described = add_metadata(model, about, {}, [])
    numbers = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    expected = Runtime(model).run({"numbers": numbers})["answer"]
    assert len(model) > 360_000 and len(described) > 360_000
    np.testing.assert_array_equal(Runtime(described).run({"numbers": numbers})["answer"], expected)


def mixed_and_float_outputs(network, inputs):
    """Sizes of the float16 and the mixed file, and the outputs of the mixed file and of the network."""
    from dltasks.litert.runtime import Runtime

    float16, mixed = (to_tflite(network, mode, {}) for mode in ("float16", "mixed"))
    outputs = Runtime(mixed).run(inputs)["answer"]
    return len(float16), len(mixed), outputs, predict_in_batches(network, inputs)["answer"]


def normal_numbers(count: int) -> dict[str, np.ndarray]:
    return {"numbers": np.random.default_rng(0).normal(size=(count, 4)).astype(np.float32)}


def test_mixed_makes_large_layers_half_as_large_and_keeps_outputs():
    import keras

    keras.utils.set_random_seed(0)
    wide = keras.Sequential([keras.layers.Dense(400, activation="relu"), keras.layers.Dense(400)])
    float16, mixed, outputs, expected = mixed_and_float_outputs(network_with(wide), normal_numbers(50))
    assert 310_000 < float16 < 340_000 and 160_000 < mixed < 180_000
    assert 0 < np.abs(outputs - expected).max() < 0.01 * np.abs(expected).max()


def test_mixed_makes_large_convolutions_smaller():
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    convolutions = [layers.Conv2D(64, 3, padding="same", activation="relu"), layers.Conv2D(128, 3)]
    image = [layers.Dense(48), layers.Reshape((4, 4, 3)), *convolutions, layers.GlobalAveragePooling2D()]
    network = network_with(keras.Sequential(image))
    float16, mixed, outputs, expected = mixed_and_float_outputs(network, normal_numbers(20))
    assert mixed < 0.6 * float16
    assert np.abs(outputs - expected).max() < 0.01 * np.abs(expected).max()


def test_mixed_is_float16_in_a_network_of_small_layers_only():
    import keras

    from dltasks.litert.runtime import Runtime

    keras.utils.set_random_seed(0)
    network = network_with(keras.Sequential([keras.layers.Dense(16, activation="elu") for _ in range(25)]))
    inputs = normal_numbers(20)
    float16, mixed = (Runtime(to_tflite(network, mode, {})).run(inputs) for mode in ("float16", "mixed"))
    np.testing.assert_array_equal(mixed["answer"], float16["answer"])


def test_mixed_has_a_scale_for_each_channel():
    import keras

    keras.utils.set_random_seed(0)
    numbers = keras.Input((256,), name="numbers")
    large = keras.layers.Dense(64, name="large")
    network = keras.Model({"numbers": numbers}, {"answer": large(numbers)})
    kernel = np.random.default_rng(0).normal(size=(256, 64)).astype(np.float32)
    kernel[:, 0], kernel[:, 1], kernel[:, 2] = 1e-3 * kernel[:, 0], 0, 100 * kernel[:, 2]
    large.set_weights([kernel, np.zeros(64)])
    inputs = {"numbers": np.random.default_rng(1).normal(size=(30, 256)).astype(np.float32)}
    float16, mixed, outputs, expected = mixed_and_float_outputs(network, inputs)
    assert mixed < 0.7 * float16
    assert np.isfinite(outputs).all() and (outputs[:, 1] == 0).all()
    errors, extents = np.abs(outputs - expected).max(axis=0), np.abs(expected).max(axis=0)
    assert 0.001 < extents[0] < 1 and (errors <= 0.015 * extents).all()


@pytest.mark.parametrize("count", [499, 501])
def test_few_outputs_are_computed_by_keras_and_many_by_litert_with_equal_results(count):
    import keras

    from dltasks.export.outputs import MIN_CONVERTED, OutputComputer

    assert MIN_CONVERTED == 500
    network = network_with(keras.layers.Dense(5, activation="relu"))
    inputs = normal_numbers(count)
    outputs, expected = OutputComputer()(network, inputs), predict_in_batches(network, inputs)
    assert list(outputs) == ["answer"] and outputs["answer"].shape == (count, 3)
    np.testing.assert_allclose(outputs["answer"], expected["answer"], atol=1e-5)


def test_a_converted_network_runs_in_litert_for_few_inputs_too():
    import keras

    from dltasks.export.outputs import OutputComputer

    network, other = (network_with(keras.layers.Dense(5)) for _ in range(2))
    inputs, compute_outputs = normal_numbers(17), OutputComputer()
    compute_outputs.convert(network)
    expected = compute_outputs(network, inputs)["answer"]
    np.testing.assert_allclose(expected, predict_in_batches(network, inputs)["answer"], atol=1e-5)
    network.set_weights([np.zeros_like(weights) for weights in network.get_weights()])
    other.set_weights([np.zeros_like(weights) for weights in other.get_weights()])
    # It keeps the weights that it had, as LiteRT's copy does.
    np.testing.assert_array_equal(compute_outputs(network, inputs)["answer"], expected)
    assert (compute_outputs(other, inputs)["answer"] == 0).all()
