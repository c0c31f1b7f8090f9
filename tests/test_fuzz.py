"""Fuzzed files are refused in one line, within time and memory, and nothing is written: see fuzz.py."""

import json
import os
import shutil
import string
from pathlib import Path

import data_summary
import fuzz
import fuzz_bundles
import fuzz_runner
import numpy as np
import pytest
from conftest import ROOT, dltasks, run_process
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import dltasks as library
from dltasks.data import tables
from dltasks.errors import DataError, DltasksError, ModelError
from dltasks.files import read_inside, unzip
from dltasks.litert import metadata, sandbox
from dltasks.tasks.image import pixels
from dltasks.tasks.speech import audio
from dltasks.tasks.summary import documents

deterministic = settings(
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
    "manifest": 400,
    "bundle": 150,
    "file": 150,
    "network": 315,
}
SAMPLES = [(kind, range(0, count, 10)) for kind, count in COUNTS.items()]
"""Kinds, and numbers of the cases that one process tries: a tenth of all."""

ALL = [
    (kind, range(first, count, step))
    for kind, count in COUNTS.items()
    for step in [3 if kind == "network" else 1]
    for first in range(step)
]
"""All cases."""


def check(kind: str, numbers: range, folder: Path) -> None:
    outcome = fuzz_runner.run(kind, numbers, folder)
    assert not outcome.failures, "\n".join(f"{name}: {why}" for name, why in outcome.failures.items())
    assert outcome.total == len(numbers)
    # Cases that are all answered, or all refused, would prove nothing.
    assert 0 < outcome.counts["answered"] < outcome.total


@pytest.mark.parametrize("kind, numbers", SAMPLES, ids=COUNTS)
def test_a_sample_of_fuzzed_files_does_no_harm(kind, numbers, tmp_path):
    check(kind, numbers, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind, numbers", ALL, ids=[f"{kind}-{numbers.start}" for kind, numbers in ALL])
def test_no_fuzzed_file_does_harm(kind, numbers, tmp_path):
    check(kind, numbers, tmp_path)


@pytest.mark.parametrize(
    "code, reason", [(-11, "breaks down .* ended with -11"), (1, "breaks down"), (None, "within 10 s")]
)
def test_a_file_that_crashes_the_sandbox_is_refused(code, reason, tmp_path, monkeypatch):
    tried = []

    def crash(*arguments, **options):
        tried.append(options["input"])
        if code is None:
            raise sandbox.subprocess.TimeoutExpired(arguments, options["timeout"])
        return sandbox.subprocess.CompletedProcess(arguments, code, b"", b"")

    monkeypatch.setattr(sandbox.subprocess, "run", crash)
    path = tmp_path / "other.tflite"
    path.write_bytes(fuzz_bundles.third_party_files()["float.tflite"])
    with pytest.raises(ModelError, match=reason):
        library.load(path)
    # The tried content is the one that would run, even if the file changes meanwhile.
    assert tried == [path.read_bytes()]


def test_there_are_thousands_of_cases_reproducible_from_their_number():
    assert sum(COUNTS.values()) >= 2000 and COUNTS["network"] >= 300
    for kind in fuzz.KINDS:
        assert fuzz.make(kind, 199) == fuzz.make(kind, 199) != fuzz.make(kind, 199, seed=1)


def load_or_refuse(load, *arguments) -> None:
    """Call it: it returns, or raises one of our errors in one line."""
    try:
        load(*arguments)
    except DltasksError as error:
        assert "\n" not in str(error) and str(error).isprintable()


contents = st.binary(max_size=2000) | st.builds(
    lambda head, rest: head + rest,
    st.sampled_from(
        [
            b"",
            b"RIFF\0\0\0\0WAVEfmt ",
            b"fLaC\0\0\0\x22",
            b"OggS\0\2",
            b"\x89PNG\r\n\x1a\n",
            b"\xff\xd8\xff\xe0",
            b"GIF89a",
            b"II*\0",
            b"RIFF\0\0\0\0WEBPVP8 ",
            b"BM",
            b"PAR1",
            b"\x1f\x8b\x08",
            b"a,b\n1,",
            b'{"a": ',
            b"<html>",
            b"\xff\xfe",
            b"PK\3\4",
            b"\0\0\0\0TFL3",
        ]
    ),
    st.binary(max_size=500),
)


@deterministic
@given(contents)
def test_any_bytes_are_loaded_as_a_photo_recording_text_or_table_or_refused(content):
    load_or_refuse(pixels.load, content, 32)
    load_or_refuse(audio.load, content, 16_000, 1600)
    load_or_refuse(documents.load_document, content)
    load_or_refuse(tables.read_table, content)


@deterministic
@given(st.binary(max_size=400))
def test_any_bytes_are_metadata_or_refused(content):
    load_or_refuse(metadata.read_metadata, content)
    load_or_refuse(metadata.read_metadata, fuzz_bundles.with_metadata(fuzz_bundles.network(), content))


@pytest.fixture
def bundle(tmp_path):
    fuzz_bundles.write_bundle("tiny", tmp_path / "tiny")
    return tmp_path / "tiny"


@deterministic
@given(st.binary(max_size=400) | st.text(max_size=400).map(str.encode))
def test_any_bytes_are_a_bundle_or_refused(bundle, content):
    (bundle / "bundle.json").write_bytes(content)
    load_or_refuse(library.load, bundle)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)


