"""What the contract suite needs to know about the summary task: a data set, settings, and a bad input."""

import json
import random
from pathlib import Path

SETTINGS = {"epochs": 3, "batch_size": 8, "vocabulary_size": 400, "hidden_size": 64, "encoder_layers": 1}

OBJECTS = (
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
TOWNS = ("Marlow", "Tarn", "Oslo", "Quito", "Perth", "Lund")
ACTIONS = ("repaired", "painted", "measured", "sold", "buried", "praised")
FILLERS = (
    "It rained for most of the week.",
    "Nobody had expected anything else.",
    "The costs were shared by all who live there.",
    "There was coffee afterwards, and a song.",
    "A second report is to follow in spring.",
)


def pairs(count: int) -> list[dict]:
    """Texts of five sentences, one of which has the content of the summary."""
    generator = random.Random(0)
    rows = []
    for _ in range(count):
        name, town, action = (generator.choice(names) for names in (OBJECTS, TOWNS, ACTIONS))
        number = generator.randint(2, 90)
        key_sentence = f"We report that the {name} of {town} was {action} by {number} people."
        sentences = [*generator.sample(FILLERS, 3), f"The {name} is old.", key_sentence]
        generator.shuffle(sentences)
        summary = f"The {town} {name} was {action} by {number} people"
        rows.append({"text": " ".join(sentences), "summary": summary})
    return rows


def make(path: Path, count: int = 120) -> Path:
    """Write a labeled data set."""
    path.mkdir(parents=True)
    file = path / "pairs.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in pairs(count)), encoding="utf-8")
    return file


def bad_input(path: Path) -> Path:
    """Write a file whose content does not fit its name."""
    file = path / "bad.txt"
    file.write_bytes(b"\0\1\2 not a text")
    return file


def corrupt(data: Path) -> int:
    """Add rows that `dltasks doctor --fix` removes to a data set; returns how many."""
    duplicate = data.read_text(encoding="utf-8").splitlines()[0]
    empty = json.dumps({"text": "A text without a summary. It has two sentences.", "summary": " "})
    with open(data, "a", encoding="utf-8") as file:
        file.write(f"{duplicate}\n{empty}\n")
    return 2


# Until test_doctor.py calls it by its new name.
