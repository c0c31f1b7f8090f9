"""Groups of labels: a photo between several kinds of cats is a cat; synonyms of labels in the data."""

import json
import shutil
import sys

import numpy as np
import pytest
from conftest import ROOT, dltasks

from dltasks.cli.output import write_predictions
from dltasks.data.batch import Batch
from dltasks.tasks.classification import Label
from dltasks.tasks.image import TASK
from dltasks.tasks.image.groups import LabelGroups
from dltasks.tasks.image.prediction import ImagePrediction

CAT = ROOT / "samples/image/cat.jpg"
COFFEE = ROOT / "samples/image/coffee.jpg"
LABELS = ("tabby cat", "tiger cat", "Egyptian cat", "lynx", "beagle", "espresso", "website", "tea cup")
CATS = ["tabby cat", "tiger cat", "Egyptian cat"]
GROUPS = {
    "cat": CATS,
    "feline": [*CATS, "lynx"],
    "animal": [*CATS, "lynx", "beagle"],
    "tableware": ["espresso", "tea cup"],
}
SYNONYMS = {"tabby cat": ["n02123045", "puss"], "tiger cat": ["puss"], "espresso": ["tea cup", "n07920052"]}


def common_group(*probabilities):
    """The answer for these probabilities of the labels, as text."""
    group = LabelGroups(LABELS, GROUPS).common_group(np.array(probabilities, np.float32))
    return group and f"{group.label} {group.probability:.2f}"


def decode(*probabilities, **fields) -> ImagePrediction:
    (prediction,) = TASK(LABELS, top_k=2, **fields).decode(
        {"probabilities": np.array([probabilities], np.float32)}
    )
    return prediction


def between_cats(**fields) -> ImagePrediction:
    return decode(0.3, 0.2, 0.4, 0.05, 0, 0, 0.05, 0, **fields)


def test_a_photo_between_three_kinds_of_cats_is_a_cat():
    assert common_group(0.3, 0.25, 0.4, 0, 0, 0.05, 0, 0) == "cat 0.95"


def test_a_confident_label_stays_the_answer():
    assert common_group(0.95, 0.05, 0, 0, 0, 0, 0, 0) is None


def test_a_photo_between_cats_and_a_lynx_is_a_feline_and_not_any_animal():
    assert common_group(0.02, 0.3, 0.02, 0.64, 0.02, 0, 0, 0) is None
    assert common_group(0.22, 0.22, 0.24, 0.3, 0.02, 0, 0, 0) == "feline 0.98"


def test_only_groups_of_the_most_probable_label_count():
    assert common_group(0.3, 0.3, 0, 0, 0, 0, 0.4, 0) is None
    assert common_group(0.2, 0.2, 0.1, 0, 0, 0.26, 0, 0.24) == "tableware 0.50"


def test_the_probability_of_a_group_is_at_most_1():
    rounded_up = common_group(0.4000001, 0.3000001, 0.3000001, 0, 0, 0, 0, 0)
    assert rounded_up == "cat 1.00"
    assert between_cats(groups={"all": list(LABELS[:7])}).group is None
    assert decode(0.4000001, 0.3000001, 0.3000001, 0, 0, 0, 0, 0, groups=GROUPS).group.probability == 1


def test_without_groups_the_answer_is_a_label():
    assert LabelGroups(LABELS, {}).common_group(np.full(8, 1 / 8, np.float32)) is None
    prediction = between_cats()
    assert prediction.group is None and prediction.answer == prediction.labels[0]
    assert prediction.answer.label == "Egyptian cat"


def test_a_group_is_uncertain_by_its_own_probability():
    cat = between_cats(groups=GROUPS, threshold=0.8)
    assert cat.answer.label == "cat" and cat.answer.probability == pytest.approx(0.9)
    assert not cat.uncertain
    assert between_cats(groups=GROUPS, threshold=0.95).uncertain
    assert between_cats(threshold=0.8).uncertain


