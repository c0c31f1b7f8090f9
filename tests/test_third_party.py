"""Third-party image classifiers: floats, integers, scaled pixels, logits, a background class, refusals."""

import json

import numpy as np
import pytest
from conftest import ROOT, dltasks

import dltasks as library
from dltasks.errors import ModelError
from dltasks.litert import metadata
from dltasks.tasks.image import pixels

PHOTO = ROOT / "samples/image/coffee.jpg"
SIZE = 32
LABELS = ["ant", "bee", "cow", "dog"]


@pytest.fixture(scope="module")
def network():
    """From pixels between -1 and 1 to logits."""
    import keras

    keras.utils.set_random_seed(3)
    values = keras.Input((SIZE, SIZE, 3), name="values")
    x = keras.layers.Conv2D(8, 5, strides=4, activation="relu")(values)
    x = keras.layers.Dense(len(LABELS), kernel_initializer="normal")(keras.layers.Flatten()(x))
    return keras.Model(values, x)


@pytest.fixture(scope="module")
def convert(network, tmp_path_factory):
    folder = tmp_path_factory.mktemp("third-party")

    def to(name: str, softmax: bool = True, kind: str = "float32", activation: str = "softmax"):
        import keras
        import tensorflow as tf

        end = keras.layers.Activation(activation)(network.output) if softmax else network.output
        converter = tf.lite.TFLiteConverter.from_keras_model(keras.Model(network.input, end))
        if kind != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: ([scale_photo(i)] for i in range(20))
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = tf.dtypes.as_dtype(kind)
        (folder / f"{name}.tflite").write_bytes(converter.convert())
        return folder / f"{name}.tflite"

    return to


def scale_photo(seed: int | None = None) -> np.ndarray:
    """The sample photo as an input of the network, or noise of this seed."""
    if seed is None:
        photo = pixels.load(PHOTO, SIZE)
    else:
        photo = np.random.default_rng(seed).integers(0, 256, (SIZE, SIZE, 3))
    return (photo[None].astype(np.float32) - 127.5) / 127.5


def expected_probabilities(network) -> list[float]:
    logits = network.predict(scale_photo(), verbose=0)[0].astype(float)
    return (np.exp(logits) / np.exp(logits).sum()).tolist()


@pytest.mark.parametrize("softmax", [True, False])
def test_floats_are_scaled_as_specified_and_logits_become_probabilities(network, convert, softmax):
    path = convert(f"floats-{softmax}", softmax)
    model = library.load(path, LABELS, mean=[127.5], std=[127.5] * 3)
    prediction = model.predict(PHOTO)[0]
    assert prediction.probabilities.tolist() == pytest.approx(expected_probabilities(network), abs=1e-5)
    assert model.task.labels == tuple(LABELS)


@pytest.mark.parametrize("kind", ["uint8", "int8"])
def test_integers_are_quantized_as_the_file_specifies(network, convert, kind):
    scaling = {} if kind == "uint8" else {"mean": [127.5], "std": [127.5]}
    prediction = library.load(convert(kind, kind=kind), LABELS, **scaling).predict(PHOTO)[0]
    assert prediction.probabilities.tolist() == pytest.approx(expected_probabilities(network), abs=0.05)


def test_scaling_and_labels_are_read_from_standard_metadata(network, convert, tmp_path):
    import zipfile

    content = convert("described").read_bytes()
    input_table = metadata.TensorDescription("").table("in")
    output_table = metadata.TensorDescription("", labels="names.txt").table("out")
    scaling = {"mean": [127.5], "std": [127.5]}
    input_table["process_units"] = [{"kind": "NormalizationOptions", "properties": scaling}]
    graph = {"input_tensor_metadata": [input_table], "output_tensor_metadata": [output_table]}
    path = tmp_path / "described.tflite"
    path.write_bytes(add_metadata(content, metadata.pack({"subgraph_metadata": [graph]})))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("about.txt", "not the labels")
        archive.writestr("names.txt", "\n".join(LABELS))
    prediction = library.load(path).predict(PHOTO)[0]
    assert prediction.probabilities.tolist() == pytest.approx(expected_probabilities(network), abs=1e-5)
    result = dltasks("classify", PHOTO, "--model", path)
    assert result.returncode == 0 and any(label in result.stdout for label in LABELS)


def add_metadata(model: bytes, content: bytes) -> bytes:
    """The .tflite with this standard metadata."""
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


def test_one_output_more_than_labels_is_the_background(convert):
    model = library.load(convert("background"), LABELS[:3], mean=[127.5], std=[127.5])
    assert model.task.labels == ("background", "ant", "bee", "cow")


def test_an_unsuitable_file_is_refused_with_the_reason(convert):
    path = convert("refused")
    with pytest.raises(ModelError, match="contains no labels; provide a text file .* --labels"):
        library.load(path)
    with pytest.raises(
        ModelError, match="float32, and it does not say how pixels are scaled; use --mean and --std"
    ):
        library.load(path, LABELS)
    with pytest.raises(ModelError, match="it has 4 outputs, but there are 2 labels"):
        library.load(path, LABELS[:2], mean=[0.0], std=[255.0])
    independent = convert("independent", activation="sigmoid")
    with pytest.raises(ModelError, match="not probabilities of mutually exclusive labels: they sum to"):
        library.load(independent, LABELS, mean=[127.5], std=[127.5])


def test_show_lists_tensors_and_operations_of_any_file(convert):
    path = convert("shown", activation="sigmoid")
    result = dltasks("show", path)
    assert result.returncode == 0 and "contains no labels" in result.stderr
    assert "input\tvalues: float32 (any, 32, 32, 3)" in result.stdout
    assert "CONV_2D 1" in result.stdout and "LOGISTIC 1" in result.stdout
    file = json.loads(dltasks("show", path, "--json").stdout)["file"]
    assert file["operations"]["CONV_2D"] == 1 and file["bytes"] == path.stat().st_size


def test_scaling_by_color_is_an_option_of_the_command_line(convert, tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("\n".join(LABELS))
    path = convert("colors")
    classify = ["classify", PHOTO, "--model", path, "--labels", names]
    result = dltasks(*classify, "--mean", "127.5,127.5,127.5", "--std", "127.5", "--json")
    assert result.returncode == 0, result.stderr
    result = dltasks(*classify, "--mean", "1,2", "--std", "1")
    assert result.returncode == 2 and "three" in result.stderr and "commas" in result.stderr


def test_a_corrupt_file_that_crashes_litert_does_not_crash_this_process(convert, tmp_path):
    content = bytearray(convert("intact").read_bytes())
    random, path = np.random.default_rng(0), tmp_path / "broken.tflite"
    for _ in range(12):
        corrupt = bytearray(content)
        for position in random.integers(8, len(content), 40):
            corrupt[position] = random.integers(256)
        path.write_bytes(corrupt)
        try:
            library.load(path, LABELS, mean=[0.0], std=[1.0])
        except ModelError as error:
            assert str(path) in str(error)
