"""What every task must do; a new task gets these tests by having a folder."""

import hashlib
import importlib
import json
import os
import random
import shutil
import signal
import subprocess
import time
import zipfile
from dataclasses import fields, is_dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
from conftest import COMMAND, ENVIRONMENT, ROOT, dltasks

import dltasks as library
from dltasks import registry
from dltasks.bundle import storage
from dltasks.errors import DataError
from dltasks.fields import asset_names, save_assets
from dltasks.litert import metadata
from dltasks.progress import Progress
from dltasks.protocols import Streams

TASKS = registry.task_names()


def samples(task: str) -> list[Path]:
    return sorted(each for each in (ROOT / "samples" / task).iterdir() if each.is_file())


def flat(answers) -> list[dict]:
    return [each.to_json() for each in answers]


def sources(pairs) -> list[str]:
    """Where answers came from; an input of many answers is named once."""
    return [origin for origin, _ in groupby(origin for origin, _ in pairs)]


@pytest.mark.parametrize("task", TASKS)
def test_a_task_is_a_frozen_dataclass_named_by_its_folder(task):
    kind = registry.find_task(task)
    assert is_dataclass(kind) and kind.__dataclass_params__.frozen
    assert registry.task_name(kind()) == task


@pytest.mark.parametrize("task", TASKS)
def test_every_setting_of_a_plan_has_a_help_text(task):
    for each in fields(registry.find_task(task).config):
        assert each.metadata["help"].endswith(".")


@pytest.mark.parametrize("task", TASKS)
def test_no_setting_has_the_name_of_what_train_takes_itself(task):
    import inspect

    from dltasks.training import train

    own = set(inspect.signature(train.train).parameters)
    assert not own & {each.name for each in fields(registry.find_task(task).config)}


@pytest.mark.parametrize("task", TASKS)
def test_the_bundled_model_answers_every_sample(task):
    model = library.load(storage.default_model(task))
    answers = model.predict(*samples(task))
    assert len(answers) >= len(samples(task)) >= 2
    json.dumps(flat(answers))


@pytest.mark.parametrize("task", TASKS)
def test_inputs_answered_together_and_alone_get_the_same_answers(task):
    model = library.load(storage.default_model(task))
    together = model.predict(*samples(task) * 2)
    alone = [answer for each in samples(task) for answer in model.predict(each)] * 2
    assert flat(together) == flat(alone)


@pytest.mark.parametrize("task", TASKS)
def test_answers_do_not_depend_on_the_number_of_threads(task):
    model = library.load(storage.default_model(task))
    smallest = sorted(samples(task), key=lambda each: each.stat().st_size)[:2] * 20
    many = list(model.iter_predictions(smallest, threads=4))
    one = list(model.iter_predictions(smallest, threads=1))
    assert sources(many) == [str(each) for each in smallest]
    assert flat(a for _, a in many) == flat(a for _, a in one)


@pytest.mark.parametrize("task", TASKS)
def test_a_bad_input_is_named_and_costs_only_itself(task, tmp_path):
    bad = importlib.import_module(f"data_{task}").bad_input(tmp_path)
    good = samples(task)
    model = library.load(storage.default_model(task))
    found = list(model.iter_predictions([good[0], bad, tmp_path / "missing", good[1]]))
    assert sources(found) == list(map(str, (good[0], bad, tmp_path / "missing", good[1])))
    failed = [answer for _, answer in found if isinstance(answer, DataError)]
    assert len(failed) == 2 and str(bad) in str(failed[0]) and "missing: no such file" in str(failed[1])
    with pytest.raises(DataError, match=bad.name):
        model.predict(good[0], bad)


@pytest.mark.parametrize("task", TASKS)
def test_the_bundled_card_says_what_must_be_said(task):
    for name in storage.bundled_names():
        text = (storage.find_bundle(name) / "README.md").read_text()
        for wanted in ("licen", "95 % interval", "parameters", "What it can't do"):
            assert wanted in text


def test_training_prints_one_object_with_the_scores_of_the_test_part(trained):
    said = json.loads(trained.said.stdout)
    assert said["bundle"] == str(trained.bundle)
    for each in said["scores"].values():
        assert each["low"] <= each["value"] <= each["high"]
        assert 0 < each["count"] <= said["count"]
    assert str(trained.bundle) in trained.said.stderr.splitlines()[-1]


