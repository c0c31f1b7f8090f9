"""Hostile files are told in one line, in time and in memory, and write nothing: thousands of them, see hostile.py."""

import json
import os
import shutil
import string

import data_summary
import hostile
import hostile_bundles
import hostile_runner
import numpy as np
import pytest
from conftest import ROOT, dltasks
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

import dltasks as library
from dltasks.data import tables
from dltasks.errors import DataError, DltasksError, ModelError
from dltasks.files import read_inside, unzip
from dltasks.litert import metadata, sandbox
from dltasks.tasks.image import pixels
from dltasks.tasks.speech import sound
from dltasks.tasks.summary import documents

steady = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

COUNTS = {
    "photo": 320,
    "sound": 350,
    "table": 450,
    "text": 220,
    "record": 400,
    "bundle": 150,
    "file": 150,
    "network": 315,
}
PARTS = [
    (kind, range(first, count, step))
    for kind, count in COUNTS.items()
    for step in [3 if kind == "network" else 1]
    for first in range(step)
]
"""Kinds, and numbers of the cases that one process tries; each network is tried in a process of its own besides."""


@pytest.mark.parametrize("kind, numbers", PARTS, ids=[f"{kind}-{numbers.start}" for kind, numbers in PARTS])
def test_no_hostile_file_does_harm(kind, numbers, tmp_path):
    found = hostile_runner.run(kind, numbers, tmp_path)
    assert not found.failures, "\n".join(f"{name}: {why}" for name, why in found.failures.items())
    assert found.total == len(numbers)
    # What nothing, or everything, is refused of would try nothing.
    assert 0 < found.counts["answered"] < found.total


@pytest.mark.parametrize(
    "code, reason", [(-11, "breaks down .* ended with -11"), (1, "breaks down"), (None, "within 10 s")]
)
def test_a_file_that_ends_the_process_it_is_tried_in_is_refused(code, reason, tmp_path, monkeypatch):
    asked = []

    def ended(*arguments, **options):
        asked.append(options["input"])
        if code is None:
            raise sandbox.subprocess.TimeoutExpired(arguments, options["timeout"])
        return sandbox.subprocess.CompletedProcess(arguments, code, b"", b"")

    monkeypatch.setattr(sandbox.subprocess, "run", ended)
    path = tmp_path / "other.tflite"
    path.write_bytes(hostile_bundles.strangers()["float.tflite"])
    with pytest.raises(ModelError, match=reason):
        library.load(path)
    # What is tried is what would then be run, whatever becomes of the file meanwhile.
    assert asked == [path.read_bytes()]


def test_there_are_thousands_of_cases_each_of_which_is_made_again_by_its_number():
    assert sum(COUNTS.values()) >= 2000 and COUNTS["network"] >= 300
    for kind in hostile.KINDS:
        assert hostile.make(kind, 199) == hostile.make(kind, 199) != hostile.make(kind, 199, seed=1)


def refused(load, *given) -> None:
    """It answers, or one of our errors of one line is raised."""
    try:
        load(*given)
    except DltasksError as error:
        assert "\n" not in str(error) and str(error).isprintable()


contents = some.binary(max_size=2000) | some.builds(
    lambda head, rest: head + rest,
    some.sampled_from([
        b"", b"RIFF\0\0\0\0WAVEfmt ", b"fLaC\0\0\0\x22", b"OggS\0\2", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a", b"II*\0",
        b"RIFF\0\0\0\0WEBPVP8 ", b"BM", b"PAR1", b"\x1f\x8b\x08", b"a,b\n1,", b'{"a": ', b"<html>", b"\xff\xfe", b"PK\3\4",
        b"\0\0\0\0TFL3",
    ]),
    some.binary(max_size=500),
)  # fmt: skip


@steady
@given(contents)
def test_any_bytes_are_a_photo_a_sound_a_text_a_table_or_refused(content):
    refused(pixels.load, content, 32)
    refused(sound.load, content, 16_000, 1600)
    refused(documents.load, content)
    refused(tables.read_table, content)


@steady
@given(some.binary(max_size=400))
def test_any_bytes_are_metadata_or_refused(content):
    refused(metadata.read_metadata, content)
    refused(metadata.read_metadata, hostile_bundles.told(hostile_bundles.network(), content))


