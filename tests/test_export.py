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
