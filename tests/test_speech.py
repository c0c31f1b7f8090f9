"""The speech task: splits by speaker, labels, training, scores and the bundle."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import data_speech
import numpy as np
import pytest
import soundfile
import sounds
from conftest import ENVIRONMENT, ROOT, dltasks, train_once

import dltasks as library
from dltasks.config import with_overrides
from dltasks.errors import DataError
from dltasks.tasks.speech import TASK
from dltasks.tasks.speech.data import load_examples
from dltasks.tasks.speech.split import split_examples
from dltasks.tasks.speech.task import SpeechTask

YES = ROOT / "samples/speech/yes.flac"
RATE = 16_000


@pytest.fixture(scope="session")
def trained_speech(tmp_path_factory):
    """A bundle trained to distinguish two synthetic words."""
    return train_once("speech", "words", tmp_path_factory, **data_speech.LONG_SETTINGS).bundle


def test_a_clip_of_any_length_gets_one_prediction(trained_speech):
    model = library.load(trained_speech)
    rise = sounds.whistle("rise", 77)
    hiss = np.random.default_rng(0).normal(0, 0.002, 3 * RATE).astype(np.float32)
    whistle = rise[2000:-2000]
    long = np.concatenate([np.zeros(1000, np.float32), rise, np.zeros(3 * RATE, np.float32)])
    scanned = model.predict(long)[0]
    assert scanned.command == "rise" and 0.3 < scanned.time_seconds < 1.0
    short, first, last = model.predict(rise, np.concatenate([whistle, hiss]), np.concatenate([hiss, whistle]))
    assert short.command == first.command == last.command == "rise"
    assert short.time_seconds is None and 0 <= first.time_seconds < 1 and 3 < last.time_seconds < 4
    assert set(first.to_json()) == {"command", "probability", "labels", "time_seconds"}


def test_each_speaker_is_in_one_split_and_noise_is_split_in_time(tmp_path):
    sounds.folder(tmp_path, 40)
    examples = load_examples(tmp_path)
    assert examples.notes == ("24 one-second stretches of _background_noise_/ count as _silence_",)
    encoded, failures = TASK().encode(examples.inputs)
    assert not failures
    config = with_overrides(TASK.config(), {"validation_split": 0.2, "test_split": 0.2})
    splits = split_examples(examples, encoded["samples"], config)
    assert sorted(splits.train + splits.val + splits.test) == list(range(len(examples)))
    train, val, test = (
        {examples.inputs[i].speaker for i in indices} - {""}
        for indices in (splits.train, splits.val, splits.test)
    )
    assert train and val and test and not train & val and not (train | val) & test
    starts = [examples.inputs[i].start for i in splits.test if examples.labels[i] == "_silence_"]
    assert starts == [10.0, 11.0] * 2
    assert splits == split_examples(examples, encoded["samples"], config)


def write_index(path: Path, *rows: str) -> Path:
    (path / "index.csv").write_text("\n".join(["file,label,speaker,split", *rows]) + "\n")
    return path


def test_a_speaker_in_two_splits_of_the_data_is_refused(tmp_path):
    sounds.folder(tmp_path, 4)
    clips = [f"rise/{i % 1:04x}_nohash_{i}.wav,rise" for i in range(4)]
    examples = load_examples(write_index(tmp_path, f"{clips[0]},anna,train", f"{clips[1]},anna,test"))
    encoded, _ = TASK().encode(examples.inputs)
    with pytest.raises(DataError, match="speaker 'anna' is in test here and in train elsewhere"):
        split_examples(examples, encoded["samples"], TASK.config())


def test_a_clip_without_a_split_goes_to_that_of_its_speaker(tmp_path):
    sounds.folder(tmp_path, 4)
    clips = [f"rise/{i % 1:04x}_nohash_{i}.wav,rise" for i in range(4)]
    rows = [f"{clips[0]},anna,test", f"{clips[1]},ben,train", f"{clips[2]},cy,val", f"{clips[3]},anna,"]
    examples = load_examples(write_index(tmp_path, *rows))
    encoded, _ = TASK().encode(examples.inputs)
    splits = split_examples(examples, encoded["samples"], TASK.config())
    assert [i for i in splits.test if examples.labels[i] == "rise"] == [0, 3]


@pytest.mark.parametrize("words", ["_unknown_", "rise,_silence_"])
def test_silence_and_unknown_words_are_refused_as_commands(tmp_path, words):
    examples = load_examples(sounds.folder(tmp_path, 4))
    with pytest.raises(DataError, match=f"--words: {words.split(',')[-1]} is not a command"):
        TASK().adapt(examples, with_overrides(TASK.config(), {"words": words}))


def test_a_recording_of_noise_with_many_stretches_counts_as_one_file(tmp_path):
    examples = load_examples(sounds.folder(tmp_path, 4))
    assert len(examples) == 12 + 24 and examples.fingerprint()["files"] == 12 + 2


def test_an_index_gives_labels_speakers_and_splits(tmp_path):
    sounds.folder(tmp_path, 2)
    (tmp_path / "index.csv").write_text(
        "file,label,speaker,split\nrise/0000_nohash_0.wav,up,anna,train\nfall/0000_nohash_1.wav,down,,test\n"
    )
    examples = load_examples(tmp_path)
    assert examples.labels[:2] == ["up", "down"] and examples.splits[:2] == ["train", "test"]
    assert [clip.speaker for clip in examples.inputs[:2]] == ["anna", "0000"]
    assert examples.labels[2:] == ["_silence_"] * 24
    assert examples.splits[2:14] == ["train"] * 10 + ["val", "test"]


def test_words_outside_the_selection_are_unknown(tmp_path):
    examples = load_examples(sounds.folder(tmp_path, 4))
    task = SpeechTask().adapt(examples, with_overrides(TASK.config(), {"words": "rise"}))
    assert task.labels == ("_silence_", "_unknown_", "rise")
    assert task.label_indices(["rise", "fall", "_unknown_", "_silence_"]) == [2, 1, 1, 0]
    with pytest.raises(DataError, match="no clips of jump; available: .*fall"):
        SpeechTask().adapt(examples, with_overrides(TASK.config(), {"words": "jump"}))


def make_silent(path):
    for clip in path.glob("*.wav"):
        soundfile.write(clip, np.zeros(RATE), RATE)


def make_one_speaker(path):
    for word in ("rise", "fall", "_unknown_"):
        for number, clip in enumerate(sorted((path / word).glob("*.wav"))):
            clip.rename(clip.with_name(f"anna_nohash_{number}.wav"))


def remove_clips(path):
    for clip in path.glob("*/*"):
        clip.unlink()


@pytest.mark.parametrize(
    "corrupt, message",
    [
        (lambda path: make_silent(path / "rise"), "all 8 clips of 'rise' are silent (below -65 dBFS)"),
        (make_one_speaker, "clips from too few speakers"),
        (remove_clips, "no recordings in class folders"),
    ],
)
def test_training_on_a_bad_folder_is_refused_in_one_line(tmp_path, corrupt, message):
    data = sounds.folder(tmp_path / "data", 8)
    corrupt(data)
    result = dltasks("train", "speech", data, "--out", tmp_path / "out")
    assert result.returncode == 1
    last = result.stderr.splitlines()[-1]
    assert last.startswith("dltasks: ") and message in last
    assert not (tmp_path / "out").exists()


def test_a_silent_clip_is_left_out_with_a_note(tmp_path):
    examples = load_examples(sounds.folder(tmp_path, 24))
    encoded, _ = TASK().encode(examples.inputs)
    samples = encoded["samples"].copy()
    samples[0] = 0
    splits = split_examples(examples, samples, TASK.config())
    assert 0 not in splits.train + splits.val + splits.test
    task = SpeechTask().adapt(examples, TASK.config())
    (note,) = task.notes(examples, {"samples": samples})
    assert "1 clip of a word is silent" in note and examples.source_names[0] in note


def test_a_length_that_the_network_cannot_take_is_refused_before_the_data_is_read(tmp_path):
    result = dltasks("train", "speech", tmp_path, "--out", tmp_path / "out", "--seconds", 0.51)
    assert (
        result.returncode == 1
        and "--seconds 0.51: expected a multiple of 0.02, at least 0.8" in result.stderr
    )


def test_evaluation_scores_words_without_silence_and_counts_false_alarms(trained_speech):
    result = dltasks("evaluate", trained_speech, trained_speech.with_name("data"), "--json")
    evaluation = json.loads(result.stdout)
    names = list(evaluation["scores"])
    assert names[:2] == ["accuracy", "accuracy_without_silence"]
    assert {"false_alarms_per_hour_of_background", "false_alarms_on_other_words"} <= set(names)
    assert evaluation["scores"]["accuracy_without_silence"]["count"] == 72
    assert set(evaluation["classes"]["rise"]) == {"recall", "precision", "f1", "equal_error_rate"}


def test_a_model_of_another_task_is_refused_by_name():
    result = dltasks("recognize", "--model", "objects", YES)
    assert result.returncode == 1
    assert result.stderr == "dltasks: objects: a model for image, not for speech; dltasks predict takes any\n"


def test_one_word_alone_is_refused(tmp_path):
    data = sounds.folder(tmp_path / "data", 8, ("rise",))
    with pytest.raises(DataError, match="only one word"):
        SpeechTask().adapt(load_examples(data), TASK.config())
    result = dltasks("train", "speech", data, "--out", tmp_path / "out", "--words", "")
    assert result.returncode == 2 and "words is ''" in result.stderr


def test_the_operating_points_are_a_table_in_the_card_and_a_plot(trained_speech):
    from PIL import Image

    card = (trained_speech / "README.md").read_text()
    assert "| 20 (chosen) |" in card and "false_alarms.png" in card
    assert Image.open(trained_speech / "false_alarms.png").size == (720, 480)
    model = library.load(trained_speech)
    assert len(model.task.thresholds) == len(model.task.labels) == 4


def test_int8_leaves_the_log_mel_in_floats(trained_speech, tmp_path):
    from ai_edge_litert import schema_py_generated as schema

    out = tmp_path / "small.tflite"
    data = trained_speech.with_name("data")
    result = dltasks(
        "export", trained_speech, "--quantize", "int8", "--out", out, "--data", data, "--min-agreement", 0.9
    )
    assert result.returncode == 0, result.stderr
    with zipfile.ZipFile(out) as archive:
        zipped = sum(member.file_size for member in archive.infolist())
    assert out.stat().st_size - zipped < 140_000
    model = schema.ModelT.InitFromPackedBuf(out.read_bytes(), 0)
    graph = model.subgraphs[0]
    input_types = {
        code.builtinCode: {graph.tensors[op.inputs[0]].type for op in graph.operators if op.opcodeIndex == i}
        for i, code in enumerate(model.operatorCodes)
    }
    assert input_types[schema.BuiltinOperator.CONV_2D] == {schema.TensorType.INT8}
    assert input_types[schema.BuiltinOperator.RFFT2D] == {schema.TensorType.FLOAT32}


DATASET = """
import numpy as np
import sounds
import tensorflow_datasets as tfds


