"""What every task must do: a new task is tested by having a folder, and by tests/data_TASK.py."""

import importlib
import inspect
import json
import shutil
import signal
import zipfile
from dataclasses import asdict, fields, is_dataclass, replace
from itertools import groupby
from pathlib import Path

import pytest
from conftest import (
    COMMAND,
    ROOT,
    TASKS,
    TOY,
    TOY_COMMAND,
    Result,
    Trained,
    dltasks,
    start_process,
    to_options,
    train_once,
    wait_for,
)

import dltasks as library
from dltasks import registry
from dltasks.bundle import card, storage
from dltasks.cli import config_options
from dltasks.config import QUANTIZATION_MODES
from dltasks.errors import DataError
from dltasks.fields import asset_names, save_assets
from dltasks.litert import metadata
from dltasks.model import Model
from dltasks.protocols import Streams

CARD_HEADINGS = ["Intended uses and limitations", "Training data", "Training procedure", "Evaluation"]

pytestmark = pytest.mark.usefixtures("toy")


@pytest.fixture(scope="module", params=TASKS)
def trained(request, toy, tmp_path_factory) -> Trained:
    """A bundle of each task, trained on a small data set."""
    return train_once(request.param, request.param, tmp_path_factory)


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory) -> tuple[Path, Result]:
    """The bundle's network exported in its own quantization mode, and the command's result; read-only."""
    out = tmp_path_factory.mktemp("exported") / "alone.tflite"
    quantize = trained.manifest["config"]["quantize"]
    result = dltasks("export", trained.bundle, "--quantize", quantize, "--out", out, "--json")
    assert result.returncode == 0, result.stderr
    return out, result


@pytest.fixture(params=TASKS)
def model(request, tmp_path_factory) -> Model:
    """The bundled model of each task; the toy has none, and trains one."""
    if request.param == "toy":
        return library.load(train_once("toy", "toy", tmp_path_factory).bundle)
    return library.load(storage.default_model(request.param))


def samples_for(model: Model) -> list[Path]:
    task = registry.task_name(model.task)
    folder = TOY / "samples" if task == "toy" else ROOT / "samples" / task
    return sorted(path for path in folder.iterdir() if path.is_file())


def to_json(predictions) -> list[dict]:
    return [prediction.to_json() for prediction in predictions]


def inputs_of(pairs) -> list[str]:
    """Names of the inputs; one with many predictions is named once."""
    return [name for name, _ in groupby(name for name, _ in pairs)]


def load_inputs(trained: Trained, count: int):
    return library.load(trained.bundle).task.load_examples(trained.data).inputs[:count]


# --- a task


@pytest.mark.parametrize("task", TASKS)
def test_a_task_is_a_frozen_dataclass_named_by_its_folder(task):
    cls = registry.find_task(task)
    assert is_dataclass(cls) and cls.__dataclass_params__.frozen
    assert registry.task_name(cls()) == task


@pytest.mark.parametrize("task", TASKS)
def test_every_training_setting_has_a_help_text(task):
    for setting in fields(registry.find_task(task).config):
        assert setting.metadata["help"].endswith(".")


@pytest.mark.parametrize("task", TASKS)
def test_no_training_setting_has_the_name_of_a_parameter_of_train(task):
    from dltasks.training import train

    parameters = set(inspect.signature(train.train).parameters)
    assert not parameters & {setting.name for setting in fields(registry.find_task(task).config)}


def test_the_toy_task_has_at_most_60_lines():
    sources = [path.read_text() for path in (TOY / "tasks/toy").glob("*.py")]
    assert sum(bool(line.strip()) for source in sources for line in source.splitlines()) <= 60


# --- predictions of a good model


def test_a_model_predicts_every_sample(model):
    predictions = model.predict(*samples_for(model))
    assert len(predictions) >= len(samples_for(model)) >= 2
    json.dumps(to_json(predictions))


def test_inputs_get_the_same_predictions_together_and_alone(model):
    samples = samples_for(model)
    alone = [prediction for sample in samples for prediction in model.predict(sample)] * 2
    assert to_json(model.predict(*samples * 2)) == to_json(alone)


