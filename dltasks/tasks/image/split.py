"""Splitting photos into train, val and test: stratified by label, near-duplicates in one split."""

import numpy as np

from dltasks.data.batch import Batch, Splits
from dltasks.errors import DataError
from dltasks.tasks.image.config import ImageConfig


def split_photos(examples: Batch, groups: np.ndarray, config: ImageConfig) -> Splits:
    """Indices of each split. Declared splits stay as they are; a missing one is taken from train.

    groups: int (count,), the index of the first near-duplicate of each example (see group_photos); a group
    stays in one split. Raises DataError for a class with too few photos.
    """
    splits: dict[str, list[int]] = {"train": [], "val": [], "test": []}
    for index, name in enumerate(examples.splits or [None] * len(examples)):
        splits[name or "train"].append(index)
    fractions = {
        name: fraction
        for name, fraction in (("test", config.test_split), ("val", config.validation_split))
        if fraction and not splits[name]
    }
    if not fractions:
        return Splits(**splits)
    random = np.random.default_rng(config.seed)
    train: list[int] = []
    for label, members in _group_by_label(examples.labels, groups, splits["train"]).items():
        _check_group_count(label, len(members), len(fractions) + 1)
        order = random.permutation(len(members))
        shuffled = [members[i] for i in order]
        for name, fraction in fractions.items():
            missing = max(1, round(fraction * sum(map(len, members))))
            while missing > 0 and len(shuffled) > 1:
                group = shuffled.pop()
                splits[name] += group
                missing -= len(group)
        train += [index for group in shuffled for index in group]
    return Splits(train=sorted(train), val=sorted(splits["val"]), test=sorted(splits["test"]))


def _group_by_label(labels, groups: np.ndarray, indices: list[int]) -> dict[str, list[list[int]]]:
    """The groups of each label; a group with two labels counts under the label of its first photo."""
    members: dict[int, list[int]] = {}
    for index in indices:
        members.setdefault(int(groups[index]), []).append(index)
    by_label: dict[str, list[list[int]]] = {labels[index]: [] for index in indices}
    for group in members.values():
        by_label[labels[group[0]]].append(group)
    return dict(sorted(by_label.items()))


def _check_group_count(label: str, count: int, required: int) -> None:
    if count < required:
        raise DataError(
            f"class {label!r} has {count} photo{'s' * (count != 1)} (near-duplicates count once); "
            f"at least {required} are needed, one per split: add photos or remove the class"
        )
