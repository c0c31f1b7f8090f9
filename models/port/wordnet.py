"""The names of the 1,000 classes of ImageNet, their synonyms, and the groups they belong to in WordNet.

Short names come from open_clip (OpenAI's list, MIT license), with those of names.csv in their place;
WordNet ids in the order of the network's outputs from TensorFlow Datasets (Apache-2.0); synonyms and groups
from WordNet 3.0 (Debian's package wordnet-base). groups.csv lists the groups that have a plain name.
"""

import csv
import importlib.util
import runpy
from pathlib import Path

FOLDER = Path(__file__).parent


def read_wordnet_ids() -> list[str]:
    """WordNet ids of the classes, in the order of the outputs."""
    import tensorflow_datasets

    path = Path(tensorflow_datasets.__file__).parent / "datasets/imagenet2012/labels.txt"
    return path.read_text(encoding="utf-8").split()


def read_names() -> list[str]:
    """The name of each class in open_clip; two are used twice."""
    package = importlib.util.find_spec("open_clip")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("open_clip: pip install open_clip_torch")
    # The package itself would import PyTorch's vision library.
    module = runpy.run_path(str(Path(package.origin).with_name("zero_shot_metadata.py")))
    return list(module["IMAGENET_CLASSNAMES"])


def read_labels(ids: list[str]) -> list[str]:
    """The plain name of each class. Raises ValueError where two are equal."""
    with open(FOLDER / "names.csv", encoding="utf-8", newline="") as file:
        names = {row["wordnet_id"]: row["name"] for row in csv.DictReader(file)}
    labels = [names.get(id, name) for id, name in zip(ids, read_names(), strict=True)]
    if repeated := sorted({label for label in labels if labels.count(label) > 1}):
        raise ValueError(f"several classes have the name {repeated[0]!r}; tell them apart in names.csv")
    return labels


class WordNet:
    """The nouns of WordNet, by id such as n02123045."""

    def __init__(self, folder: Path):
        self.words: dict[str, list[str]] = {}
        self.hypernyms: dict[str, list[str]] = {}
        with open(folder / "data.noun", encoding="utf-8") as file:
            for line in file:
                if not line.startswith("  "):  # the license
                    self._add(line.partition(" | ")[0].split())

    def _add(self, parts: list[str]) -> None:
        """Add a line of data.noun: its format is described in wndb(5WN)."""
        synset = f"n{parts[0]}"
        end = 4 + 2 * int(parts[3], 16)
        self.words[synset] = [word.replace("_", " ") for word in parts[4:end:2]]
        pointers = zip(parts[end + 1 :: 4], parts[end + 2 :: 4], strict=False)
        count = int(parts[end])
        self.hypernyms[synset] = [
            f"n{target}" for symbol, target in list(pointers)[:count] if symbol in ("@", "@i")
        ]

    def ancestors(self, synset: str) -> set[str]:
        """All hypernyms of a noun, and theirs."""
        ancestors: set[str] = set()
        remaining = [synset]
        while remaining:
            new = set(self.hypernyms[remaining.pop()]) - ancestors
            ancestors |= new
            remaining += new
        return ancestors


def group_labels(wordnet: WordNet, ids: list[str], labels: list[str]) -> dict[str, list[str]]:
    """The labels of each group of groups.csv, by its name."""
    ancestors = {label: wordnet.ancestors(id) for id, label in zip(ids, labels, strict=True)}
    with open(FOLDER / "groups.csv", encoding="utf-8", newline="") as file:
        return {
            row["name"]: row["labels"].split("|")
            if row["labels"]
            else [label for label in labels if row["wordnet_id"] in ancestors[label]]
            for row in csv.DictReader(file)
        }


def find_synonyms(wordnet: WordNet, ids: list[str], labels: list[str]) -> dict[str, list[str]]:
    """The WordNet id and the further names of each label."""
    return {
        label: [id, *dict.fromkeys(word for word in (name, *wordnet.words[id]) if word != label)]
        for id, name, label in zip(ids, read_names(), labels, strict=True)
    }
