"""Exports: what LiteRT has not built in is refused with the layer's name; a bad agreement names the cure."""

import resource

import numpy as np
import pytest

from dltasks.errors import ExportError
from dltasks.export import convert
from dltasks.export import parity as parities
from dltasks.protocols import default_signature


def with_layer(layer):
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
        convert.to_tflite(with_layer(Odd(name="odd_one")), "none", {})


def test_names_of_inputs_and_outputs_are_those_of_the_network():
    import keras

    from dltasks.litert.runtime import Runtime

    network = with_layer(keras.layers.Dense(5, activation="relu"))
    runtime = Runtime(convert.to_tflite(network, "none", {}))
    numbers = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    given, expected = (
        runtime.run({"numbers": numbers}),
        convert.predict_in_batches(network, {"numbers": numbers}),
    )
    assert list(given) == ["answer"]
    assert np.abs(given["answer"] - expected["answer"]).max() < 1e-5


def parity(level: str, agreement: float) -> parities.Parity:
    return parities.Parity(level, agreement, 0.1, 500, 1000, 1.0)


@pytest.mark.parametrize(
    "level, next_level",
    [("int8", "dynamic"), ("dynamic", "weight-int8"), ("weight-int8", "float16"), ("float16", "none")],
)
def test_a_level_below_the_floor_names_the_next_to_try(level, next_level):
    with pytest.raises(ExportError, match=f"97.0% of 500 examples.*try --quantize {next_level}"):
        parities.check_parity(parity(level, 0.97), 0.98)
    parities.check_parity(parity(level, 0.98), 0.98)


def test_a_model_saved_in_float16_has_equal_bytes_for_equal_weights(tmp_path):
    import keras

    from dltasks.export.networks import save_network

    network = with_layer(keras.layers.Dense(64))
    save_network(network, tmp_path / "one.keras", "float16")
    save_network(network, tmp_path / "two.keras", "float16")
    assert (tmp_path / "one.keras").read_bytes() == (tmp_path / "two.keras").read_bytes()
    again = keras.saving.load_model(tmp_path / "one.keras", compile=False)
    for ours, theirs in zip(network.get_weights(), again.get_weights(), strict=True):
        assert (ours == theirs).all()


def test_a_disk_that_is_full_while_a_network_is_converted_is_told(tmp_path):
    import keras

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    network = with_layer(keras.layers.Dense(1000))
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_000, hard))
    try:
        with pytest.raises(ExportError, match="can't be written"):
            convert.to_saved_model(default_signature(network), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
