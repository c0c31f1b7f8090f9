"""Findings of a data set whose items come again: within a part, in two parts, under two classes."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dltasks.data import near_duplicates
from dltasks.doctor.findings import ERROR, NOTE, WARNING, Finding, Location, count_of, group_equal

MAX_LEAKED_FRACTION = 0.01
"""Share of the examples to judge by that may stand in another part, before the scores are called wrong."""

MAX_CONTRADICTED_FRACTION = 0.05
"""Share of the items that may stand under two classes, before training is refused."""

MAX_REPEATED_FRACTION = 0.1
"""Share of the items that may come again within a part, before it is worth a warning."""

SINGULAR_VERBS = {"are": "is", "have": "has"}

SPLIT_ORDER = {"train": 0, None: 0, "val": 1, "test": 2}
"""What is taken out of two parts: of training rather than of what is chosen or judged by."""


@dataclass(frozen=True)
class Items:
    """Examples of a data set, by position. one, many: what they are called. truths: their classes, or None where they
    have none. splits: what the data declares, or None. places: where they stand, or None where that can't be changed."""

    one: str
    many: str
    names: Sequence[str]
    labels: Sequence[str] | None = None
    splits: Sequence[str | None] | None = None
    places: Sequence[Location] | None = None

    def count_phrase(self, count: int, what: str) -> str:
        """So many of these, and what they do: "12 photos are small", or of one "1 photo is small"."""
        verb, _, rest = what.partition(" ")
        verb = SINGULAR_VERBS.get(verb, f"{verb}s") if count == 1 else verb
        return f"{count_of(count, self.one, self.many)} {verb} {rest}"

    def removable(self, positions: Iterable[int]) -> tuple[Location, ...]:
        """Where these stand."""
        return () if self.places is None else tuple(self.places[i] for i in positions)

    def split(self, position: int) -> str | None:
        """The part that the data puts this one in; what is in none is trained on."""
        return None if self.splits is None else self.splits[position] or "train"


def duplicate_findings(groups: Iterable[Sequence[int]], items: Items, alike: str) -> Iterator[Finding]:
    """What groups of copies amount to.

    alike: "identical", or "near-identical"; of these nothing is taken out but what stands in two parts, as copies by a
    likeness may be meant, and no training is refused.
    """
    sure = alike == "identical"
    groups = [list(group) for group in groups]
    contradicted = [g for g in groups if items.labels is not None and len({items.labels[i] for i in g}) > 1]
    divided = [g for g in groups if len({items.split(i) for i in g}) > 1]
    repeated = [each for g in groups for each in _repeated(g, items)]
    if contradicted:
        yield _across_classes(contradicted, items, alike, sure)
    if divided:
        yield _across_splits(divided, items, alike, sure)
    if repeated:
        yield _within_class(repeated, items, alike, sure)


def near_duplicate_findings(
    positions: Sequence[int],
    likenesses: Sequence[np.ndarray],
    hashes: Sequence[int],
    closer: float,
    items: Items,
) -> tuple[dict[int, int], list[Finding]]:
    """Near-copies among the items at these positions: of each the first that it is like, and what they amount to.

    likenesses, hashes, closer: see duplicates.groups.
    """
    if not positions:
        return {}, []
    alike = near_duplicates.group_near_duplicates(np.stack(likenesses), np.array(hashes), closer).tolist()
    groups = [[positions[i] for i in group] for group in group_equal(alike)]
    first = dict(zip(positions, (positions[i] for i in alike), strict=True))
    return first, list(duplicate_findings(groups, items, "near-identical"))


def _across_classes(groups, items: Items, alike: str, sure: bool) -> Finding:
    touched = [i for group in groups for i in group]
    return Finding(
        f"{alike} across classes",
        ERROR if sure and len(touched) > MAX_CONTRADICTED_FRACTION * len(items.names) else WARNING,
        len(touched),
        items.count_phrase(len(touched), f"stand under two classes, {alike}"),
        "keep each under the class that it shows" + (", --fix takes all of them out" if sure else ""),
        tuple(_join_names(group, items) for group in groups),
        items.removable(touched) if sure else (),
    )


def _across_splits(groups, items: Items, alike: str, sure: bool) -> Finding:
    extra, judged = [], 0
    for group in groups:
        last = max(SPLIT_ORDER[items.split(i)] for i in group)
        extra += [i for i in group if SPLIT_ORDER[items.split(i)] < last]
        judged += sum(SPLIT_ORDER[items.split(i)] == last for i in group)
    whole = sum(SPLIT_ORDER[items.split(i)] > 0 for i in range(len(items.names)))
    return Finding(
        f"{alike} across splits",
        ERROR if sure and judged > MAX_LEAKED_FRACTION * whole else WARNING,
        judged,
        f"{items.count_phrase(judged, 'stand in another part too')}, {alike}, of {whole:,} to judge or choose by: scores flatter",
        "keep each in one part; --fix takes them out of the training part",
        tuple(_join_names(group, items) for group in groups),
        items.removable(extra),
    )


def _within_class(groups: list[list[int]], items: Items, alike: str, sure: bool) -> Finding:
    extra = [i for group in groups for i in group[1:]]
    of = "part" if items.labels is None else "class and part"
    return Finding(
        alike,
        WARNING if len(extra) > MAX_REPEATED_FRACTION * len(items.names) else NOTE,
        len(extra),
        items.count_phrase(len(extra), f"repeat another of the same {of}, {alike}"),
        "--fix leaves one of each" if sure else "of a series a few are enough",
        tuple(_join_names(group, items) for group in groups),
        items.removable(extra) if sure else (),
    )


def _repeated(group: list[int], items: Items) -> Iterator[list[int]]:
    """The members of a group that share class and part with another one, together."""
    seen: dict[tuple, list[int]] = {}
    for i in group:
        seen.setdefault((items.labels and items.labels[i], items.split(i)), []).append(i)
    return (each for each in seen.values() if len(each) > 1)


def _join_names(group: Sequence[int], items: Items) -> str:
    return " = ".join(items.names[i] for i in group)