@pytest.fixture
def bundle(tmp_path):
    hostile_bundles.lay("tiny", tmp_path / "tiny")
    return tmp_path / "tiny"


@steady
@given(some.binary(max_size=400) | some.text(max_size=400).map(str.encode))
def test_any_bytes_are_a_bundle_or_refused(bundle, content):
    (bundle / "bundle.json").write_bytes(content)
    refused(library.load, bundle)


values = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=20),
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(some.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)


@pytest.mark.parametrize("base", hostile_bundles.BASES)
def test_any_value_in_any_field_is_fitting_or_refused(base, tmp_path):
    folder, whole = tmp_path / base, hostile_bundles.manifest(base)
    hostile_bundles.lay(base, folder)
    places = [(name,) for name in whole] + [
        (part, name) for part in ("fields", "parity", "training", "files") for name in whole[part]
    ]

    @settings(steady, max_examples=40 + len(places))
    @given(some.sampled_from(places), values)
    def tried(place, value):
        record = json.loads(json.dumps(whole))
        inner = record if len(place) == 1 else record[place[0]]
        inner[place[-1]] = value
        (folder / "bundle.json").write_text(json.dumps(record))
        refused(library.load, folder)

    tried()


cells = some.text(some.characters(codec="utf-8"), max_size=30) | some.sampled_from(
    [
        "",
        "1e400",
        "nan",
        "-inf",
        "9" * 40,
        "2026-02-30 00:00:00",
        "0000-00-00",
        "+292277-01-01",
        "1,5",
        "'",
        '"',
        "\0",
    ]
)


@steady
@given(some.lists(some.tuples(cells, cells, cells, cells, cells, cells), min_size=1, max_size=4))
def test_any_text_in_the_cells_of_transactions_is_answered_or_told_by_its_row(tmp_path, rows):
    head, *good = (ROOT / "samples/fraud/tomorrow.csv").read_text().splitlines()[:4]
    assert head == "id,time,customer,terminal,kind,amount"
    lines = [",".join('"' + each.replace('"', '""') + '"' for each in row) for row in rows]
    path = tmp_path / "some.csv"
    path.write_text("\n".join([head, *good, *lines]), encoding="utf-8", newline="")
    model = library.load("cards")
    for _, answer in model.iter_predictions([path], 1):
        if isinstance(answer, DltasksError):
            assert str(answer).isprintable() and str(path) in str(answer)
        else:
            assert 0 <= answer.probability <= 1


# --- bundles


@pytest.mark.parametrize("name", ["../secret.txt", "/etc/passwd", "a/b", "a\\b", "..", ".", "", "a\0b"])
def test_a_file_of_a_bundle_has_a_plain_name(bundle, name):
    (bundle.parent / "secret.txt").write_text("secret")
    with pytest.raises(ModelError, match="not the name of a file"):
        read_inside(bundle, name)
    record = json.loads((bundle / "bundle.json").read_text())
    (bundle / "bundle.json").write_text(json.dumps(record | {"files": record["files"] | {name: "0"}}))
    for verb in ("show", "verify"):
        said = dltasks(verb, bundle)
        assert said.returncode == 1 and "not the name of a file" in said.stdout + said.stderr


@pytest.mark.parametrize("name", ["bundle.json", "model.tflite", "labels.txt", "golden.npz"])
def test_a_file_of_a_bundle_is_no_link_to_elsewhere_and_no_device(bundle, name):
    elsewhere = bundle.parent / name
    shutil.move(bundle / name, elsewhere)
    for target, reason in (
        (elsewhere, "leads out of the bundle"),
        ("/dev/zero", "leads out"),
        (".", "not a file|leads out"),
    ):
        (bundle / name).symlink_to(target)
        with pytest.raises(ModelError, match=reason):
            read_inside(bundle, name)
        said = dltasks("verify", bundle)
        assert said.returncode == 1
        (bundle / name).unlink()
    shutil.copy(elsewhere, bundle / "kept")
    (bundle / name).symlink_to("kept")
    assert library.load(bundle).task.size == hostile_bundles.SIDE


