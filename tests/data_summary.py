"""What the contract suite needs to know of the summary task: a data set, settings, and a bad input."""

import json
import random
from pathlib import Path

SETTINGS = {"epochs": 3, "batch_size": 8, "vocabulary_size": 400, "hidden_size": 64, "encoder_layers": 1}

THINGS = (
    "pump",
    "garden",
    "engine",
    "violin",
    "bridge",
    "kettle",
    "orchard",
    "compass",
    "glacier",
    "lantern",
)
PLACES = ("Marlow", "Tarn", "Oslo", "Quito", "Perth", "Lund")
DEEDS = ("repaired", "painted", "measured", "sold", "buried", "praised")
FILLERS = (
    "It rained for most of the week.",
    "Nobody had expected anything else.",
    "The costs were shared by all who live there.",
    "There was coffee afterwards, and a song.",
    "A second report is to follow in spring.",
)


def pairs(count: int) -> list[dict]:
    """Texts of five sentences, one of which is what the summary says."""
    draw = random.Random(0)
    found = []
    for _ in range(count):
        thing, place, deed = draw.choice(THINGS), draw.choice(PLACES), draw.choice(DEEDS)
        number = draw.randint(2, 90)
        said = f"We report that the {thing} of {place} was {deed} by {number} people."
        sentences = [*draw.sample(FILLERS, 3), f"The {thing} is old.", said]
        draw.shuffle(sentences)
        found.append(
            {"text": " ".join(sentences), "summary": f"The {place} {thing} was {deed} by {number} people"}
        )
    return found


def make(path: Path, count: int = 120) -> Path:
    """A labelled data set."""
    path.mkdir(parents=True)
    file = path / "pairs.jsonl"
    file.write_text("".join(json.dumps(each) + "\n" for each in pairs(count)), encoding="utf-8")
    return file


def bad_input(path: Path) -> Path:
    """A file that is not what it says."""
    bad = path / "bad.txt"
    bad.write_bytes(b"\0\1\2 not a text")
    return bad


def spoil(data: Path) -> int:
    """Put things to be moved out of the way into a data set; gives how many."""
    first = data.read_text(encoding="utf-8").splitlines()[0]
    empty = json.dumps({"text": "A text without a summary. It has two sentences.", "summary": " "})
    with open(data, "a", encoding="utf-8") as file:
        file.write(f"{first}\n{empty}\n")
    return 2
