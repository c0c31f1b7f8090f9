"""Photos divided into train, val and test: stratified, each picture on one side only."""

import numpy as np

from dltasks.data.batch import Batch, Splits
from dltasks.errors import DataError


def divide(examples: Batch, pictures: np.ndarray, config) -> Splits:
    """Positions of each part. Parts that the data declares stand; those it lacks are cut from train.

    pictures: for each example the position of the first that shows the same picture (pictures.groups); these stay together.
    Raises DataError for a class with too few pictures.
    """
    parts = {"train": [], "val": [], "test": []}
    for position, split in enumerate(examples.splits or [None] * len(examples)):
        parts[split or "train"].append(position)
    shares = {
        name: share
        for name, share in (("test", config.test_split), ("val", config.validation_split))
        if share and not parts[name]
    }
    if not shares:
        return Splits(**parts)
    random = np.random.default_rng(config.seed)
    kept = []
    for label, members in _by_label(examples.labels, pictures, parts["train"]).items():
        _check(label, len(members), len(shares) + 1)
        order = random.permutation(len(members))
        shuffled = [members[i] for i in order]
        for name, share in shares.items():
            wanted = max(1, round(share * sum(map(len, members))))
            while wanted > 0 and len(shuffled) > 1:
                taken = shuffled.pop()
                parts[name] += taken
                wanted -= len(taken)
        kept += [position for picture in shuffled for position in picture]
    return Splits(train=sorted(kept), val=sorted(parts["val"]), test=sorted(parts["test"]))


def _by_label(truths, pictures: np.ndarray, positions: list[int]) -> dict[str, list[list[int]]]:
    """The pictures of each label; a picture under two labels stands with the label of its first photo."""
    members: dict[int, list[int]] = {}
    for position in positions:
        members.setdefault(int(pictures[position]), []).append(position)
    by_label: dict[str, list[list[int]]] = {truths[position]: [] for position in positions}
    for picture in members.values():
        by_label[truths[picture[0]]].append(picture)
    return dict(sorted(by_label.items()))


def _check(label: str, count: int, needed: int) -> None:
    if count < needed:
        raise DataError(
            f"class {label!r} has {count} photo{'s' * (count != 1)}, near-copies counted once; it needs {needed}, "
            "one for each part: add photos or remove the class"
        )