def test_what_is_left_of_a_bundle_in_a_pipe_is_not_waited_for(bundle):
    (bundle / "labels.txt").unlink()
    os.mkfifo(bundle / "labels.txt")
    with pytest.raises(ModelError, match="not a file"):
        library.load(bundle)


@pytest.mark.parametrize(
    "name", [n for n in hostile_bundles.crafted_networks() if "bomb" in n or "tables" in n]
)
def test_bombs_in_the_metadata_of_a_file_are_refused(name, tmp_path):
    path = tmp_path / "bomb.tflite"
    path.write_bytes(hostile_bundles.crafted_networks()[name])
    said = dltasks("classify", "--model", path, ROOT / "samples/image/cat.jpg")
    assert said.returncode == 1 and len(said.stderr.splitlines()) == 1
    assert os.listdir(tmp_path) == ["bomb.tflite"]


def test_a_zip_is_not_unpacked_beyond_what_is_allowed():
    import zipfile

    with pytest.raises(zipfile.BadZipFile, match="unpack to 2,000"):
        unzip(hostile_bundles.zipped(b"", {"a": b"a" * 1000, "b": b"b" * 1000}), 1999)
    assert unzip(hostile_bundles.zipped(b"", {"../a": b"a"}), 1) == {"../a": b"a"}


# --- Keras files


def keras_bundle(folder, model) -> None:
    """A bundle whose model.keras is this one, its hash as recorded."""
    import hashlib

    hostile_bundles.lay("tiny", folder)
    model.save(folder / "model.keras")
    record = json.loads((folder / "bundle.json").read_text())
    record["files"]["model.keras"] = hashlib.sha256((folder / "model.keras").read_bytes()).hexdigest()
    (folder / "bundle.json").write_text(json.dumps(record))


def test_a_keras_file_runs_no_code_of_its_own(tmp_path):
    import keras

    from dltasks.export.networks import load_network
    from dltasks.tasks.image import network

    owned = tmp_path / "owned"
    code = f"lambda x: (open({str(owned)!r}, 'w'), x)[1]"
    pixels_in = keras.Input((8, 8, 3))
    model = keras.Model(pixels_in, keras.layers.Lambda(eval(code), output_shape=(8, 8, 3))(pixels_in))
    owned.unlink(missing_ok=True)
    keras_bundle(tmp_path / "lambda", model)
    with pytest.raises(ModelError, match=r"model.keras can't be loaded \(.*\)$") as told:
        load_network(tmp_path / "lambda")
    assert "\n" not in str(told.value)
    with pytest.raises(ModelError, match="loads safely"):
        network.from_file(tmp_path / "lambda/model.keras")
    said = dltasks(
        "export", tmp_path / "lambda", "--out", tmp_path / "x.tflite", "--data", ROOT / "samples/image"
    )
    assert said.returncode == 1 and "can't be loaded" in said.stderr and len(said.stderr.splitlines()) == 1
    assert not owned.exists() and not (tmp_path / "x.tflite").exists()


@pytest.mark.parametrize(
    "named", [("os", "system"), ("builtins", "exec"), ("subprocess", "Popen"), ("conftest", "dltasks")]
)
def test_a_keras_file_names_no_class_from_elsewhere(named, tmp_path):
    import io
    import zipfile

    import keras

    from dltasks.export.networks import load_network

    module, name = named
    folder, owned = tmp_path / "bundle", tmp_path / "owned"
    keras_bundle(folder, keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="victim")]))
    with zipfile.ZipFile(folder / "model.keras") as archive:
        inside = {each: archive.read(each) for each in archive.namelist()}
    config = json.loads(inside["config.json"])
    for each in config["config"]["layers"]:
        if each["class_name"] == "Dense":
            each |= {
                "module": module,
                "class_name": name,
                "registered_name": name,
                "config": {"command": f"touch {owned}"},
            }
    inside["config.json"] = json.dumps(config).encode()
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for each, content in inside.items():
            archive.writestr(each, content)
    _with_hash(folder, "model.keras", file.getvalue())
    with pytest.raises(ModelError, match="can't be loaded"):
        load_network(folder)
    assert not owned.exists()


def _with_hash(folder, name: str, content: bytes) -> None:
    import hashlib

    (folder / name).write_bytes(content)
    record = json.loads((folder / "bundle.json").read_text())
    record["files"][name] = hashlib.sha256(content).hexdigest()
    (folder / "bundle.json").write_text(json.dumps(record))


