"""The doctor: its findings in the data of every task, and fixes that can be undone."""

import importlib
import json
import shutil
from pathlib import Path

import drawings
import numpy as np
import pytest
import soundfile
import sounds
from conftest import dltasks
from PIL import Image

from dltasks import registry
from dltasks.doctor.inspect import detect_task, inspect


def contents(path: Path) -> dict[str, bytes]:
    paths = path.rglob("*") if path.is_dir() else [path]
    return {str(file): file.read_bytes() for file in paths if file.is_file()}


def kinds(inspection) -> dict[str, tuple[str, int]]:
    """Severity and count of each finding by its kind."""
    return {finding.kind: (finding.severity, finding.count) for finding in inspection.findings}


def find(inspection, kind: str):
    return next(finding for finding in inspection.findings if finding.kind == kind)


@pytest.mark.parametrize("task", registry.task_names())
def test_clean_data_has_no_errors_and_its_task_is_detected(task, tmp_path):
    data = importlib.import_module(f"data_{task}").make(tmp_path / "data")
    result = dltasks("doctor", data, "--json")
    inspection = json.loads(result.stdout)
    assert result.returncode == 0, result.stdout
    assert inspection["task"] == task and inspection["count"] > 50
    assert not [finding for finding in inspection["findings"] if finding["severity"] == "error"]


@pytest.mark.parametrize("task", registry.task_names())
def test_a_fix_removes_bad_items_and_can_be_undone(task, tmp_path):
    task_data = importlib.import_module(f"data_{task}")
    data = task_data.make(tmp_path / "data")
    clean = contents(data)
    count = task_data.corrupt(data)
    before = contents(data)
    result = dltasks("doctor", data, "--fix", "--json")
    fixed = json.loads(result.stdout)
    assert fixed["moved"] == count, result.stdout
    assert any(finding["fixable"] for finding in fixed["findings"])
    assert not any(finding["fixable"] for finding in fixed["left"])
    assert contents(data) == clean
    undone = dltasks("doctor", data, "--undo")
    assert undone.returncode == 0 and contents(data) == before
    assert not data.with_name(data.name + ".quarantine").exists()
    again = dltasks("doctor", data, "--undo")
    assert again.returncode == 1 and "nothing to put back" in again.stderr


def test_photos_that_are_broken_repeated_or_misnamed_are_reported(tmp_path):
    data = drawings.folder(tmp_path / "data", 30, ("disc", "square"))
    photos = sorted((data / "disc").iterdir())
    (data / "disc" / "empty.jpg").write_bytes(b"")
    (data / "disc" / "text.png").write_text("not a photo")
    shutil.copy(photos[0], data / "disc" / "again.jpg")
    shutil.copy(photos[1], data / "square" / "other.jpg")
    Image.open(photos[2]).save(data / "disc" / "smaller.png")
    Image.open(photos[3]).save(data / "disc" / "jpeg.png", "JPEG")
    Image.new("RGB", (60, 60), "red").save(data / "square" / "red.png")
    Image.new("RGB", (20, 20), "red").resize((20, 90)).save(data / "square" / "thin.png")
    shutil.copy(photos[4], data / "disc" / "photo.dat")
    (data / "disc" / "notes.txt").write_text("hello")
    (data / "hollow").mkdir()
    for first, (name, count) in enumerate((("Disc", 30), ("discs", 5), ("mug 1", 30))):
        drawings.folder(tmp_path / "more", count, ("disc",), first=200 * (first + 1))
        (tmp_path / "more" / "disc").rename(data / name)
    inspection = inspect("image", data)
    assert kinds(inspection) == {
        "unreadable": ("warning", 2),
        "exact duplicates across classes": ("warning", 2),
        "small class": ("warning", 1),
        "similar class names": ("warning", 3),
        "misnamed files": ("warning", 1),
        "empty class": ("warning", 1),
        "blank": ("warning", 2),
        "exact duplicates": ("note", 1),
        "near duplicates": ("note", 1),
        "class imbalance": ("note", 5),
        "ignored files": ("note", 1),
        "small": ("warning", 131),
        "extreme aspect ratio": ("note", 1),
        "wrong extension": ("note", 1),
    }
    assert find(inspection, "similar class names").examples[0] == "'Disc' (30) and 'disc' (33)"
    assert find(inspection, "misnamed files").examples == ("disc/photo.dat",)


