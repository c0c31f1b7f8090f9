"""Photos: every format alike, folders in every layout, the same picture on one side, clear errors."""

import os
import struct
import tempfile
import zlib
from io import BytesIO
from pathlib import Path

import drawings
import numpy as np
import pytest
from conftest import ROOT, dltasks
from PIL import Image

from dltasks.config import with_overrides
from dltasks.data import labeled_files
from dltasks.errors import DataError
from dltasks.tasks.classification import inverse_temperature
from dltasks.tasks.image import TASK, pixels
from dltasks.tasks.image.confidence_threshold import threshold
from dltasks.tasks.image.config import ImageConfig
from dltasks.tasks.image.data import PHOTOS, load_examples
from dltasks.tasks.image.near_duplicates import groups
from dltasks.tasks.image.split import divide

COFFEE = ROOT / "samples/image/coffee.jpg"


def coffee() -> Image.Image:
    return Image.open(COFFEE).convert("RGB").resize((120, 90))


def off(one: np.ndarray, other: np.ndarray) -> float:
    """Mean difference in levels of 255."""
    return float(np.abs(one.astype(float) - other).mean())


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "tiff", "gif"])
def test_every_format_gives_the_same_pixels(tmp_path, suffix):
    coffee().save(tmp_path / f"c.{suffix}", quality=95)
    assert off(pixels.load(tmp_path / f"c.{suffix}", 64), pixels.load(coffee(), 64)) < 6


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "CMYK", "1", "YCbCr"])
def test_every_mode_is_read(mode):
    grey = coffee().convert("L").convert("RGB")
    expected = grey if mode in ("L", "LA", "1") else coffee()
    assert off(pixels.load(coffee().convert(mode), 64), pixels.load(expected, 64)) < (
        30 if mode == "1" else 12
    )


def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path):
    deep = np.asarray(coffee().convert("L")).astype(np.uint16) * 257
    Image.fromarray(deep).save(tmp_path / "deep.png")
    Image.fromarray(deep).save(tmp_path / "deep.tiff")
    expected = pixels.load(coffee().convert("L"), 64)
    assert off(pixels.load(tmp_path / "deep.png", 64), expected) < 1
    assert off(pixels.load(tmp_path / "deep.tiff", 64), expected) < 1


def test_alpha_is_laid_over_white():
    clear = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    assert (pixels.load(clear, 32) == 255).all()


def test_exif_orientation_is_kept(tmp_path):
    turned = coffee().transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.jpg", exif=exif, quality=95)
    assert off(pixels.load(tmp_path / "turned.jpg", 64), pixels.load(coffee(), 64)) < 4


def test_bytes_arrays_paths_and_images_are_taken():
    content, image = COFFEE.read_bytes(), Image.open(COFFEE)
    expected = pixels.load(COFFEE, 64)
    assert (pixels.load(content, 64) == expected).all()
    assert (pixels.load(str(COFFEE), 64) == expected).all()
    assert off(pixels.load(np.asarray(image), 64), expected) < 3
    assert off(pixels.load(image, 64), expected) < 3


def test_a_photo_of_the_right_size_is_not_touched():
    photo = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert (pixels.load(photo, 64) == photo).all()


def bomb(path, side: int):
    """A PNG that says it is side x side pixels."""
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    chunk = b"IHDR" + header
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", len(header))
        + chunk
        + struct.pack(">I", zlib.crc32(chunk))
        + struct.pack(">I", 0)
        + b"IDAT"
        + struct.pack(">I", zlib.crc32(b"IDAT"))
    )
    return path


