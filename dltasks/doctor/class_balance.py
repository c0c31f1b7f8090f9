"""Findings of labelled files, whatever they hold: those that can't be read, and classes that are few, uneven or named alike."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from difflib import SequenceMatcher
from itertools import combinations
from pathlib import Path

from dltasks.data.labeled_files import LabeledFiles
from dltasks.doctor.duplicates import Items
from dltasks.doctor.findings import ERROR, NOTE, WARNING, Finding, Location, count_of
from dltasks.errors import DataError

MIN_EXAMPLES = 20
"""Examples of a class below which little is learned of it."""

IMBALANCE_RATIO = 3
"""How many times the examples of one class may be those of another before it is said; at ten times that it is a warning."""

MAX_UNREADABLE_FRACTION = 0.1
"""Share of the files that may be unreadable before training is refused."""

SIMILAR_NAME_RATIO = 0.8
"""Names of so much in common (difflib's ratio) may be one name misspelt."""


def labeled_items(found: LabeledFiles) -> Items:
    """The rows of a data set, named as seen from its folder."""
    top = found.source if found.source.is_dir() else found.source.parent
    indexed = [
        Location(found.source, each.number) if each.number else Location(each.path) for each in found.rows
    ]
    names = [relative_name(each.path, top) for each in found.rows]
    truths = [each.label for each in found.rows]
    return Items(found.kind.one, found.kind.many, names, truths, found.splits(), indexed)


def relative_name(path: Path, top: Path) -> str:
    """The path as seen from the top of the data."""
    return str(path.relative_to(top)) if path.is_relative_to(top) else str(path)


def unreadable_findings(failures: dict[int, DataError], items: Items) -> Iterator[Finding]:
    """failures: by position, why the file can't be used."""
    if not failures:
        return
    lost = {items.labels[i] for i in failures} - {
        truth for i, truth in enumerate(items.labels) if i not in failures
    }
    whole = f"; of {', '.join(sorted(lost)[:3])} nothing is left" if lost else ""
    yield Finding(
        "unreadable",
        ERROR if lost or len(failures) > MAX_UNREADABLE_FRACTION * len(items.names) else WARNING,
        len(failures),
        f"{count_of(len(failures), items.one, items.many)} of {len(items.names):,} can't be read{whole}",
        "get them anew, or take them out (--fix); training skips them",
        tuple(f"{items.names[i]}: {_why(each)}" for i, each in failures.items()),
        items.removable(failures),
    )


def _why(error: DataError) -> str:
    """What is said of a file, without its name."""
    return str(error).partition(": ")[2] or str(error)


def ignored_file_findings(found: LabeledFiles, holds: Callable[[Path], bool]) -> Iterator[Finding]:
    """Files that the data is read without. holds: whether one is of the kind all the same, by its content."""
    top = found.source
    misnamed = [each for each in found.stray if holds(each)]
    others = [each for each in found.stray if each not in set(misnamed)]
    if misnamed:
        yield Finding(
            "misnamed",
            WARNING,
            len(misnamed),
            f"{len(misnamed):,} {found.kind.many} or more are passed over, as their names or folders do not say what they are",
            f"put them into a folder of their class and name them like 1{found.kind.suffix}",
            tuple(relative_name(each, top) for each in misnamed),
        )
    if others:
        yield Finding(
            "passed over",
            NOTE,
            len(others),
            f"{len(others):,} file{'s that are' if len(others) > 1 else ' that is'} not {found.kind.many} in a class folder",
            "nothing need be done",
            tuple(relative_name(each, top) for each in others),
        )
    if found.empty:
        yield Finding(
            "empty class",
            WARNING,
            len(found.empty),
            f"{len(found.empty):,} class folder{'s hold' if len(found.empty) > 1 else ' holds'} no {found.kind.many}",
            "fill or remove it",
            tuple(relative_name(each, top) for each in found.empty),
        )


def balance_findings(items: Items, kept: Sequence[int], aside: Iterable[str] = ()) -> Iterator[Finding]:
    """Classes that are small, uneven, missing in a part, or named alike.

    kept: positions of what can be used. aside: labels that are no classes like the others.
    """
    counts = Counter(items.labels[i] for i in kept)
    for each in aside:
        counts.pop(each, None)
    yield from _missing(items, kept, counts)
    few = sorted((count, name) for name, count in counts.items() if count < MIN_EXAMPLES)
    if few:
        yield Finding(
            "tiny class",
            WARNING,
            len(few),
            f"{len(few):,} class{'es have' if len(few) > 1 else ' has'} fewer than {MIN_EXAMPLES} {items.many}",
            f"add {items.many}, or take the class out",
            tuple(f"{name} {count}" for count, name in few),
        )
    if counts and max(counts.values()) >= IMBALANCE_RATIO * min(counts.values()):
        most, least = max(counts, key=counts.get), min(counts, key=counts.get)
        yield Finding(
            "uneven classes",
            WARNING if counts[most] >= 10 * IMBALANCE_RATIO * counts[least] else NOTE,
            len(counts),
            f"classes are uneven: {counts[most]:,} of {most!r}, {counts[least]:,} of {least!r}",
            f"add {items.many} to the small ones; --balance weighs them alike",
        )
    yield from _alike(counts)


def _missing(items: Items, kept: Sequence[int], counts: Counter) -> Iterator[Finding]:
    """Classes without examples in a part that the data declares."""
    if items.splits is None:
        return
    there = {(items.split(i), items.labels[i]) for i in kept}
    for split in sorted({items.split(i) for i in kept}, key=("train", "val", "test").index):
        absent = sorted(name for name in counts if (split, name) not in there)
        if absent:
            learned = split == "train"
            yield Finding(
                f"not in {split}",
                ERROR if learned else WARNING,
                len(absent),
                f"{len(absent):,} class{'es have' if len(absent) > 1 else ' has'} no {items.many} in {split}",
                "it can't be learned: move some there" if learned else "how well it is known stays open",
                tuple(absent),
            )


def _alike(counts: Counter) -> Iterator[Finding]:
    """Classes whose names differ by case or marks only, or by little; the more so where one is far smaller."""
    plain = {name: re.sub(r"[\W_]+", " ", name).strip().casefold() or name for name in counts}
    likely, unlikely = [], []
    for one, other in combinations(sorted(counts), 2):
        less, more = sorted((one, other), key=counts.get)
        if plain[one] == plain[other]:
            likely.append((less, more))
        elif _misspelt(plain[less], plain[more]):
            (likely if counts[less] * 5 <= counts[more] else unlikely).append((less, more))
    for severity, pairs in ((WARNING, likely), (NOTE, unlikely)):
        if pairs:
            yield Finding(
                "names alike",
                severity,
                len(pairs),
                f"{len(pairs):,} pair{'s' * (len(pairs) > 1)} of classes may be one class under two names",
                "if so, move them into one folder",
                tuple(f"{less!r} ({counts[less]}) and {more!r} ({counts[more]})" for less, more in pairs),
            )


def _misspelt(one: str, other: str) -> bool:
    # Names that differ by a number ("mug 1", "mug 2") are meant to.
    if re.sub(r"\d+", "", one) == re.sub(r"\d+", "", other):
        return False
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    return (
        matcher.real_quick_ratio() >= SIMILAR_NAME_RATIO
        and matcher.quick_ratio() >= SIMILAR_NAME_RATIO
        and matcher.ratio() >= SIMILAR_NAME_RATIO
    )
