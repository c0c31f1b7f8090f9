"""Image classification: folders in every layout, splits without leaks, calibration, augmentation."""

from io import BytesIO

import drawings
import numpy as np
import pytest
from conftest import ROOT, dltasks
from PIL import Image

from dltasks.config import with_overrides
from dltasks.data import labeled_files
from dltasks.errors import DataError
from dltasks.tasks.classification import fit_inverse_temperature
from dltasks.tasks.image import TASK, pixels
from dltasks.tasks.image.calibration import select_threshold
from dltasks.tasks.image.config import ImageConfig
from dltasks.tasks.image.data import PHOTOS, load_examples
from dltasks.tasks.image.near_duplicates import group_photos
from dltasks.tasks.image.split import split_photos

COFFEE = ROOT / "samples/image/coffee.jpg"


def test_an_empty_folder_is_reported(tmp_path):
    result = dltasks("classify", tmp_path, COFFEE, "--json")
    assert result.returncode == 1
    assert "no photos in this folder" in result.stdout.splitlines()[0]
    assert '"labels"' in result.stdout.splitlines()[1]


def test_class_folders_are_read_and_ignored_files_reported(tmp_path):
    drawings.folder(tmp_path, 3)
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "disc" / "Thumbs.db").write_text("x")
    examples = load_examples(tmp_path)
    assert examples.labels == ["disc"] * 3 + ["square"] * 3 + ["stripes"] * 3
    assert examples.splits is None
    assert examples.notes == (
        "2 files that are not photos in a class folder were ignored: notes.txt, disc/Thumbs.db",
    )


def test_folders_of_declared_splits_are_read(tmp_path):
    drawings.folder(tmp_path / "train", 2)
    drawings.folder(tmp_path / "validation", 1)
    drawings.folder(tmp_path / "test", 1)
    assert load_examples(tmp_path).splits == ["test"] * 3 + ["train"] * 6 + ["val"] * 3


def test_a_folder_linked_into_itself_is_walked_once(tmp_path):
    drawings.folder(tmp_path, 1)
    (tmp_path / "disc/again").symlink_to(tmp_path)
    (batch,) = labeled_files.iter_batches([tmp_path], 99, PHOTOS)
    assert len(batch) == 3