def broken(path):
    """Name, what the message must say, of every broken file this makes in `path`."""
    (path / "text.jpg").write_text("hello")
    (path / "short.jpg").write_bytes(COFFEE.read_bytes()[:9000])
    (path / "empty.jpg").write_bytes(b"")
    bomb(path / "bomb.png", 30_000)
    bomb(path / "large.png", 12_000)
    (path / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    return {
        "text.jpg": "not an image",
        "short.jpg": "damaged",
        "empty.jpg": "0 bytes",
        "bomb.png": "pixels",
        "large.png": "pixels",
        "phone.heic": "HEIC",
        "missing.jpg": "no such file",
    }


def test_each_broken_file_gets_one_clear_line_and_the_good_is_answered(tmp_path):
    cases = broken(tmp_path)
    said = dltasks("classify", *(tmp_path / name for name in cases), COFFEE)
    assert said.returncode == 1
    lines = said.stderr.splitlines()
    assert len(lines) == len(cases)
    for line, (name, wanted) in zip(lines, cases.items(), strict=True):
        assert line.startswith(f"dltasks: {tmp_path / name}: ") and wanted in line
    assert said.stdout.startswith(f"{COFFEE}: ") and said.stdout.count("\n") == 1


@pytest.fixture
def photo() -> bytes:
    return COFFEE.read_bytes()


@pytest.fixture
def nobody():
    """Root may read everything, so it is somebody else for the while."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    yield
    os.seteuid(user)


def test_no_permission_is_said(photo, nobody):
    with tempfile.TemporaryDirectory() as folder:
        for name, mode in (("open.jpg", 0o600), ("secret.jpg", 0)):
            Path(folder, name).write_bytes(photo)
            Path(folder, name).chmod(mode)
        assert pixels.load(Path(folder, "open.jpg"), 64).shape == (64, 64, 3)
        with pytest.raises(DataError, match="secret.jpg: no permission to read it"):
            pixels.load(Path(folder, "secret.jpg"), 64)


def test_an_empty_folder_is_said(tmp_path):
    said = dltasks("classify", tmp_path, COFFEE, "--json")
    assert said.returncode == 1
    assert "no photos in this folder" in said.stdout.splitlines()[0]
    assert '"labels"' in said.stdout.splitlines()[1]


def test_class_folders_are_read_and_stray_files_noted(tmp_path):
    drawings.folder(tmp_path, 3)
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "disc" / "Thumbs.db").write_text("x")
    found = load_examples(tmp_path)
    assert found.labels == ["disc"] * 3 + ["square"] * 3 + ["stripes"] * 3
    assert found.splits is None
    assert found.notes == (
        "2 files that are not photos in a class folder were passed over: notes.txt, disc/Thumbs.db",
    )


def test_divided_folders_are_read(tmp_path):
    drawings.folder(tmp_path / "train", 2)
    drawings.folder(tmp_path / "validation", 1)
    drawings.folder(tmp_path / "test", 1)
    assert load_examples(tmp_path).splits == ["test"] * 3 + ["train"] * 6 + ["val"] * 3


def test_a_folder_linked_into_itself_is_walked_once(tmp_path):
    drawings.folder(tmp_path, 1)
    (tmp_path / "disc/again").symlink_to(tmp_path)
    (batch,) = labeled_files.iter_batches([tmp_path], 99, PHOTOS)
    assert len(batch) == 3


def test_heic_in_a_folder_is_not_passed_over_in_silence(tmp_path):
    drawings.folder(tmp_path, 1, ("disc",))
    (tmp_path / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    (batch,) = labeled_files.iter_batches([tmp_path], 99, PHOTOS)
    _, failures = TASK().encode(batch.inputs)
    assert [str(each) for each in failures.values()] == [
        f"{tmp_path / 'phone.heic'}: HEIC is not read; convert it to JPEG"
    ]


def test_a_class_called_train_is_a_class(tmp_path):
    for label in ("train", "plane"):
        (tmp_path / label).mkdir()
        drawings.draw("disc", 1).save(tmp_path / label / "1.jpg")
    assert load_examples(tmp_path).labels == ["plane", "train"]


def test_an_index_beside_the_class_folders_is_honoured(tmp_path):
    drawings.folder(tmp_path, 2)
    (tmp_path / "index.csv").write_text(
        "file,label,split\ndisc/000.jpg,round,train\nsquare/001.jpg,flat,test\n"
    )
    found = load_examples(tmp_path)
    assert (found.labels, found.splits) == (["round", "flat"], ["train", "test"])


def test_a_csv_of_path_and_label_needs_no_header(tmp_path):
    drawings.folder(tmp_path, 1)
    (tmp_path / "list.csv").write_text("disc/000.jpg,round\nsquare/000.jpg,flat\n")
    found = load_examples(tmp_path / "list.csv")
    assert found.inputs == [tmp_path / "disc/000.jpg", tmp_path / "square/000.jpg"]


def test_a_bad_row_is_named(tmp_path):
    (tmp_path / "list.csv").write_text("path,label\na.jpg,x\nb.jpg\n")
    with pytest.raises(DataError, match=r"list.csv, row 3: 'b.jpg'; wanted path,label"):
        load_examples(tmp_path / "list.csv")


@pytest.mark.parametrize(
    "make, wanted",
    [
        (lambda path: None, "wanted one folder a class"),
        (lambda path: drawings.folder(path, 5, ("disc",)), "one class only"),
        (
            lambda path: (
                drawings.folder(path, 5),
                drawings.folder(path / "..", 0),
                (path / "lonely").mkdir(),
                drawings.draw("disc", 99).save(path / "lonely/1.jpg"),
            ),
            "class 'lonely' has 1 photo",
        ),
    ],
)
def test_training_on_a_bad_folder_is_refused_in_one_line(tmp_path, make, wanted):
    data = tmp_path / "data"
    data.mkdir()
    make(data)
    said = dltasks("train", "image", data, "--out", tmp_path / "out", "--backbone", "none")
    assert said.returncode == 1
    assert said.stderr.splitlines()[-1].startswith("dltasks: ") and wanted in said.stderr.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_an_unknown_backbone_names_the_nearest(tmp_path):
    drawings.folder(tmp_path / "data", 5)
    said = dltasks(
        "train", "image", tmp_path / "data", "--out", tmp_path / "out", "--backbone", "MobileNetV22"
    )
    assert said.returncode == 2 and "did you mean MobileNetV2?" in said.stderr


def test_the_same_picture_is_found_at_another_quality_and_size():
    one, other = drawings.draw("disc", 1, (200, 200)), drawings.draw("disc", 2, (200, 200))
    squeezed = BytesIO()
    coffee().save(squeezed, "jpeg", quality=40)
    photos = [coffee(), one, coffee().resize((60, 45)), other, squeezed.getvalue(), coffee()]
    assert groups(np.stack([pixels.load(each, 64) for each in photos])).tolist() == [0, 1, 0, 3, 0, 0]


def test_a_split_is_stratified_and_keeps_the_same_pictures_together(tmp_path):
    drawings.folder(tmp_path, 20)
    for copied in range(5):
        (tmp_path / "disc" / f"copy{copied}.jpg").write_bytes((tmp_path / "disc/000.jpg").read_bytes())
    examples = load_examples(tmp_path)
    config = with_overrides(TASK.config(), {"validation_split": 0.2, "test_split": 0.2})
    encoded, _ = TASK(size=64).encode(examples.inputs)
    parts = divide(examples, groups(encoded["pixels"]), config)
    assert sorted(parts.train + parts.validation_split + parts.test) == list(range(65))
    sides = {
        name
        for name in ("train", "val", "test")
        for i in getattr(parts, name)
        if examples.inputs[i].read_bytes() == (tmp_path / "disc/000.jpg").read_bytes()
    }
    assert len(sides) == 1
    squares = [examples.labels[i] for i in parts.test].count("square")
    assert squares == 4 and parts == divide(examples, groups(encoded["pixels"]), config)


def test_declared_parts_stand_and_the_missing_one_is_cut_from_train(tmp_path):
    drawings.folder(tmp_path / "train", 10)
    drawings.folder(tmp_path / "test", 4, first=50)
    examples = load_examples(tmp_path)
    encoded, _ = TASK(size=32).encode(examples.inputs)
    parts = divide(examples, groups(encoded["pixels"]), TASK.config())
    assert [examples.splits[i] for i in parts.test] == ["test"] * 12
    assert len(parts.validation_split) == 3 and len(parts.train) == 27


def test_temperature_tames_a_boaster():
    random = np.random.default_rng(0)
    truths = random.integers(0, 3, 3000)
    logits = np.eye(3)[truths] + random.normal(0, 1, (3000, 3))
    assert inverse_temperature(4 * logits, truths) == pytest.approx(0.25, rel=0.15)


def test_the_threshold_leaves_the_wanted_share_right():
    confidence = np.array([0.95, 0.9, 0.85, 0.8, 0.6, 0.55])
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    truths = np.array([0, 0, 0, 0, 1, 1])
    assert threshold(probabilities, truths, 0.8) == 0.8
    assert threshold(probabilities, truths, 0.5) == 0.8
    assert threshold(probabilities, np.zeros(6, int), 0.8) == 0.55
    assert threshold(probabilities, np.ones(6, int), 0.8) == 0.95


@pytest.mark.parametrize("trained", ["image"], indirect=True)
def test_evaluate_says_what_does_not_match(tmp_path, trained):
    drawings.folder(tmp_path, 3, ("disc", "square"), first=500)
    (tmp_path / "triangle").mkdir()
    drawings.draw("stripes", 1).save(tmp_path / "triangle/1.jpg")
    said = dltasks("evaluate", trained.bundle, tmp_path)
    assert said.returncode == 0
    assert "1 photo left out: the model does not know triangle" in said.stderr
    assert "1 of the model's 3 classes have no photos here" in said.stderr
    assert "accuracy" in said.stdout and "\t6" in said.stdout


def test_training_crops_grow_with_the_run():
    from dltasks.tasks.image.schedule import crop_size

    config = TASK.config(size=112)
    assert [crop_size(config, progress) for progress in (0, 0.4, 0.75, 1)] == [64, 80, 96, 96]
    small = with_overrides(config, {"size": 80, "initial_crop_size": 32, "final_crop_size": 64})
    assert [crop_size(small, progress) for progress in (0, 0.4, 0.75, 1)] == [32, 48, 64, 64]


def test_a_trained_backbone_is_changed_more_slowly_than_random_weights():
    assert (
        ImageConfig(backbone="objects").peak_learning_rate()
        < ImageConfig(backbone="none").peak_learning_rate()
    )
    assert ImageConfig(backbone="none", learning_rate=0.3).peak_learning_rate() == 0.3


def test_small_data_is_passed_over_more_often_than_large_data():
    assert ImageConfig().resolve_epochs(100).epochs == 60
    assert ImageConfig().resolve_epochs(1000).epochs == 20
    assert ImageConfig().resolve_epochs(50_000).epochs == 10
    assert ImageConfig(epochs=3).resolve_epochs(100).epochs == 3


def test_augmentation_keeps_pixels_in_range_and_targets_a_distribution():
    from dltasks.tasks.image.network import augmentation

    config = with_overrides(TASK.config(), {"mixup_alpha": 1.0, "color_jitter": 0.9})
    photos = np.stack([pixels.load(drawings.draw("disc", i), 48) for i in range(8)])
    targets = np.eye(3, dtype=np.float32)[np.arange(8) % 3]
    found = augmentation(48, 3, config, 32).predict_on_batch({"pixels": photos, "probabilities": targets})
    assert found["pixels"].shape == (8, 32, 32, 3) and found["pixels"].dtype == np.uint8
    assert found["probabilities"].sum(axis=1) == pytest.approx(np.ones(8))
    assert found["pixels"].std() > 10


def test_a_crop_of_the_whole_is_the_photo_or_its_mirror():
    from dltasks.tasks.image.network import RandomCrop

    photos = np.stack([pixels.load(drawings.draw("disc", i), 48) for i in range(4)])
    layer = RandomCrop(48, 1.0, seed=0)
    crops = np.asarray(layer(photos))
    for crop, photo in zip(crops, photos, strict=True):
        assert min(off(crop, photo), off(crop, photo[:, ::-1])) < 12


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "I;16"])
def test_a_large_photo_made_smaller_in_strips_looks_as_it_does_whole(mode, tmp_path, monkeypatch):
    across, down = np.meshgrid(np.linspace(0, 1, 1501), np.linspace(0, 1, 1303))
    values = {"RGB": np.stack([across, down, across * down], -1), "L": across * down}
    values["RGBA"] = np.concatenate([values["RGB"], down[..., None]], -1)
    if mode == "I;16":
        photo = Image.fromarray((60_000 * values["L"]).astype(np.uint16))
    else:
        photo = Image.fromarray((255 * values[mode]).astype(np.uint8), mode)
    exif = Image.Exif()
    exif[0x0112] = 6
    photo.save(tmp_path / "large.png", exif=exif)
    whole = pixels.load(tmp_path / "large.png", 96)
    monkeypatch.setattr(pixels, "LARGE", 10_000)
    strips = pixels.load(tmp_path / "large.png", 96)
    assert np.abs(strips.astype(int) - whole).max() <= 4
    assert np.abs(strips.astype(int) - whole).mean() < 1