def test_predictions_do_not_depend_on_the_number_of_threads(model):
    small, large = sorted(samples_for(model), key=lambda sample: sample.stat().st_size)[:2]
    sources = [small, large] * 2 + [small] * 32 + [large, small] * 2
    parallel = list(model.iter_predictions(sources, threads=4))
    serial = list(model.iter_predictions(sources, threads=1))
    assert inputs_of(parallel) == [name for name, _ in groupby(map(str, sources))]
    first, second = (to_json(prediction for _, prediction in pairs) for pairs in (parallel, serial))
    assert first == second


def test_a_bad_input_is_named_and_fails_alone(model, tmp_path):
    bad = importlib.import_module(f"data_{registry.task_name(model.task)}").bad_input(tmp_path)
    first, second, *_ = samples_for(model)
    sources = [first, bad, tmp_path / "missing", second]
    pairs = list(model.iter_predictions(sources))
    assert inputs_of(pairs) == list(map(str, sources))
    failures = [prediction for _, prediction in pairs if isinstance(prediction, DataError)]
    assert len(failures) == 2 and str(bad) in str(failures[0])
    assert "missing: no such file" in str(failures[1])
    with pytest.raises(DataError, match=bad.name):
        model.predict(first, bad)


def test_predictions_are_written_as_text_csv_and_json(model, tmp_path):
    samples = samples_for(model)
    count = len(model.predict(*samples))
    forms = ([], ["--csv"], ["--json"])
    text, csv, lines = (dltasks("predict", model.path, *form, *samples) for form in forms)
    assert [text.returncode, csv.returncode, lines.returncode] == [0, 0, 0]
    assert len(text.stdout.splitlines()) == len(lines.stdout.splitlines()) == count
    assert csv.stdout.startswith("input,") and len(csv.stdout.splitlines()) > count
    assert inputs_of((json.loads(line)["input"], None) for line in lines.stdout.splitlines()) == [
        str(sample) for sample in samples
    ]


@pytest.mark.parametrize("name", storage.bundled_names())
def test_the_card_of_a_bundled_model_is_up_to_date_and_complete(name):
    folder = storage.find_bundle(name)
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert text == card.render_card(name, storage.read_manifest(folder))
    headings = [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]
    assert headings == CARD_HEADINGS
    for required in ("licen", "95 % interval", "parameters"):
        assert required in text


# --- training


def test_training_prints_one_object_with_the_scores_of_the_test_split(trained):
    printed = json.loads(trained.result.stdout)
    assert printed["bundle"] == str(trained.bundle)
    for score in printed["scores"].values():
        assert score["low"] <= score["value"] <= score["high"]
        assert 0 < score["count"] <= printed["count"]
    assert str(trained.bundle) in trained.result.stderr.splitlines()[-1]


def test_a_bundle_has_all_its_files_and_no_others(trained):
    task = library.load(trained.bundle).task
    streaming = {"stream.tflite", "stream.golden.npz"} if isinstance(task, Streams) else set()
    expected = {"README.md", "bundle.json", "golden.npz", "model.keras", "model.tflite", "parity.json"}
    expected |= {*asset_names(type(task)).values(), *task.describe().extra_files, *streaming}
    assert {path.name for path in trained.bundle.iterdir()} == expected
    assert not trained.bundle.with_name("bundle.partial").exists()


def test_the_fields_of_a_task_survive_the_bundle(trained):
    model = library.load(trained.bundle)
    assert replace(model.task) == model.task
    plain = {name: value for name, value in vars(model.task).items() if name not in asset_names(model.task)}
    assert model.manifest["fields"].items() <= json.loads(json.dumps(plain)).items()
    assets = save_assets(model.task)
    assert assets == {name: (trained.bundle / name).read_bytes() for name in assets}