def test_heic_in_a_folder_is_reported(tmp_path):
    drawings.folder(tmp_path, 1, ("disc",))
    (tmp_path / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    (batch,) = labeled_files.iter_batches([tmp_path], 99, PHOTOS)
    _, failures = TASK().encode(batch.inputs)
    assert [str(error) for error in failures.values()] == [
        f"{tmp_path / 'phone.heic'}: HEIC is not supported; convert it to JPEG"
    ]


def test_a_class_called_train_is_a_class(tmp_path):
    for label in ("train", "plane"):
        (tmp_path / label).mkdir()
        drawings.draw("disc", 1).save(tmp_path / label / "1.jpg")
    assert load_examples(tmp_path).labels == ["plane", "train"]


def test_an_index_beside_the_class_folders_takes_precedence(tmp_path):
    drawings.folder(tmp_path, 2)
    (tmp_path / "index.csv").write_text(
        "file,label,split\ndisc/000.jpg,round,train\nsquare/001.jpg,flat,test\n"
    )
    examples = load_examples(tmp_path)
    assert (examples.labels, examples.splits) == (["round", "flat"], ["train", "test"])


def test_a_csv_of_path_and_label_needs_no_header(tmp_path):
    drawings.folder(tmp_path, 1)
    (tmp_path / "list.csv").write_text("disc/000.jpg,round\nsquare/000.jpg,flat\n")
    examples = load_examples(tmp_path / "list.csv")
    assert examples.inputs == [tmp_path / "disc/000.jpg", tmp_path / "square/000.jpg"]


def test_a_bad_row_is_named(tmp_path):
    (tmp_path / "list.csv").write_text("path,label\na.jpg,x\nb.jpg\n")
    with pytest.raises(DataError, match=r"list.csv, row 3: 'b.jpg'; expected path,label"):
        load_examples(tmp_path / "list.csv")


@pytest.mark.parametrize(
    "make, expected",
    [
        (lambda path: None, "expected one folder per class"),
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
def test_training_on_a_bad_folder_is_refused_in_one_line(tmp_path, make, expected):
    data = tmp_path / "data"
    data.mkdir()
    make(data)
    result = dltasks("train", "image", data, "--out", tmp_path / "out", "--backbone", "none")
    assert result.returncode == 1
    last = result.stderr.splitlines()[-1]
    assert last.startswith("dltasks: ") and expected in last
    assert not (tmp_path / "out").exists()


def test_an_unknown_backbone_names_the_nearest(tmp_path):
    drawings.folder(tmp_path / "data", 5)
    result = dltasks(
        "train", "image", tmp_path / "data", "--out", tmp_path / "out", "--backbone", "MobileNetV22"
    )
    assert result.returncode == 2 and "did you mean MobileNetV2?" in result.stderr


def test_near_duplicates_of_another_quality_and_size_are_found():
    coffee = Image.open(COFFEE).convert("RGB").resize((120, 90))
    first, second = drawings.draw("disc", 1, (200, 200)), drawings.draw("disc", 2, (200, 200))
    compressed = BytesIO()
    coffee.save(compressed, "jpeg", quality=40)
    photos = [coffee, first, coffee.resize((60, 45)), second, compressed.getvalue(), coffee]
    loaded = np.stack([pixels.load(photo, 64) for photo in photos])
    assert group_photos(loaded).tolist() == [0, 1, 0, 3, 0, 0]


def test_a_split_is_stratified_and_keeps_near_duplicates_together(tmp_path):
    drawings.folder(tmp_path, 20)
    for number in range(5):
        (tmp_path / "disc" / f"copy{number}.jpg").write_bytes((tmp_path / "disc/000.jpg").read_bytes())
    examples = load_examples(tmp_path)
    config = with_overrides(TASK.config(), {"validation_split": 0.2, "test_split": 0.2})
    encoded, _ = TASK(size=64).encode(examples.inputs)
    splits = split_photos(examples, group_photos(encoded["pixels"]), config)
    assert sorted(splits.train + splits.val + splits.test) == list(range(65))
    splits_of_copies = {
        name
        for name in ("train", "val", "test")
        for i in getattr(splits, name)
        if examples.inputs[i].read_bytes() == (tmp_path / "disc/000.jpg").read_bytes()
    }
    assert len(splits_of_copies) == 1
    squares = [examples.labels[i] for i in splits.test].count("square")
    assert squares == 4 and splits == split_photos(examples, group_photos(encoded["pixels"]), config)


def test_declared_splits_stay_and_the_missing_one_is_taken_from_train(tmp_path):
    drawings.folder(tmp_path / "train", 10)
    drawings.folder(tmp_path / "test", 4, first=50)
    examples = load_examples(tmp_path)
    encoded, _ = TASK(size=32).encode(examples.inputs)
    splits = split_photos(examples, group_photos(encoded["pixels"]), TASK.config())
    assert [examples.splits[i] for i in splits.test] == ["test"] * 12
    assert len(splits.val) == 3 and len(splits.train) == 27


def test_temperature_scaling_corrects_overconfidence():
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 3000)
    logits = np.eye(3)[labels] + random.normal(0, 1, (3000, 3))
    assert fit_inverse_temperature(4 * logits, labels) == pytest.approx(0.25, rel=0.15)


def test_predictions_above_the_threshold_have_the_required_accuracy():
    confidence = np.array([0.95, 0.9, 0.85, 0.8, 0.6, 0.55])
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    labels = np.array([0, 0, 0, 0, 1, 1])
    assert select_threshold(probabilities, labels, 0.8) == 0.8
    assert select_threshold(probabilities, labels, 0.5) == 0.8
    assert select_threshold(probabilities, np.zeros(6, int), 0.8) == 0.55
    assert select_threshold(probabilities, np.ones(6, int), 0.8) == 0.95


@pytest.mark.parametrize("trained", ["image"], indirect=True)
def test_evaluate_reports_labels_that_do_not_match(tmp_path, trained):
    drawings.folder(tmp_path, 3, ("disc", "square"), first=500)
    (tmp_path / "triangle").mkdir()
    drawings.draw("stripes", 1).save(tmp_path / "triangle/1.jpg")
    result = dltasks("evaluate", trained.bundle, tmp_path)
    assert result.returncode == 0
    assert "1 photo left out: the model does not know triangle" in result.stderr
    assert "1 of the model's 3 classes have no photos here" in result.stderr
    assert "accuracy" in result.stdout and "\t6" in result.stdout


def test_training_crops_grow_with_the_run():
    from dltasks.tasks.image.crop_size import crop_size

    config = ImageConfig(backbone="none")
    assert [crop_size(112, config, completed) for completed in (0, 0.4, 0.75, 1)] == [64, 80, 96, 96]
    small = with_overrides(config, {"initial_crop_size": 32, "final_crop_size": 64})
    assert [crop_size(80, small, completed) for completed in (0, 0.4, 0.75, 1)] == [32, 48, 64, 64]
    assert [crop_size(224, ImageConfig(), completed) for completed in (0, 1)] == [192, 192]


def test_a_pretrained_backbone_has_a_lower_learning_rate_than_random_weights():
    pretrained, random = ImageConfig(backbone="objects"), ImageConfig(backbone="none")
    assert pretrained.peak_learning_rate() < random.peak_learning_rate()
    assert ImageConfig(backbone="none", learning_rate=0.3).peak_learning_rate() == 0.3


def test_small_data_gets_more_epochs_than_large_data():
    random = ImageConfig(backbone="none")
    assert [random.resolve_epochs(count).epochs for count in (100, 1000, 50_000)] == [60, 20, 10]
    assert [ImageConfig().resolve_epochs(count).epochs for count in (100, 1000, 50_000)] == [15, 9, 4]
    assert ImageConfig(epochs=3).resolve_epochs(100).epochs == 3


def test_augmentation_keeps_pixels_in_range_and_targets_a_distribution():
    from dltasks.tasks.image.augmentation import build_augmentation

    config = with_overrides(ImageConfig(), {"mixup_alpha": 1.0, "color_jitter": 0.9})
    photos = np.stack([pixels.load(drawings.draw("disc", i), 48) for i in range(8)])
    targets = np.eye(3, dtype=np.float32)[np.arange(8) % 3]
    augmentation = build_augmentation(48, 3, config, 32)
    batch = augmentation.predict_on_batch({"pixels": photos, "probabilities": targets})
    assert batch["pixels"].shape == (8, 32, 32, 3) and batch["pixels"].dtype == np.uint8
    assert batch["probabilities"].sum(axis=1) == pytest.approx(np.ones(8))
    assert batch["pixels"].std() > 10


def test_a_crop_of_the_full_area_is_the_photo_or_its_mirror_image():
    from dltasks.tasks.image.augmentation import RandomCrop

    photos = np.stack([pixels.load(drawings.draw("disc", i), 48) for i in range(4)])
    layer = RandomCrop(48, 1.0, seed=0)
    crops = np.asarray(layer(photos)).astype(float)
    for crop, photo in zip(crops, photos, strict=True):
        assert min(np.abs(crop - photo).mean(), np.abs(crop - photo[:, ::-1]).mean()) < 12
