"""Photo models made elsewhere: floats and integers, scaled pixels, logits, a background; and what is refused."""

import json

import numpy as np
import pytest
from conftest import ROOT, dltasks

import dltasks as library
from dltasks.errors import ModelError
from dltasks.litert import metadata
from dltasks.tasks.image import pixels

PHOTO = ROOT / "samples/image/coffee.jpg"
SIDE = 32
NAMES = ["ant", "bee", "cow", "dog"]


@pytest.fixture(scope="module")
def network():
    """Takes pixels from -1 to 1 and gives logits."""
    import keras

    keras.utils.set_random_seed(3)
    values = keras.Input((SIDE, SIDE, 3), name="values")
    x = keras.layers.Conv2D(8, 5, strides=4, activation="relu")(values)
    x = keras.layers.Dense(len(NAMES), kernel_initializer="normal")(keras.layers.Flatten()(x))
    return keras.Model(values, x)


@pytest.fixture(scope="module")
def convert(network, tmp_path_factory):
    folder = tmp_path_factory.mktemp("strangers")

    def to(name: str, softmax: bool = True, kind: str = "float32", activation: str = "softmax"):
        import keras
        import tensorflow as tf

        end = keras.layers.Activation(activation)(network.output) if softmax else network.output
        converter = tf.lite.TFLiteConverter.from_keras_model(keras.Model(network.input, end))
        if kind != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: ([scaled(i)] for i in range(20))
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = tf.dtypes.as_dtype(kind)
        (folder / f"{name}.tflite").write_bytes(converter.convert())
        return folder / f"{name}.tflite"

    return to


def scaled(seed: int | None = None) -> np.ndarray:
    """The photo as the network takes it, or noise."""
    if seed is None:
        photo = pixels.load(PHOTO, SIDE)
    else:
        photo = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3))
    return (photo[None].astype(np.float32) - 127.5) / 127.5


def expected(network) -> np.ndarray:
    logits = network.predict(scaled(), verbose=0)[0].astype(float)
    return np.exp(logits) / np.exp(logits).sum()


@pytest.mark.parametrize("softmax", [True, False])
def test_floats_are_scaled_as_told_and_logits_become_probabilities(network, convert, softmax):
    path = convert(f"floats-{softmax}", softmax)
    model = library.load(path, NAMES, mean=[127.5], std=[127.5] * 3)
    found = model.predict(PHOTO)[0]
    assert found.probabilities.tolist() == pytest.approx(expected(network).tolist(), abs=1e-5)
    assert model.task.labels == tuple(NAMES)


@pytest.mark.parametrize("kind", ["uint8", "int8"])
def test_integers_are_quantised_as_the_file_says(network, convert, kind):
    told = {} if kind == "uint8" else {"mean": [127.5], "std": [127.5]}
    found = library.load(convert(kind, kind=kind), NAMES, **told).predict(PHOTO)[0]
    assert found.probabilities.tolist() == pytest.approx(expected(network).tolist(), abs=0.05)


def test_scaling_and_labels_are_read_from_standard_metadata(network, convert, tmp_path):
    import zipfile

    content = convert("told").read_bytes()
    names = "\n".join(NAMES)
    input_, output = (
        metadata.TensorDescription("").table("in"),
        metadata.TensorDescription("", labels="names.txt").table("out"),
    )
    input_["process_units"] = [
        {"kind": "NormalizationOptions", "properties": {"mean": [127.5], "std": [127.5]}}
    ]
    told = {"subgraph_metadata": [{"input_tensor_metadata": [input_], "output_tensor_metadata": [output]}]}
    path = tmp_path / "told.tflite"
    path.write_bytes(with_metadata(content, metadata.pack(told)))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("about.txt", "not the labels")
        archive.writestr("names.txt", names)
    found = library.load(path).predict(PHOTO)[0]
    assert found.probabilities.tolist() == pytest.approx(expected(network).tolist(), abs=1e-5)
    said = dltasks("classify", PHOTO, "--model", path)
    assert said.returncode == 0 and any(each in said.stdout for each in NAMES)


def with_metadata(model: bytes, content: bytes) -> bytes:
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    network = schema.ModelT.InitFromPackedBuf(model, 0)
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data, entry.name, entry.buffer = list(content), metadata.BUFFER, len(network.buffers)
    network.buffers.append(buffer)
    network.metadata = [*(network.metadata or ()), entry]
    builder = flatbuffers.Builder(1024)
    builder.Finish(network.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_an_output_more_than_labels_is_the_background(convert):
    model = library.load(convert("background"), NAMES[:3], mean=[127.5], std=[127.5])
    assert model.task.labels == ("background", "ant", "bee", "cow")


def test_what_cannot_be_understood_is_refused_with_the_reason(convert):
    path = convert("refused")
    with pytest.raises(ModelError, match="carries no labels; give a text file .* --labels"):
        library.load(path)
    with pytest.raises(
        ModelError, match="float32 and it does not say how pixels are scaled; give --mean and --std"
    ):
        library.load(path, NAMES)
    with pytest.raises(ModelError, match="it has 4 outputs and there are 2 labels"):
        library.load(path, NAMES[:2], mean=[0.0], std=[255.0])
    independent = convert("independent", activation="sigmoid")
    with pytest.raises(ModelError, match="no probabilities of one label each: they add up to"):
        library.load(independent, NAMES, mean=[127.5], std=[127.5])


def test_show_tells_what_any_file_is_made_of(convert):
    path = convert("shown", activation="sigmoid")
    said = dltasks("show", path)
    assert said.returncode == 0 and "carries no labels" in said.stderr
    assert "input\tvalues: float32 (any, 32, 32, 3)" in said.stdout
    assert "CONV_2D 1" in said.stdout and "LOGISTIC 1" in said.stdout
    found = json.loads(dltasks("show", path, "--json").stdout)
    assert found["file"]["operations"]["CONV_2D"] == 1 and found["file"]["bytes"] == path.stat().st_size


def test_three_colours_are_told_on_the_command_line(convert, tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("\n".join(NAMES))
    path = convert("colours")
    told = ["--labels", names, "--mean", "127.5,127.5,127.5", "--std", "127.5"]
    said = dltasks("classify", PHOTO, "--model", path, *told, "--json")
    assert said.returncode == 0, said.stderr
    said = dltasks("classify", PHOTO, "--model", path, "--labels", names, "--mean", "1,2", "--std", "1")
    assert said.returncode == 2 and "three with commas" in said.stderr


def test_a_file_that_litert_breaks_down_on_does_not_take_us_with_it(convert, tmp_path):
    content = bytearray(convert("whole").read_bytes())
    random, path = np.random.default_rng(0), tmp_path / "broken.tflite"
    for _ in range(12):
        changed = bytearray(content)
        for at in random.integers(8, len(content), 40):
            changed[at] = random.integers(256)
        path.write_bytes(changed)
        try:
            library.load(path, NAMES, mean=[0.0], std=[1.0])
        except ModelError as error:
            assert str(path) in str(error)