def test_a_bundle_has_all_its_files_and_no_others(trained):
    words = set(asset_names(registry.find_task(trained.task)).values())
    loaded = library.load(trained.bundle).task
    own = {
        *loaded.describe().extra_files,
        *(["stream.tflite", "stream.golden.npz"] if isinstance(loaded, Streams) else []),
    }
    expected = {"README.md", "bundle.json", "golden.npz", "model.keras", "model.tflite", "parity.json"}
    expected |= words | own
    assert {each.name for each in trained.bundle.iterdir()} == expected
    assert not trained.bundle.with_name("bundle.partial").exists()


def test_evaluate_answers_in_one_object(trained):
    said = dltasks("evaluate", trained.bundle, trained.data, "--json")
    assert said.returncode == 0, said.stderr
    found = json.loads(said.stdout)
    assert {"model", "data", "count", "scores", "confusion"} <= set(found)
    assert all({"value", "low", "high", "count"} == set(each) for each in found["scores"].values())


def test_data_that_was_trained_on_is_recognised(trained):
    flattered = "the model was trained on this very data"
    assert flattered in dltasks("evaluate", trained.bundle, trained.data, "--split", "all").stderr


def test_the_file_of_a_bundle_answers_for_the_bundle(trained):
    inputs = library.load(trained.bundle).task.load_examples(trained.data).inputs[:3]
    beside = library.load(trained.bundle / "model.tflite")
    assert flat(beside.predict(*inputs)) == flat(library.load(trained.bundle).predict(*inputs))


def test_an_exported_file_answers_alone_as_its_bundle_does(trained, tmp_path):
    out = tmp_path / "alone.tflite"
    level = library.load(trained.bundle).manifest["config"]["quantize"]
    said = dltasks("export", trained.bundle, "--quantize", level, "--out", out, "--json")
    assert said.returncode == 0, said.stderr
    found = json.loads(said.stdout)
    assert found["agreement"] >= 0.98 and found["bytes"] > 1000 and found["latency"] > 0
    inputs = [raw for raw in library.load(trained.bundle).task.load_examples(trained.data).inputs[:9]]
    assert flat(library.load(out).predict(*inputs)) == flat(library.load(trained.bundle).predict(*inputs))


