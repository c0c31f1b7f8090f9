"""Findings of repeated items: within a split, in two splits, under two classes."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dltasks.data import near_duplicates
from dltasks.doctor.findings import ERROR, NOTE, WARNING, Finding, Location, count_of, group_equal

IDENTICAL, NEAR_IDENTICAL = "identical", "near-identical"
"""How alike duplicates are."""

SPLIT_LEAKAGE, NEAR_SPLIT_LEAKAGE = "split leakage", "near-duplicate split leakage"
"""Kinds of the findings of items that stand in two splits."""

MAX_LEAKED_FRACTION = 0.01
"""Maximum fraction of the validation and test examples in another split without an error."""

MAX_CONTRADICTED_FRACTION = 0.05
"""Maximum fraction of the items under two classes without an error."""

MAX_REPEATED_FRACTION = 0.1
"""Maximum fraction of the items repeated within a split without a warning."""

SINGULAR_VERBS = {"are": "is", "have": "has"}

SPLIT_ORDER = {"train": 0, None: 0, "val": 1, "test": 2}
"""Order of the splits; of duplicates in several, those in the later splits stay."""


@dataclass(frozen=True)
class Items:
    """The examples of a data set, by index.

    Attributes:
        one: what an example is called ("photo").
        many: its plural ("photos").
        names: name of each example.
        labels: class of each example; None where examples have none.
        splits: split of each example; None where the data is not split.
        locations: where each example stands; None where it can't be removed.
    """

    one: str
    many: str
    names: Sequence[str]
    labels: Sequence[str] | None = None
    splits: Sequence[str | None] | None = None
    locations: Sequence[Location] | None = None

    @property
    def class_labels(self) -> Sequence[str]:
        """The labels; empty where examples have none."""
        return self.labels or ()

    def count_phrase(self, count: int, predicate: str) -> str:
        """A number of examples with a predicate: "12 photos are small", "1 photo is small"."""
        verb, _, rest = predicate.partition(" ")
        verb = SINGULAR_VERBS.get(verb, f"{verb}s") if count == 1 else verb
        return f"{count_of(count, self.one, self.many)} {verb} {rest}"

    def removable(self, indices: Iterable[int]) -> tuple[Location, ...]:
        """The locations of these examples."""
        return () if self.locations is None else tuple(self.locations[i] for i in indices)

    def split(self, index: int) -> str | None:
        """The split of an example; "train" if it is in none of the splits of the data."""
        return None if self.splits is None else self.splits[index] or "train"


def duplicate_findings(
    index_groups: Iterable[Sequence[int]], items: Items, likeness: str
) -> Iterator[Finding]:
    """Findings of groups of duplicates.

    likeness: IDENTICAL or NEAR_IDENTICAL. Near-duplicates may be intended: only those in two splits are
    removable, and none is an error.
    """
    groups: list[list[int]] = [list(group) for group in index_groups]
    contradicted = [
        group for group in groups if items.labels is not None and len({items.labels[i] for i in group}) > 1
    ]
    leaked = [group for group in groups if len({items.split(i) for i in group}) > 1]
    repeated = [subgroup for group in groups for subgroup in _same_class_and_split(group, items)]
    if contradicted:
        yield _across_classes(contradicted, items, likeness)
    if leaked:
        yield _across_splits(leaked, items, likeness)
    if repeated:
        yield _within_class(repeated, items, likeness)


def near_duplicate_findings(
    indices: Sequence[int],
    thumbnails: Sequence[np.ndarray],
    hashes: Sequence[int],
    max_difference: float,
    items: Items,
) -> tuple[dict[int, int], list[Finding]]:
    """For each of these items the first that it is a near-duplicate of, by index; and the findings.

    thumbnails, hashes, max_difference: see near_duplicates.group_near_duplicates.
    """
    if not indices:
        return {}, []
    firsts = near_duplicates.group_near_duplicates(
        np.stack(thumbnails), np.array(hashes), max_difference
    ).tolist()
    groups = [[indices[i] for i in group] for group in group_equal(firsts)]
    first_by_index = dict(zip(indices, (indices[i] for i in firsts), strict=True))
    return first_by_index, list(duplicate_findings(groups, items, NEAR_IDENTICAL))


def _across_classes(groups: list[list[int]], items: Items, likeness: str) -> Finding:
    identical = likeness == IDENTICAL
    affected = [i for group in groups for i in group]
    is_error = identical and len(affected) > MAX_CONTRADICTED_FRACTION * len(items.names)
    return Finding(
        f"{_kind(likeness)} across classes",
        ERROR if is_error else WARNING,
        len(affected),
        items.count_phrase(len(affected), f"appear under two classes ({likeness})"),
        "keep each under its true class" + ("; --fix removes all of them" if identical else ""),
        tuple(_join_names(group, items) for group in groups),
        items.removable(affected) if identical else (),
    )


def _across_splits(groups: list[list[int]], items: Items, likeness: str) -> Finding:
    identical = likeness == IDENTICAL
    orders = [[SPLIT_ORDER[items.split(i)] for i in group] for group in groups]
    extra = [
        i
        for group, splits in zip(groups, orders, strict=True)
        for i, order in zip(group, splits, strict=True)
        if order < max(splits)
    ]
    leaked = sum(splits.count(max(splits)) for splits in orders)
    scored = sum(SPLIT_ORDER[items.split(i)] > 0 for i in range(len(items.names)))
    message = items.count_phrase(leaked, f"stand in another split too ({likeness})")
    return Finding(
        SPLIT_LEAKAGE if identical else NEAR_SPLIT_LEAKAGE,
        ERROR if identical and leaked > MAX_LEAKED_FRACTION * scored else WARNING,
        leaked,
        f"{message}, of {scored:,} in validation and test: this inflates the scores",
        "keep each in one split; --fix removes them from the training split",
        tuple(_join_names(group, items) for group in groups),
        items.removable(extra),
    )


def _within_class(groups: list[list[int]], items: Items, likeness: str) -> Finding:
    identical = likeness == IDENTICAL
    extra = [i for group in groups for i in group[1:]]
    scope = "split" if items.labels is None else "class and split"
    return Finding(
        _kind(likeness),
        WARNING if len(extra) > MAX_REPEATED_FRACTION * len(items.names) else NOTE,
        len(extra),
        items.count_phrase(len(extra), f"repeat another of the same {scope} ({likeness})"),
        "--fix keeps one of each" if identical else "a few of a series are enough",
        tuple(_join_names(group, items) for group in groups),
        items.removable(extra) if identical else (),
    )


def _kind(likeness: str) -> str:
    return "exact duplicates" if likeness == IDENTICAL else "near duplicates"


def _same_class_and_split(group: list[int], items: Items) -> Iterator[list[int]]:
    """The subgroups of two or more with the same class and split."""
    subgroups: dict[tuple, list[int]] = {}
    for i in group:
        subgroups.setdefault((items.labels and items.labels[i], items.split(i)), []).append(i)
    return (subgroup for subgroup in subgroups.values() if len(subgroup) > 1)


def _join_names(group: Sequence[int], items: Items) -> str:
    return " = ".join(items.names[i] for i in group)