@pytest.mark.parametrize("base", fuzz_bundles.BASES)
def test_any_value_in_any_field_is_accepted_or_refused(base, tmp_path):
    folder, manifest = tmp_path / base, fuzz_bundles.manifest(base)
    fuzz_bundles.write_bundle(base, folder)
    paths = [(name,) for name in manifest] + [
        (section, name) for section in ("fields", "parity", "training", "files") for name in manifest[section]
    ]

    @settings(deterministic, max_examples=40 + len(paths))
    @given(st.sampled_from(paths), values)
    def load_changed(path, value):
        changed = json.loads(json.dumps(manifest))
        section = changed if len(path) == 1 else changed[path[0]]
        section[path[-1]] = value
        (folder / "bundle.json").write_text(json.dumps(changed))
        load_or_refuse(library.load, folder)

    load_changed()


cells = st.text(st.characters(codec="utf-8"), max_size=30) | st.sampled_from(
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


@deterministic
@given(st.lists(st.tuples(cells, cells, cells, cells, cells, cells), min_size=1, max_size=4))
def test_any_text_in_the_cells_of_transactions_is_scored_or_named_by_its_row(tmp_path, rows):
    head, *good = (ROOT / "samples/fraud/tomorrow.csv").read_text().splitlines()[:4]
    assert head == "id,time,customer,terminal,kind,amount"
    lines = [",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows]
    path = tmp_path / "st.csv"
    path.write_text("\n".join([head, *good, *lines]), encoding="utf-8", newline="")
    model = library.load("cards")
    for _, prediction in model.iter_predictions([path], 1):
        if isinstance(prediction, DltasksError):
            assert str(prediction).isprintable() and str(path) in str(prediction)
        else:
            assert 0 <= prediction.probability <= 1


# --- bundles


@pytest.mark.parametrize("name", ["../secret.txt", "/etc/passwd", "a/b", "a\\b", "..", ".", "", "a\0b"])
def test_a_file_of_a_bundle_has_a_plain_name(bundle, name):
    (bundle.parent / "secret.txt").write_text("secret")
    with pytest.raises(ModelError, match="not the name of a file"):
        read_inside(bundle, name)
    manifest = json.loads((bundle / "bundle.json").read_text())
    (bundle / "bundle.json").write_text(json.dumps(manifest | {"files": manifest["files"] | {name: "0"}}))
    for command in ("show", "verify"):
        result = dltasks(command, bundle)
        assert result.returncode == 1 and "not the name of a file" in result.stdout + result.stderr


@pytest.mark.parametrize("name", ["bundle.json", "model.tflite", "labels.txt", "golden.npz"])
def test_a_file_of_a_bundle_is_neither_a_link_out_of_it_nor_a_device(bundle, name):
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
        result = dltasks("verify", bundle)
        assert result.returncode == 1
        (bundle / name).unlink()
    shutil.copy(elsewhere, bundle / "copy")
    (bundle / name).symlink_to("copy")
    assert library.load(bundle).task.size == fuzz_bundles.SIDE


def test_a_pipe_in_a_bundle_is_not_waited_for(bundle):
    (bundle / "labels.txt").unlink()
    os.mkfifo(bundle / "labels.txt")
    with pytest.raises(ModelError, match="not a file"):
        library.load(bundle)


@pytest.mark.parametrize("name", [n for n in fuzz_bundles.crafted_networks() if "bomb" in n or "tables" in n])
def test_bombs_in_the_metadata_of_a_file_are_refused(name, tmp_path):
    path = tmp_path / "bomb.tflite"
    path.write_bytes(fuzz_bundles.crafted_networks()[name])
    result = dltasks("classify", "--model", path, ROOT / "samples/image/cat.jpg")
    assert result.returncode == 1 and len(result.stderr.splitlines()) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["bomb.tflite"]


def test_a_zip_is_not_unpacked_beyond_what_is_allowed():
    import zipfile

    with pytest.raises(zipfile.BadZipFile, match="unpack to 2,000"):
        unzip(fuzz_bundles.zipped(b"", {"a": b"a" * 1000, "b": b"b" * 1000}), 1999)
    assert unzip(fuzz_bundles.zipped(b"", {"../a": b"a"}), 1) == {"../a": b"a"}


# --- Keras files


def keras_bundle(folder, model) -> None:
    """A bundle whose model.keras is this one, with its hash."""
    import hashlib

    fuzz_bundles.write_bundle("tiny", folder)
    model.save(folder / "model.keras")
    manifest = json.loads((folder / "bundle.json").read_text())
    manifest["files"]["model.keras"] = hashlib.sha256((folder / "model.keras").read_bytes()).hexdigest()
    (folder / "bundle.json").write_text(json.dumps(manifest))


def test_a_keras_file_runs_no_code_of_its_own(tmp_path):
    import keras

    from dltasks.export.networks import load_network
    from dltasks.tasks.image import backbones

    owned = tmp_path / "owned"
    code = f"lambda x: (open({str(owned)!r}, 'w'), x)[1]"
    pixels_in = keras.Input((8, 8, 3))
    model = keras.Model(pixels_in, keras.layers.Lambda(eval(code), output_shape=(8, 8, 3))(pixels_in))
    owned.unlink(missing_ok=True)
    keras_bundle(tmp_path / "lambda", model)
    with pytest.raises(ModelError, match=r"model.keras can't be loaded \(.*\)$") as raised:
        load_network(tmp_path / "lambda")
    assert "\n" not in str(raised.value)
    with pytest.raises(ModelError, match="loads safely"):
        backbones.load_backbone(tmp_path / "lambda/model.keras")
    result = dltasks(
        "export", tmp_path / "lambda", "--out", tmp_path / "x.tflite", "--data", ROOT / "samples/image"
    )
    assert (
        result.returncode == 1 and "can't be loaded" in result.stderr and len(result.stderr.splitlines()) == 1
    )
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
        files = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(files["config.json"])
    for layer in config["config"]["layers"]:
        if layer["class_name"] == "Dense":
            layer |= {
                "module": module,
                "class_name": name,
                "registered_name": name,
                "config": {"command": f"touch {owned}"},
            }
    files["config.json"] = json.dumps(config).encode()
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for file_name, content in files.items():
            archive.writestr(file_name, content)
    _with_hash(folder, "model.keras", file.getvalue())
    with pytest.raises(ModelError, match="can't be loaded"):
        load_network(folder)
    assert not owned.exists()


def _with_hash(folder, name: str, content: bytes) -> None:
    import hashlib

    (folder / name).write_bytes(content)
    manifest = json.loads((folder / "bundle.json").read_text())
    manifest["files"][name] = hashlib.sha256(content).hexdigest()
    (folder / "bundle.json").write_text(json.dumps(manifest))


def test_a_damaged_keras_file_is_refused(tmp_path):
    import keras

    from dltasks.export.networks import load_network

    folder = tmp_path / "bundle"
    keras_bundle(folder, keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]))
    intact = (folder / "model.keras").read_bytes()
    for number in range(40):
        random = np.random.default_rng(number)
        _with_hash(folder, "model.keras", fuzz.mutate(intact, random, [intact])[1])
        try:
            load_network(folder)
        except ModelError as error:
            assert "\n" not in str(error)