def test_config_from_repeats_the_config_of_a_bundle(trained):
    config = config_options.load_config(trained.task, None, str(trained.bundle))
    assert isinstance(config, registry.find_task(trained.task).config)
    assert json.loads(json.dumps(asdict(config))) == trained.manifest["config"]


def test_a_killed_run_resumes_to_the_weights_of_an_unbroken_one(trained, tmp_path):
    out, settings = tmp_path / "killed", importlib.import_module(f"data_{trained.task}").SETTINGS
    arguments = ["train", trained.task, trained.data, "--out", out, *to_options(settings)]
    process = start_process(*arguments, command=TOY_COMMAND if trained.task == "toy" else COMMAND)
    wait_for(process, "epoch 1/")
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not out.exists()
    result = dltasks(*arguments, "--resume")
    assert result.returncode == 0 and " after epoch " in result.stderr, result.stderr
    resumed, unbroken = json.loads((out / "bundle.json").read_text()), trained.manifest
    assert resumed["files"]["model.tflite"] == unbroken["files"]["model.tflite"]
    assert [epoch["loss"] for epoch in resumed["training"]["history"]] == [
        epoch["loss"] for epoch in unbroken["training"]["history"]
    ]


# --- evaluation and verification


def test_evaluate_prints_one_object_and_recognizes_training_data(trained):
    result = dltasks("evaluate", trained.bundle, trained.data, "--json")
    assert result.returncode == 0, result.stderr
    printed = json.loads(result.stdout)
    assert {"model", "data", "count", "scores", "confusion"} <= set(printed)
    assert all({"value", "low", "high", "count"} == set(score) for score in printed["scores"].values())
    seen = dltasks("evaluate", trained.bundle, trained.data, "--split", "all")
    assert "note: " in seen.stderr and "trained on this" in seen.stderr


def test_a_bundle_and_its_exported_file_are_verified(trained, exported):
    for path in (trained.bundle, exported[0]):
        result = dltasks("verify", path, "--json")
        printed = json.loads(result.stdout)
        assert result.returncode == 0 and printed["passed"], result.stdout
        assert printed["max_difference"] < 1e-3
        assert printed["parity"]["count"] > 0