class Whistles(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        names = ["rise", "fall", "_unknown_", "_silence_"]
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict({
                "audio": tfds.features.Audio(sample_rate=16000),
                "label": tfds.features.ClassLabel(names=names),
            })
        )

    def _split_generators(self, _):
        sizes = {"train": (20, 0), "validation": (5, 50), "test": (5, 100)}
        return {name: self._generate_examples(*size) for name, size in sizes.items()}

    def _generate_examples(self, count, first):
        for seed in range(first, first + count):
            for word in sounds.WORDS:
                yield f"{word}{seed}", {"audio": self._to_int(sounds.whistle(word, seed)), "label": word}
            yield f"silence{seed}", {"audio": self._to_int(sounds.noise(seed, 1)), "label": "_silence_"}

    def _to_int(self, samples):
        return (32767 * samples).astype(np.int64)
"""


TRAIN = """
import sets.whistles
import dltasks

model = dltasks.train("speech", "tfds:whistles", out="out", epochs=1, calibration_minutes=1)
print(model.task.labels, model.manifest["training"]["examples"], model.evaluate("tfds:whistles").count)
"""


@pytest.mark.slow
def test_a_tensorflow_data_set_is_trained_on_by_name(tmp_path):
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets/__init__.py").touch()
    (tmp_path / "sets/whistles.py").write_text(DATASET)
    path = f"{tmp_path}:{ROOT}:{ROOT / 'tests'}"
    environment = ENVIRONMENT | {
        "PYTHONPATH": path,
        "TFDS_DATA_DIR": str(tmp_path / "tfds"),
        "NO_GCE_CHECK": "true",
    }
    result = subprocess.run(
        [sys.executable, "-c", TRAIN], capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert result.returncode == 0, result.stderr
    counts = "{'train': 80, 'val': 20, 'test': 20} 20"
    assert result.stdout.splitlines()[-1] == f"('_silence_', '_unknown_', 'fall', 'rise') {counts}"