# --- the command


NASTY = {
    "classify": (
        "photo",
        (
            "a billion pixels.png",
            "a bomb of gray and transparency.png",
            "scans without end.jpg",
            "a program.jpg",
        ),
    ),
    "recognize": (
        "sound",
        (
            "768000 hertz in 1024 channels.wav",
            "a frame again and again.flac",
            "no numbers.wav",
            "nothing.wav",
        ),
    ),
    "detect-fraud": (
        "table",
        (
            "a bomb.csv.gz",
            "a million columns.csv",
            "a lone quote.csv",
            "rows of nothing.parquet",
            "nested.jsonl",
        ),
    ),
    "summarize": ("text", ("zeros.txt", "halves.txt", "nothing.txt", "a mark.txt")),
}


@pytest.mark.parametrize(
    "command, name", [(command, name) for command, (_, names) in NASTY.items() for name in names]
)
def test_the_command_refuses_the_nastiest_files_in_one_line(command, name, tmp_path):
    kind = NASTY[command][0]
    content = fuzz.CRAFTED[kind]()[name]
    (tmp_path / name).write_bytes(content() if callable(content) else content)
    result = dltasks(command, tmp_path / name)
    if name == "a bomb of gray and transparency.png":
        assert result.returncode in (0, 1) and not result.stderr.count("\n") > 1
    else:
        assert result.returncode == 1 and result.stdout == ""
        errors = [
            line for line in result.stderr.splitlines() if not line.startswith("note: without --history")
        ]
        assert len(errors) == 1, result.stderr
        assert name in result.stderr
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_names_of_files_may_hold_anything(tmp_path):
    signs = [chr(i) for i in range(1, 128) if chr(i) not in string.ascii_letters + "/"]
    for name in ("".join(signs) + "\udcff.jpg", "line\nbreak.jpg", "\x1b[31m.jpg"):
        (tmp_path / f"a{name}").write_bytes((ROOT / "samples/image/cat.jpg").read_bytes())
        (tmp_path / f"b{name}").write_bytes(b"no photo")
    for form in ([], ["--json"]):
        result = dltasks("classify", *form, tmp_path)
        assert result.returncode == 1, result.stderr
        assert len(result.stdout.splitlines()) + len(result.stderr.splitlines()) == 6
        assert "\x1b" not in result.stdout + result.stderr
    assert dltasks("classify", "--csv", tmp_path).returncode == 1


def test_a_pipe_in_a_folder_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.jpg")
    os.mkfifo(tmp_path / "a.wav")
    for command in ("classify", "recognize"):
        result = run_process(command, tmp_path, timeout=20)
        assert result.returncode == 1 and "in this folder" in result.stderr


def test_endless_inputs_are_not_read():
    for command in ("classify", "recognize", "detect-fraud", "summarize"):
        result = run_process(command, "/dev/zero", timeout=20)
        assert result.returncode == 1 and "/dev/zero" in result.stderr


def test_a_list_of_summaries_is_still_a_column(tmp_path):
    path = tmp_path / "pairs.jsonl"
    rows = [pair | {"summary": [pair["summary"], "another"]} for pair in data_summary.pairs(3)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert library.load("sentences").task.load_examples(path).labels[0].summaries[1] == "another"
    with pytest.raises(DataError, match="lists or objects"):
        library.load("cards").task.load_examples(_with_lists(tmp_path / "lists.jsonl"))


def _with_lists(path):
    row = {"id": 1, "time": "2026-01-01", "customer": "a", "terminal": "b", "amount": [1, 2], "fraud": 0}
    path.write_text(json.dumps(row) + "\n")
    return path
