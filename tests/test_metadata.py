"""What other programs make of our files."""

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
    """Bundled models of photos and of sounds as files."""
    folder = tmp_path_factory.mktemp("exported")
    for name, task in (("objects", "image"), ("commands", "speech")):
        library.load(name).export(
            folder / f"{name}.tflite", data=ROOT / "samples" / task, min_agreement=0, max_score_drop=1
        )
    return folder


def options(path, kind):
    from mediapipe.tasks.python import BaseOptions

    return kind(base_options=BaseOptions(model_asset_path=str(path)), max_results=200)


def test_mediapipe_gives_our_probabilities_of_the_same_pixels(exported):
    from mediapipe.tasks.python import vision

    path = exported / "objects.tflite"
    task = library.load(path).task
    with vision.ImageClassifier.create_from_options(
        options(path, vision.ImageClassifierOptions)
    ) as classifier:
        for photo in sorted((ROOT / "samples/image").glob("*.jpg")):
            image = mediapipe.Image(
                image_format=mediapipe.ImageFormat.SRGB, data=pixels.load(photo, task.size)
            )
            theirs = classifier.classify(image).classifications[0].categories
            ours = library.load(path).predict(photo)[0].probabilities
            assert {each.category_name for each in theirs} == set(task.labels)
            by_label = {each.category_name: each.score for each in theirs}
            assert [by_label[each] for each in task.labels] == pytest.approx(ours.tolist(), abs=1e-5)
            assert all(task.labels[each.index] == each.category_name for each in theirs)


def test_mediapipe_hears_what_we_hear(exported):
    from mediapipe.tasks.python import audio
    from mediapipe.tasks.python.components.containers import AudioData

    path = exported / "commands.tflite"
    model = library.load(path)
    with audio.AudioClassifier.create_from_options(options(path, audio.AudioClassifierOptions)) as classifier:
        for clip in (ROOT / "samples/speech/yes.flac", ROOT / "samples/speech/stop.flac"):
            samples = model.task.encode([clip])[0]["samples"]
            sound = AudioData.create_from_array(samples[0].astype(float), model.task.sample_rate)
            theirs = classifier.classify(sound)[0].classifications[0].categories
            ours = model.runtime.run({"samples": samples})["probabilities"][0]
            by_label = {each.category_name: each.score for each in theirs}
            assert [by_label[each] for each in model.task.labels] == pytest.approx(ours.tolist(), abs=1e-5)


def test_plain_litert_runs_the_file(exported):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(exported / "objects.tflite"))
    assert list(interpreter.get_signature_list()) == ["serve"]
    assert zipfile.is_zipfile(exported / "objects.tflite")


def test_what_is_written_is_read():
    told = {
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
    assert metadata.unpack(metadata.pack(told)) == told


def test_damaged_metadata_is_told(exported):
    content = bytearray((exported / "objects.tflite").read_bytes())
    place = content.find(metadata.IDENTIFIER)
    random = np.random.default_rng(0)
    for _ in range(200):
        changed = bytearray(content)
        for at in random.integers(place - 4, place + 1500, 8):
            changed[at] = random.integers(256)
        try:
            assert isinstance(metadata.read_metadata(bytes(changed)), dict)
        except ModelError as error:
            assert "metadata is damaged" in str(error)