def test_photos_in_train_and_test_are_an_error_and_removed_from_train(tmp_path):
    for split, first, count in (("train", 0, 24), ("val", 100, 8), ("test", 200, 8)):
        drawings.folder(tmp_path / "data" / split, count, first=first)
    data = tmp_path / "data"
    shutil.copy(data / "train/disc/000.jpg", data / "test/disc/leak.jpg")
    Image.open(data / "train/disc/001.jpg").save(data / "val/disc/leak.png")
    inspection = inspect("image", data)
    leakage = find(inspection, "split leakage")
    assert leakage.severity == "error" and leakage.count == 1
    assert [location.path for location in leakage.removable] == [data / "train/disc/000.jpg"]
    assert find(inspection, "near-duplicate split leakage").severity == "warning"
    result = dltasks("train", "image", data, "--out", tmp_path / "out", "--epochs", 1)
    assert result.returncode == 1 and "stands in another split too" in result.stderr.splitlines()[-1]
    assert "--no-inspect" in result.stderr and not (tmp_path / "out").exists()
    assert not (tmp_path / "out.partial").exists()
    dltasks("doctor", data, "--fix")
    assert not (data / "train/disc/000.jpg").exists() and (data / "test/disc/leak.jpg").exists()
    assert (tmp_path / "data.quarantine/train/disc/000.jpg").exists()


def test_rows_of_an_index_are_removed_and_its_files_stay(tmp_path):
    data = drawings.folder(tmp_path / "data", 20)
    (data / "disc/000.jpg").write_bytes(b"broken")
    rows = [f"{path.relative_to(data)},{path.parent.name}" for path in sorted(data.rglob("*.jpg"))]
    (data / "index.csv").write_text("\n".join(["file,label", *rows]) + "\n")
    dltasks("doctor", data, "--fix")
    lines = (data / "index.csv").read_text().splitlines()
    assert lines == ["file,label", *(row for row in rows if not row.startswith("disc/000"))]
    assert (data / "disc/000.jpg").exists()


def test_a_file_that_changed_since_a_fix_is_not_overwritten(tmp_path):
    data = drawings.folder(tmp_path / "data", 20)
    shutil.copy(data / "disc/000.jpg", data / "disc/copy.jpg")
    dltasks("doctor", data, "--fix")
    (data / "disc/copy.jpg").write_bytes(b"new")
    result = dltasks("doctor", data, "--undo")
    assert result.returncode == 1 and "another file has this name now" in result.stderr
    assert (data / "disc/copy.jpg").read_bytes() == b"new"
    (data / "disc/copy.jpg").unlink()
    assert dltasks("doctor", data, "--undo").returncode == 0
    assert (data / "disc/copy.jpg").read_bytes() == (data / "disc/000.jpg").read_bytes()


def test_sounds_that_are_silent_clipped_short_or_repeated_are_reported(tmp_path):
    data = sounds.folder(tmp_path / "data", 24)
    loud = sounds.whistle("rise", 900)
    soundfile.write(data / "rise/f_nohash_0.wav", np.clip(loud * 40, -1, 1), sounds.RATE)
    soundfile.write(data / "rise/f_nohash_1.wav", np.zeros(sounds.RATE), sounds.RATE)
    soundfile.write(data / "rise/f_nohash_2.wav", loud[7000:9000], sounds.RATE)
    soundfile.write(data / "rise/f_nohash_3.wav", sounds.whistle("rise", 901, rate=8000), 8000)
    soundfile.write(data / "rise/f_nohash_4.wav", sounds.whistle("rise", 902, 5.0), sounds.RATE)
    first = min((data / "rise").iterdir())
    shutil.copy(first, data / "fall/f_nohash_5.wav")
    soundfile.write(data / "rise/f_nohash_6.flac", sounds.whistle("rise", 1) * 0.7, sounds.RATE)
    (data / "fall/cut.wav").write_bytes(first.read_bytes()[:20])
    soundfile.write(data / "_background_noise_/mute.wav", np.zeros(sounds.RATE), sounds.RATE)
    inspection = inspect("speech", data)
    assert kinds(inspection) == {
        "unreadable": ("warning", 1),
        "exact duplicates across classes": ("warning", 2),
        "silent": ("warning", 1),
        "short": ("warning", 1),
        "low sample rate": ("warning", 1),
        "unusable noise": ("warning", 1),
        "near duplicates": ("note", 1),
        "clipped": ("note", 1),
        "long": ("note", 1),
    }
    assert find(inspection, "clipped").examples[0].startswith("rise/f_nohash_0.wav")


