"""Other programs can use the .tflite files of dltasks and their metadata."""

import zipfile

import numpy as np
import pytest
from conftest import ROOT

import dltasks as library
from dltasks.errors import ModelError
from dltasks.litert import metadata
from dltasks.tasks.image import pixels

mediapipe = pytest.importorskip("mediapipe")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Bundled models for photos and for sounds, exported to .tflite files."""
    folder = tmp_path_factory.mktemp("exported")
    for name, task in (("objects", "image"), ("commands", "speech")):
        library.load(name).export(
            folder / f"{name}.tflite", data=ROOT / "samples" / task, min_agreement=0, max_score_drop=1
        )
    return folder


def classifier_options(path, kind):
    from mediapipe.tasks.python import BaseOptions

    return kind(base_options=BaseOptions(model_asset_path=str(path)), max_results=1000)


def test_mediapipe_predicts_the_same_probabilities_for_the_same_pixels(exported):
    from mediapipe.tasks.python import vision

    path = exported / "objects.tflite"
    task = library.load(path).task
    with vision.ImageClassifier.create_from_options(
        classifier_options(path, vision.ImageClassifierOptions)
    ) as classifier:
        for photo in sorted((ROOT / "samples/image").glob("*.jpg")):
            image = mediapipe.Image(
                image_format=mediapipe.ImageFormat.SRGB, data=pixels.load(photo, task.size)
            )
            theirs = classifier.classify(image).classifications[0].categories
            ours = library.load(path).predict(photo)[0].probabilities
            assert {category.category_name for category in theirs} == set(task.labels)
            by_label = {category.category_name: category.score for category in theirs}
            assert [by_label[label] for label in task.labels] == pytest.approx(ours.tolist(), abs=1e-5)
            assert all(task.labels[category.index] == category.category_name for category in theirs)


def test_mediapipe_predicts_the_same_probabilities_for_the_same_sound(exported):
    from mediapipe.tasks.python import audio
    from mediapipe.tasks.python.components.containers import AudioData

    path = exported / "commands.tflite"
    model = library.load(path)
    with audio.AudioClassifier.create_from_options(
        classifier_options(path, audio.AudioClassifierOptions)
    ) as classifier:
        for clip in (ROOT / "samples/speech/yes.flac", ROOT / "samples/speech/stop.flac"):
            samples = model.task.encode([clip])[0]["samples"]
            sound = AudioData.create_from_array(samples[0].astype(float), model.task.sample_rate)
            theirs = classifier.classify(sound)[0].classifications[0].categories
            ours = model.runtime.run({"samples": samples})["probabilities"][0]
            by_label = {category.category_name: category.score for category in theirs}
            assert [by_label[label] for label in model.task.labels] == pytest.approx(ours.tolist(), abs=1e-5)


def test_plain_litert_runs_the_file(exported):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(exported / "objects.tflite"))
    assert list(interpreter.get_signature_list()) == ["serve"]
    assert zipfile.is_zipfile(exported / "objects.tflite")


def test_metadata_is_read_as_it_was_written():
    values = {
        "name": "a",
        "description": "é",
        "subgraph_metadata": [
            {
                "name": "serve",
                "input_tensor_metadata": [
                    metadata.TensorDescription("x", metadata.AUDIO, 16_000).table("samples")
                ],
                "output_tensor_metadata": [metadata.TensorDescription("y", labels="labels.txt").table("out")],
            }
        ],
        "min_parser_version": metadata.VERSION,
    }
    assert metadata.unpack(metadata.pack(values)) == values


def test_damaged_metadata_is_reported(exported):
    content = bytearray((exported / "objects.tflite").read_bytes())
    start = content.find(metadata.IDENTIFIER)
    random = np.random.default_rng(0)
    for _ in range(200):
        damaged = bytearray(content)
        for position in random.integers(start - 4, start + 1500, 8):
            damaged[position] = random.integers(256)
        try:
            assert isinstance(metadata.read_metadata(bytes(damaged)), dict)
        except ModelError as error:
            assert "metadata is damaged" in str(error)