def test_a_damaged_keras_file_is_told(tmp_path):
    import keras

    from dltasks.export.networks import load_network

    folder = tmp_path / "bundle"
    keras_bundle(folder, keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]))
    whole = (folder / "model.keras").read_bytes()
    for number in range(40):
        random = np.random.default_rng(number)
        _with_hash(folder, "model.keras", hostile.damaged(whole, random, [whole])[1])
        try:
            load_network(folder)
        except ModelError as error:
            assert "\n" not in str(error)


# --- the command


NASTY = {
    "classify": ("photo", ("a billion pixels.png", "a bomb of grey and transparency.png", "scans without end.jpg", "a program.jpg")),
    "recognize": ("sound", ("768000 hertz in 1024 channels.wav", "a frame again and again.flac", "no numbers.wav", "nothing.wav")),
    "detect-fraud": ("table", ("a bomb.csv.gz", "a million columns.csv", "a lone quote.csv", "rows of nothing.parquet", "nested.jsonl")),
    "summarize": ("text", ("zeros.txt", "halves.txt", "nothing.txt", "a mark.txt")),
}  # fmt: skip


@pytest.mark.parametrize("verb, name", [(verb, name) for verb, (_, names) in NASTY.items() for name in names])
def test_the_command_tells_the_nastiest_in_one_line(verb, name, tmp_path):
    kind = NASTY[verb][0]
    content = hostile.CRAFTED[kind]()[name]
    (tmp_path / name).write_bytes(content() if callable(content) else content)
    said = dltasks(verb, tmp_path / name)
    if name == "a bomb of grey and transparency.png":
        assert said.returncode in (0, 1) and not said.stderr.count("\n") > 1
    else:
        assert said.returncode == 1 and said.stdout == ""
        told = [each for each in said.stderr.splitlines() if not each.startswith("note: no --history")]
        assert len(told) == 1, said.stderr
        assert name in said.stderr
    assert os.listdir(tmp_path) == [name]


def test_names_of_files_may_hold_anything(tmp_path):
    signs = [chr(i) for i in range(1, 128) if chr(i) not in string.ascii_letters + "/"]
    for name in ("".join(signs) + "\udcff.jpg", "line\nbreak.jpg", "\x1b[31m.jpg"):
        (tmp_path / f"a{name}").write_bytes((ROOT / "samples/image/cat.jpg").read_bytes())
        (tmp_path / f"b{name}").write_bytes(b"no photo")
    for form in ([], ["--json"]):
        said = dltasks("classify", *form, tmp_path)
        assert said.returncode == 1, said.stderr
        assert len(said.stdout.splitlines()) + len(said.stderr.splitlines()) == 6
        assert "\x1b" not in said.stdout + said.stderr
    assert dltasks("classify", "--csv", tmp_path).returncode == 1


def test_a_pipe_in_a_folder_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.jpg")
    os.mkfifo(tmp_path / "a.wav")
    for verb in ("classify", "recognize"):
        said = dltasks(verb, tmp_path, timeout=20)
        assert said.returncode == 1 and "in this folder" in said.stderr


def test_endless_inputs_are_not_read():
    for verb in ("classify", "recognize", "detect-fraud", "summarize"):
        said = dltasks(verb, "/dev/zero", timeout=20)
        assert said.returncode == 1 and "/dev/zero" in said.stderr


def test_a_list_of_summaries_is_still_a_column(tmp_path):
    path = tmp_path / "pairs.jsonl"
    rows = [each | {"summary": [each["summary"], "another"]} for each in data_summary.pairs(3)]
    path.write_text("".join(json.dumps(each) + "\n" for each in rows))
    assert library.load("sentences").task.load_examples(path).labels[0].summaries[1] == "another"
    with pytest.raises(DataError, match="lists or objects"):
        library.load("cards").task.load_examples(_with_lists(tmp_path / "lists.jsonl"))


def _with_lists(path):
    row = {"id": 1, "time": "2026-01-01", "customer": "a", "terminal": "b", "amount": [1, 2], "fraud": 0}
    path.write_text(json.dumps(row) + "\n")
    return path