def test_a_speaker_in_two_splits_is_an_error(tmp_path):
    data = tmp_path / "data"
    sounds.folder(data / "train", 24)
    sounds.folder(data / "test", 4, first=24)
    inspection = inspect("speech", data)
    leak = find(inspection, "speaker across splits")
    assert leak.severity == "error" and leak.fatal and leak.count == 1


HEADER = "id,time,customer,terminal,amount,vat,total2,note,marker,fraud\n"


def transactions(count: int = 400) -> str:
    random = np.random.default_rng(0)
    rows = []
    for i in range(count):
        fraud = int(i % 20 == 3)
        amount = round(float(random.uniform(5, 90)), 2)
        day = f"2026-{1 + i // 28 % 6:02}-{1 + i % 28:02}"
        customer, shop = f"C{random.integers(20)}", f"S{random.integers(9)}"
        rows.append(
            f"T{i},{day},{customer},{shop},{amount},{amount * 0.2:.4f},{amount},same,{fraud * 7},{fraud}"
        )
    return HEADER + "\n".join(rows) + "\n"


def test_wrong_columns_and_rows_of_a_table_are_reported(tmp_path):
    data = tmp_path / "data.csv"
    lines = transactions().splitlines()
    lines[5] = lines[5].replace("2026-", "2099-")
    lines[6] = lines[6].replace("2026-01-06", "yesterday")
    lines[7] = ",".join([*lines[7].split(",")[:4], "many", *lines[7].split(",")[5:]])
    twin = lines[30].split(",")
    lines += [",".join(["T9001", *twin[1:]]), ",".join(["T9002", *lines[24].split(",")[1:-1], "0"])]
    lines += [lines[9]]
    data.write_text("\n".join(lines) + "\n")
    inspection = inspect("fraud", data)
    assert kinds(inspection) == {
        "time in the future": ("error", 1),
        "time not a time": ("error", 1),
        "amount not a number": ("error", 1),
        "id repeated": ("error", 1),
        "constant column": ("warning", 1),
        "duplicate column": ("warning", 1),
        "duplicate row": ("warning", 1),
        "label noise": ("warning", 2),
        "few frauds": ("warning", 16),
        "correlated columns": ("note", 1),
    }
    assert find(inspection, "time not a time").examples == (
        f"{data}, row 6: time is 'yesterday'; expected a time",
    )


def test_a_column_that_reveals_the_label_is_reported(tmp_path):
    (tmp_path / "data.csv").write_text(transactions())
    inspection = inspect("fraud", tmp_path / "data.csv")
    assert find(inspection, "target leakage").examples == ("'marker' (ROC AUC 1.0000)",)


def test_labels_that_the_other_columns_contradict_are_named(tmp_path):
    random = np.random.default_rng(0)
    fraud = np.arange(600) % 6 == 0
    numbers = random.normal(0, 1, (600, 6)) + 2.5 * fraud[:, None]
    labels = fraud.copy()
    labels[[0, 6, 12, 301, 302]] ^= True
    rows = [
        f"{','.join(f'{v:.4f}' for v in row)},{int(label)}"
        for row, label in zip(numbers, labels, strict=True)
    ]
    (tmp_path / "data.csv").write_text("a,b,c,d,e,amount,fraud\n" + "\n".join(rows) + "\n")
    issues = [
        finding.affected_items
        for finding in inspect("fraud", tmp_path / "data.csv").findings
        if finding.kind == "label issue"
    ]
    assert issues == [("row 1", "row 7", "row 13"), ("row 302", "row 303")]


def test_numbers_with_decimal_commas_are_read_where_semicolons_separate(tmp_path):
    data = tmp_path / "data.csv"
    rows = [line.replace(",", ";").replace(".", ",") for line in transactions().splitlines()]
    data.write_text("\n".join(rows) + "\n")
    assert not inspect("fraud", data).errors
    lines = transactions().splitlines()
    lines[1] = lines[1].replace(lines[1].split(",")[4], '"1.234,56"', 1)
    data.write_text("\n".join(lines) + "\n")
    amounts = find(inspect("fraud", data), "amount not a number")
    assert "expected a number with a decimal point, 1234.56" in amounts.examples[0]


def test_rows_are_named_by_their_numbers(tmp_path):
    lines = transactions().splitlines()
    lines[300] = lines[300].replace("T299", "T2", 1)
    lines[10] = lines[10][:-1]
    (tmp_path / "data.csv").write_text("\n".join(lines) + "\n")
    inspection = inspect("fraud", tmp_path / "data.csv")
    assert find(inspection, "id repeated").affected_items[0].endswith("data.csv, row 3")
    assert find(inspection, "label missing").affected_items == ("row 10",)
    lines[12] = lines[12].replace("2026-", "1999-")
    (tmp_path / "data.csv").write_text("\n".join(lines) + "\n")
    inspection = inspect("fraud", tmp_path / "data.csv")
    assert find(inspection, "time outlier").affected_items == ("row 12: 1999-01-12 00:00:00",)