def test_a_rejected_label_is_uncertain_however_probable():
    website = (0, 0, 0, 0, 0, 0, 0.99, 0.01)
    assert not decode(*website, threshold=0.5).uncertain
    assert decode(*website, threshold=0.5, rejected_labels=("website",)).uncertain
    assert not between_cats(threshold=0.3, rejected_labels=("website",)).uncertain


def test_a_group_is_right_where_it_contains_the_label():
    task = TASK(LABELS, groups=GROUPS)
    cat, plain = between_cats(groups=GROUPS), between_cats()
    assert task.is_right(cat, ["tabby cat"]) and not task.is_right(cat, ["lynx", "cat"])
    assert task.is_right(plain, ["Egyptian cat"]) and not task.is_right(plain, ["tabby cat"])


def test_a_prediction_with_a_group_as_json_csv_and_text():
    cat = between_cats(groups=GROUPS)
    assert cat.to_json() == {
        "group": {"label": "cat", "probability": 0.9},
        "labels": [
            {"label": "Egyptian cat", "probability": 0.4},
            {"label": "tabby cat", "probability": 0.3},
        ],
        "uncertain": False,
    }
    assert cat.csv_columns() == ("rank", "label", "probability", "uncertain", "group", "group_probability")
    assert cat.csv_rows() == [
        (1, "Egyptian cat", "0.4000", "false", "cat", "0.9000"),
        (2, "tabby cat", "0.3000", "false", "cat", "0.9000"),
    ]
    assert cat.heading == "cat 90.0%"
    assert repr(cat).startswith("ImagePrediction(group=Label(label='cat', probability=0.")


def test_a_prediction_without_a_group_mentions_none():
    plain = between_cats()
    assert list(plain.to_json()) == ["labels", "uncertain"]
    assert plain.csv_rows()[0] == (1, "Egyptian cat", "0.4000", "false", "", "")
    assert plain.heading == "" and "group" not in repr(plain)


def test_a_table_shows_the_group_beside_the_input(capsys, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    predictions = [("cat.jpg", between_cats(groups=GROUPS)), ("plain.jpg", between_cats(threshold=0.8))]
    assert write_predictions("objects", predictions, None) == 0
    assert capsys.readouterr().out.splitlines() == [
        "cat.jpg: cat 90.0%",
        "   40.0%  Egyptian cat",
        "   30.0%  tabby cat",
        "plain.jpg",
        "   40.0%  Egyptian cat",
        "   30.0%  tabby cat",
        "  (uncertain: the photo may show none of this model's classes)",
    ]


def test_names_in_a_foreign_bundle_do_not_control_the_terminal():
    labels = ("cat\x1b[31m", "big\ncat", *"abcdef")
    task = TASK(labels, top_k=2, groups={"any\x1b]0;cat\x07": list(labels[:2])})
    (prediction,) = task.decode({"probabilities": np.array([[0.5, 0.5, *[0] * 6]], np.float32)})
    assert prediction.display_rows() == [("cat\\x1b[31m", "50.0%"), ("big cat", "50.0%")]
    assert prediction.heading == "any\\x1b]0;cat\\x07 100.0%"


def test_the_command_prints_the_group_before_its_labels():
    text, lines, csv = (dltasks("classify", CAT, *form).stdout for form in ([], ["--json"], ["--csv"]))
    assert text.startswith(f"{CAT}: cat 97.") and "%: Egyptian cat " in text
    printed = json.loads(lines)
    assert printed["group"]["label"] == "cat" and printed["group"]["probability"] > 0.9
    assert printed["labels"][0]["label"] == "Egyptian cat" and printed["uncertain"] is False
    header, first, *_ = csv.splitlines()
    assert header == "input,rank,label,probability,uncertain,group,group_probability"
    assert first.startswith(f"{CAT},1,Egyptian cat,0.") and ",false,cat,0.97" in first


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"groups": {"dog": ["beagle", "poodle"]}}, "its group 'dog' is not a group of its labels"),
        ({"groups": {"dog": []}}, "its group 'dog' is not a group of its labels"),
        ({"rejected_labels": ("menu",)}, "it has a field about 'menu', which is not a label"),
        ({"synonyms": {"poodle": ["n1"]}}, "it has a field about 'poodle', which is not a label"),
        ({"groups": GROUPS, "rejected_labels": ("website",), "synonyms": SYNONYMS}, ""),
    ],
)
def test_fields_about_unknown_labels_are_refused(fields, message):
    assert TASK(LABELS, **fields).validate() == message