def test_a_bundle_and_its_file_are_verified(trained, tmp_path):
    out = tmp_path / "alone.tflite"
    level = library.load(trained.bundle).manifest["config"]["quantize"]
    library.load(trained.bundle).export(out, quantize=level)
    for whole in (trained.bundle, out):
        said = dltasks("verify", whole, "--json")
        found = json.loads(said.stdout)
        assert said.returncode == 0 and found["passed"] and found["max_difference"] < 1e-3, said.stdout
        assert found["parity"]["count"] > 0
    content = out.read_bytes()
    for at, told in (
        (len(content) // 3, "damaged"),
        (len(content) - 60, "BAD"),
        (len(content), "was changed"),
    ):
        changed = bytearray(content + b" ")
        changed[at] ^= 1
        out.write_bytes(changed)
        said = dltasks("verify", out)
        assert said.returncode == 1 and told in said.stdout and "Traceback" not in said.stderr
    directory = bytearray(content)
    directory[content.rfind(b"PK\x01\x02") + 2] ^= 4
    for broken in (content[:-100], bytes(directory)):
        out.write_bytes(broken)
        said = dltasks("show", out)
        assert said.returncode == 1 and "damaged" in said.stderr


def test_an_exported_file_says_what_it_is_in_the_standard_metadata(trained, tmp_path):
    out = tmp_path / "alone.tflite"
    model = library.load(trained.bundle)
    model.export(out, quantize=model.manifest["config"]["quantize"])
    told = metadata.read_metadata(out.read_bytes())
    with zipfile.ZipFile(out) as archive:
        assert {"bundle.json", "README.md", "golden.npz"} <= set(archive.namelist())
        assert archive.testzip() is None
    assert told["name"] == model.name and told["version"] and told["license"] and told["author"]
    first = told["subgraph_metadata"][0]
    for side, names in (
        ("input_tensor_metadata", model.runtime.inputs),
        ("output_tensor_metadata", model.runtime.outputs),
    ):
        assert {each["name"] for each in first[side]} == set(names)
    assert all(each.get("description") for each in first["input_tensor_metadata"])


def test_a_saved_model_serves_named_inputs_and_outputs(trained, tmp_path):
    out = tmp_path / "served"
    said = dltasks("export", trained.bundle, "--format", "saved-model", "--out", out, "--json")
    assert said.returncode == 0, said.stderr
    import tensorflow as tf

    serve = tf.saved_model.load(str(out)).signatures["serving_default"]
    model = library.load(trained.bundle)
    assert set(serve.structured_input_signature[1]) == set(model.runtime.inputs)
    assert set(serve.structured_outputs) == set(model.runtime.outputs)
    assert (out / "assets.extra" / "bundle.json").is_file()


def weights(place: Path, epoch: int) -> str:
    with np.load(place / f"epoch-{epoch}.npz") as arrays:
        return hashlib.sha256(b"".join(arrays[name].tobytes() for name in sorted(arrays.files))).hexdigest()


def fitted(trained, place: Path, epochs: int) -> str:
    """The hash of the weights of a run up to the writing of its bundle."""
    from dltasks.config import with_overrides
    from dltasks.training.checkpoints import start_or_resume
    from dltasks.training.dataset import prepare_dataset
    from dltasks.training.loop import fit

    kind = registry.find_task(trained.task)
    settings = importlib.import_module(f"data_{trained.task}").SETTINGS | {"epochs": epochs}
    config = with_overrides(kind.config(), settings)
    place.mkdir()
    state, config, _ = start_or_resume(place, trained.task, config, {}, False, "")
    import keras

    keras.utils.set_random_seed(config.seed)
    task, data = prepare_dataset(
        kind(), kind().load_examples(trained.data, config), config, place, Progress()
    )
    network = task.network(config, lambda name: None)
    state = fit(task, network, data, config, place, state, Progress(), time.monotonic())
    return weights(place, state.best_epoch)


def test_the_same_seed_data_and_machine_give_the_same_weights(trained, tmp_path):
    assert fitted(trained, tmp_path / "one", 1) == fitted(trained, tmp_path / "two", 1)


def begun(arguments: list[str]) -> subprocess.Popen:
    return subprocess.Popen([*COMMAND, *arguments], cwd=ROOT, env=ENVIRONMENT, stderr=subprocess.PIPE)


def wait_for(running: subprocess.Popen, beginning: str) -> None:
    """Until the process says a line that begins so."""
    next(line for line in running.stderr if line.startswith(beginning.encode()))


def kill(running: subprocess.Popen, seconds: float) -> None:
    """SIGKILL after so many seconds."""
    with pytest.raises(subprocess.TimeoutExpired):
        running.wait(seconds)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()


def test_a_run_killed_at_any_moment_goes_on_to_the_same_result(trained, tmp_path):
    moment = random.Random(trained.task)
    out = tmp_path / "killed"
    settings = importlib.import_module(f"data_{trained.task}").SETTINGS | {"epochs": 3}
    options = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
    arguments = ["train", trained.task, str(trained.data), "--out", str(out), *options]
    running = begun(arguments)
    if moment.random() < 0.7:
        wait_for(running, moment.choice(trained.said.stderr.partition("epoch 1/")[0].splitlines()))
    kill(running, moment.uniform(0, 1))
    saved = (tmp_path / "killed.partial/run.json").is_file()
    running = begun([*arguments, *["--resume"] * saved])
    wait_for(running, "epoch 1/")
    second = dltasks(*arguments, "--resume")
    assert second.returncode == 1 and "another run works there" in second.stderr
    if later := moment.choice(["", "epoch 2/", "epoch 3/", "writing the bundle"]):
        wait_for(running, later)
    kill(running, moment.uniform(0, 0.5))
    again = dltasks(*arguments)
    assert again.returncode == 1 and "--resume" in again.stderr
    other = dltasks(*arguments, "--resume", "--seed", 5)
    assert other.returncode == 1 and "goes on with the run's own settings, seed 0" in other.stderr
    resumed = dltasks(*arguments, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert "going on after epoch" in resumed.stderr
    assert sorted(each.name for each in tmp_path.iterdir()) == ["killed"]
    whole = json.loads((trained.bundle / "bundle.json").read_text())
    assert whole["config"] == json.loads((out / "bundle.json").read_text())["config"]
    assert (
        whole["files"]["model.tflite"]
        == json.loads((out / "bundle.json").read_text())["files"]["model.tflite"]
    )


def test_an_interrupted_run_keeps_the_best_and_says_how_to_go_on(trained, tmp_path):
    out = tmp_path / "cut"
    settings = importlib.import_module(f"data_{trained.task}").SETTINGS | {"epochs": 500}
    options = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
    arguments = ["train", trained.task, str(trained.data), "--out", str(out), *options]
    running = subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=ROOT,
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        # A shell starts background jobs with SIGINT ignored, and their children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    for line in running.stderr:
        if line.startswith(b"epoch 1/"):
            break
    os.kill(running.pid, signal.SIGINT)
    said = running.stderr.read().decode()
    assert running.wait() == 130, said
    assert "Traceback" not in said and "--resume" in said.splitlines()[-1]
    assert library.load(out).manifest["training"]["interrupted"] is True


class Losing(Progress):
    """Removes a data set after the first epoch, and stops the run."""

    def __init__(self, data: Path):
        self.data, self.said = data, []

    def log(self, text):
        self.said.append(text)
        if text.startswith("epoch 1/"):
            shutil.rmtree(self.data)
            raise KeyboardInterrupt


def test_data_that_is_lost_in_mid_run_is_named_and_costs_no_more_than_itself(trained, tmp_path):
    lost = tmp_path / "data"
    whole = trained.data if trained.data.is_dir() else trained.data.parent
    shutil.copytree(whole, lost)
    source, out, progress = lost / trained.data.relative_to(whole), tmp_path / "out", Losing(lost)
    settings = importlib.import_module(f"data_{trained.task}").SETTINGS
    library.train(trained.task, source, out, progress=progress, **settings)
    skipped = [each for each in progress.said if each.startswith("skipped: ")]
    assert all(each.startswith(f"skipped: {lost}") and "no such file" in each for each in skipped)
    state = {each.name: each.read_bytes() for each in (tmp_path / "out.partial").iterdir()}
    with pytest.raises(DataError, match="no such file or folder"):
        library.train(trained.task, source, out, resume=True)
    assert {each.name: each.read_bytes() for each in (tmp_path / "out.partial").iterdir()} == state
    assert library.load(out).manifest["training"]["interrupted"] is True


def test_like_repeats_the_plan_of_a_bundle(trained, tmp_path):
    out = tmp_path / "like"
    said = dltasks("train", "--config-from", trained.bundle, trained.data, "--out", out, "--epochs", 1)
    assert said.returncode == 0, said.stderr
    config = json.loads((out / "bundle.json").read_text())["config"]
    assert config == json.loads((trained.bundle / "bundle.json").read_text())["config"] | {"epochs": 1}


def copy(trained, tmp_path) -> Path:
    return Path(shutil.copytree(trained.bundle, tmp_path / "copy"))


def test_a_damaged_bundle_is_refused(trained, tmp_path):
    damaged = copy(trained, tmp_path)
    content = bytearray((damaged / "model.tflite").read_bytes())
    content[len(content) // 2] ^= 1
    (damaged / "model.tflite").write_bytes(content)
    said = dltasks("show", damaged)
    assert said.returncode == 1 and said.stderr.count("\n") == 1
    assert "damaged" in said.stderr and "model.tflite" in said.stderr


def test_a_bundle_of_a_newer_format_is_refused(trained, tmp_path):
    newer = copy(trained, tmp_path)
    record = json.loads((newer / "bundle.json").read_text()) | {"format": 99}
    (newer / "bundle.json").write_text(json.dumps(record))
    said = dltasks("show", newer)
    assert said.returncode == 1 and "format 99" in said.stderr and "--upgrade" in said.stderr


def test_a_damaged_file_is_refused(trained, tmp_path):
    model = library.load(trained.bundle)
    model.export(tmp_path / "damaged.tflite", quantize=model.manifest["config"]["quantize"])
    content = bytearray((tmp_path / "damaged.tflite").read_bytes())
    content[5000] ^= 1
    (tmp_path / "damaged.tflite").write_bytes(content)
    said = dltasks("show", tmp_path / "damaged.tflite")
    assert said.returncode == 1 and "damaged" in said.stderr


def test_a_full_disk_leaves_the_old_bundle_whole(trained, tmp_path):
    import resource

    old = copy(trained, tmp_path)
    before = {each.name: each.read_bytes() for each in old.iterdir()}
    settings = importlib.import_module(f"data_{trained.task}").SETTINGS | {"epochs": 1}
    options = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
    full = tmp_path / "quota"
    said = dltasks(
        "train",
        trained.task,
        trained.data,
        "--out",
        old,
        *options,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
    )
    assert said.returncode == 1 and not full.exists()
    assert said.stderr.splitlines()[-1].startswith("dltasks: ")
    assert {each.name: each.read_bytes() for each in old.iterdir()} == before


def test_fields_survive_the_bundle(trained):
    model = library.load(trained.bundle)
    assert replace(model.task) == model.task
    plain = {name: value for name, value in vars(model.task).items() if name not in asset_names(model.task)}
    assert model.manifest["fields"].items() <= json.loads(json.dumps(plain)).items()
    assert save_assets(model.task) == {
        name: (trained.bundle / name).read_bytes() for name in save_assets(model.task)
    }