def test_a_leaking_column_with_one_wrong_label_is_still_reported(tmp_path):
    lines = transactions(2000).splitlines()
    lines[1] = lines[1][:-1] + "1"
    (tmp_path / "data.csv").write_text("\n".join(lines) + "\n")
    assert find(inspect("fraud", tmp_path / "data.csv"), "target leakage").count == 1


def test_broken_lines_of_json_can_be_removed(tmp_path):
    rows = [
        json.dumps({"text": f"A text of {i}. It has two sentences.", "summary": f"A {i}"}) for i in range(250)
    ]
    rows[3], rows[90] = rows[3][:-4], "[]"
    data = tmp_path / "data.jsonl"
    data.write_text("\n".join(rows) + "\n")
    assert detect_task(data) == "summary"
    (unusable,) = inspect("summary", data).findings
    assert "row 4: not JSON" in unusable.message and "(and 1 more such rows)" in unusable.message
    dltasks("doctor", data, "--fix")
    assert data.read_text().splitlines() == [row for i, row in enumerate(rows) if i not in (3, 90)]


def test_swapped_columns_are_an_error(tmp_path):
    rows = [{"summary": f"A long text of {i}. It has two sentences.", "text": f"A {i}"} for i in range(250)]
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert find(inspect("summary", tmp_path / "data.jsonl"), "swapped columns").severity == "error"


def test_texts_that_are_empty_repeated_or_swapped_are_reported(tmp_path):
    text = "The {0} of Lund was painted. It rained for {1} days. Nobody minded the {0}. A {0} is old."
    rows = [{"text": text.format(f"thing{i}", i), "summary": f"Lund painted thing {i}"} for i in range(300)]
    rows += [rows[0], rows[1] | {"split": "test"}, rows[2] | {"summary": "Another"}]
    rows += [{"text": "Short one. Yes.", "summary": "This summary is much longer than its text"}]
    rows += [{"text": "", "summary": "Empty"}, {"text": "A text. Of two.", "summary": None}]
    rows += [{"text": text.format(f"cafÃ©{i}", i), "summary": "No summary available"} for i in range(3)]
    rows += [{"text": "<p>" + text.format("tag", 5) + "</p>", "summary": "The tag of Lund"}]
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    inspection = inspect("summary", data)
    assert kinds(inspection) == {
        "unusable row": ("warning", 2),
        "split leakage": ("error", 1),
        "exact duplicates": ("note", 1),
        "multiple summaries": ("note", 2),
        "same summary": ("note", 3),
        "summary too long": ("warning", 1),
        "markup": ("note", 1),
        "wrong encoding": ("note", 3),
    }


def test_data_that_no_task_or_several_recognize_asks_for_the_task(tmp_path):
    (tmp_path / "data").mkdir()
    result = dltasks("doctor", tmp_path / "data")
    assert result.returncode == 1 and "name one with --task" in result.stderr
    result = dltasks("doctor", tmp_path / "missing")
    assert result.returncode == 1 and "missing: no such file or folder" in result.stderr
    result = dltasks("doctor", tmp_path / "missing", "--task", "image")
    assert result.returncode == 1 and "no such file or folder" in result.stdout
    result = dltasks("doctor", tmp_path / "data", "--task", "imag")
    assert result.returncode == 2 and "did you mean image" in result.stderr


def test_training_settings_apply_to_how_data_is_read(tmp_path):
    data = tmp_path / "data.csv"
    data.write_text(transactions().replace("fraud\n", "bad\n", 1))
    assert dltasks("doctor", data, "--task", "fraud").returncode == 1
    assert dltasks("doctor", data, "--task", "fraud", "--label", "bad").returncode == 0
    assert dltasks("doctor", data, "--task", "fraud", "--lable", "bad").returncode == 2


@pytest.mark.parametrize("content", [b"a\rb\rc", b"TFL3\0\r\xff" * 20])
def test_a_file_that_is_no_table_asks_for_the_task(content, tmp_path):
    (tmp_path / "data.csv").write_bytes(content)
    result = dltasks("doctor", tmp_path / "data.csv")
    assert result.returncode == 1 and "--task" in result.stderr