def test_a_changed_file_is_not_verified(exported, tmp_path):
    content, out = exported[0].read_bytes(), tmp_path / "changed.tflite"
    for position, text in (
        (len(content) // 3, "damaged"),
        (len(content) - 60, "BAD"),
        (len(content), "was changed"),
    ):
        changed = bytearray(content + b" ")
        changed[position] ^= 1
        out.write_bytes(changed)
        result = dltasks("verify", out)
        assert result.returncode == 1 and text in result.stdout


def test_a_damaged_file_is_refused(exported, tmp_path):
    content, out = exported[0].read_bytes(), tmp_path / "damaged.tflite"
    flipped, directory = bytearray(content), bytearray(content)
    flipped[len(content) // 8] ^= 1
    directory[content.rfind(b"PK\x01\x02") + 2] ^= 4
    for damaged in (content[:-100], bytes(flipped), bytes(directory)):
        out.write_bytes(damaged)
        result = dltasks("show", out)
        assert result.returncode == 1 and "damaged" in result.stderr


def test_a_damaged_bundle_is_refused(trained, tmp_path):
    damaged = Path(shutil.copytree(trained.bundle, tmp_path / "copy"))
    content = bytearray((damaged / "model.tflite").read_bytes())
    content[len(content) // 2] ^= 1
    (damaged / "model.tflite").write_bytes(content)
    result = dltasks("show", damaged)
    assert result.returncode == 1 and result.stderr.count("\n") == 1
    assert "damaged" in result.stderr and "model.tflite" in result.stderr


def test_a_bundle_of_a_newer_format_is_refused(trained, tmp_path):
    newer = Path(shutil.copytree(trained.bundle, tmp_path / "copy"))
    (newer / "bundle.json").write_text(json.dumps(trained.manifest | {"format": 99}))
    result = dltasks("show", newer)
    assert result.returncode == 1 and "format 99" in result.stderr and "--upgrade" in result.stderr


# --- exported files


def test_the_model_file_of_a_bundle_predicts_as_the_bundle(trained):
    inputs = load_inputs(trained, 3)
    file = library.load(trained.bundle / "model.tflite")
    assert to_json(file.predict(*inputs)) == to_json(library.load(trained.bundle).predict(*inputs))


def test_an_exported_file_predicts_alone_as_its_bundle(trained, exported):
    out, result = exported
    printed = json.loads(result.stdout)
    assert printed["agreement"] >= 0.98 and printed["bytes"] > 1000 and printed["latency"] > 0
    file, bundle = library.load(out), library.load(trained.bundle)
    inputs = list(load_inputs(trained, 9))
    assert to_json(file.predict(*inputs)) == to_json(bundle.predict(*inputs))


def test_an_exported_file_describes_itself_in_the_standard_metadata(trained, exported):
    out, _ = exported
    model, described = library.load(trained.bundle), metadata.read_metadata(out.read_bytes())
    with zipfile.ZipFile(out) as archive:
        assert {"bundle.json", "README.md", "golden.npz"} <= set(archive.namelist())
        assert archive.testzip() is None
    assert described["name"] == model.name
    assert described["version"] and described["license"] and described["author"]
    subgraph = described["subgraph_metadata"][0]
    inputs, outputs = subgraph["input_tensor_metadata"], subgraph["output_tensor_metadata"]
    assert {tensor["name"] for tensor in inputs} == set(model.runtime.inputs)
    assert {tensor["name"] for tensor in outputs} == set(model.runtime.outputs)
    assert all(tensor.get("description") for tensor in inputs)


def test_a_saved_model_has_named_inputs_and_outputs(trained, tmp_path):
    out = tmp_path / "saved"
    result = dltasks("export", trained.bundle, "--format", "saved-model", "--out", out, "--json")
    assert result.returncode == 0, result.stderr
    import tensorflow as tf

    serve = tf.saved_model.load(str(out)).signatures["serving_default"]
    model = library.load(trained.bundle)
    assert set(serve.structured_input_signature[1]) == set(model.runtime.inputs)
    assert set(serve.structured_outputs) == set(model.runtime.outputs)
    assert (out / "assets.extra" / "bundle.json").is_file()


@pytest.mark.parametrize(
    "trained",
    [pytest.param(task, marks=() if task == "toy" else pytest.mark.slow) for task in TASKS],
    indirect=True,
)
def test_auto_tries_every_quantization_mode(trained, tmp_path):
    out = tmp_path / "auto.tflite"
    loose = ["--min-agreement", 0.5, "--max-score-drop", 1, "--prefer", "size"]
    result = dltasks("export", trained.bundle, "--quantize", "auto", *loose, "--out", out, "--json")
    assert result.returncode == 0, result.stderr
    printed = json.loads(result.stdout)
    tried = next(value for name, value in printed.items() if isinstance(value, dict) and "float16" in value)
    assert set(tried) == set(QUANTIZATION_MODES) and out.is_file()
    weights = 4 * trained.manifest["parameters"]
    for mode, parity in tried.items():
        assert parity["agreement"] > 0.5
        # A small network has tables and operations beside its weights.
        assert parity["bytes"] < _largest(trained.task, mode) * weights + 50_000
    assert printed["bytes"] == min(parity["bytes"] for parity in tried.values())


def _largest(task: str, mode: str) -> float:
    """Largest size of a file, as a multiple of its weights in float32."""
    if mode in ("none", "float16", "mixed"):
        return {"none": 1.1, "float16": 0.6, "mixed": 0.6}[mode]
    # Embeddings keep their weights.
    return 0.6 if (task, mode) == ("summary", "weight-int8") else 0.3


def test_missing_data_is_an_error_of_one_line(trained, tmp_path):
    result = dltasks("evaluate", trained.bundle, tmp_path / "missing")
    assert result.returncode == 1 and result.stderr.startswith("dltasks: ")
    assert "missing: no such file" in result.stderr and result.stderr.count("\n") == 1