def test_a_damaged_bundle_with_an_unknown_label_is_an_error_of_one_line(tmp_path):
    bundle = shutil.copytree(ROOT / "models/objects", tmp_path / "bundle")
    manifest = json.loads((bundle / "bundle.json").read_text())
    manifest["fields"]["rejected_labels"] = ["screenshot"]
    (bundle / "bundle.json").write_text(json.dumps(manifest))
    result = dltasks("classify", "--model", bundle, CAT)
    assert result.returncode == 1 and result.stdout == "" and result.stderr.count("\n") == 1
    assert "it has a field about 'screenshot', which is not a label" in result.stderr


def test_synonyms_of_one_label_count_as_that_label():
    names = ["n02123045", "beagle", "puss", "tea cup", "n07920052", "poodle"]
    known, notes = TASK(LABELS, synonyms=SYNONYMS).filter_known_labels(Batch(list("abcdef"), names, names))
    # "puss" is a synonym of two labels; "tea cup" is a label itself.
    assert known.labels == ["tabby cat", "beagle", "tea cup", "espresso"]
    assert known.inputs == ["a", "b", "d", "e"]
    assert notes == [
        "2 photos left out: the model does not know poodle, puss",
        "4 of the model's 8 classes have no photos here",
    ]


def test_evaluate_takes_folders_named_by_wordnet_ids_and_by_labels(tmp_path):
    for photo, name in ((CAT, "n02124075"), (COFFEE, "espresso"), (COFFEE, "panther")):
        (tmp_path / name).mkdir()
        shutil.copy(photo, tmp_path / name)
    result = dltasks("evaluate", "objects", tmp_path, "--json")
    assert result.returncode == 0
    printed = json.loads(result.stdout)
    assert list(printed["classes"]) == ["Egyptian cat", "espresso"]
    assert printed["count"] == 2 and printed["scores"]["accuracy"]["value"] == 1
    # "panther" is a name of two labels.
    assert "1 photo left out: the model does not know panther" in result.stderr


# --- the bundled model of the task


def test_the_bundled_model_has_1000_different_labels_and_groups_of_them():
    import dltasks as library

    task = library.load("objects").task
    assert len(task.labels) == len(set(task.labels)) == 1000
    assert all(label == label.strip() != "" for label in task.labels)
    assert task.size == 224 and task.validate() == ""
    assert all(1 < len(members) == len(set(members)) for members in task.groups.values())
    wordnet_ids = [name for names in task.synonyms.values() for name in names if name[1:].isdigit()]
    assert len(set(wordnet_ids)) == 1000


def test_the_bundled_model_knows_the_samples_and_is_uncertain_about_noise_text_and_grey():
    from PIL import Image, ImageDraw

    import dltasks as library

    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    page = Image.new("RGB", (600, 800), "white")
    text = "\n".join(["The quick brown fox jumps over the lazy dog, and then it sleeps."] * 40)
    ImageDraw.Draw(page).text((40, 30), text, fill="black")
    gray = Image.new("RGB", (300, 300), "gray")
    cat, coffee, *others = library.load("objects").predict(CAT, COFFEE, Image.fromarray(noise), page, gray)
    assert cat.answer.label == "cat" and not cat.uncertain
    assert coffee.answer == Label("espresso", coffee.labels[0].probability) and not coffee.uncertain
    assert [other.uncertain for other in others] == [True, True, True]
