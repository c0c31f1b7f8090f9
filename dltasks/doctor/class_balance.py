"""Findings of labeled files: unreadable and ignored files; small, imbalanced and misspelled classes."""

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
"""Minimum number of examples of a class without a warning."""

IMBALANCE_RATIO = 3
"""Ratio of the largest class to the smallest from which it is noted; from ten times that it is a warning."""

MAX_UNREADABLE_FRACTION = 0.1
"""Maximum fraction of unreadable files without an error."""

SIMILAR_NAME_RATIO = 0.8
"""Similarity of two names (difflib's ratio) from which one may be a misspelling of the other."""

SIMILAR_NAME_SIZE_RATIO = 5
"""Ratio of their sizes from which the smaller of two similarly named classes is probably a misspelling."""


def labeled_items(files: LabeledFiles) -> Items:
    """The rows of a data set, with names relative to its folder."""
    root = files.source if files.source.is_dir() else files.source.parent
    locations = [Location(files.source, row.row) if row.row else Location(row.path) for row in files.rows]
    names = [relative_name(row.path, root) for row in files.rows]
    labels = [row.label for row in files.rows]
    return Items(files.kind.one, files.kind.many, names, labels, files.splits(), locations)


def relative_name(path: Path, root: Path) -> str:
    """The path relative to the folder of the data, if it lies inside."""
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def unreadable_findings(failures: dict[int, DataError], items: Items) -> Iterator[Finding]:
    """Findings of files that can't be read. failures: the reasons, by index."""
    if not failures:
        return
    labels, total = items.class_labels, len(items.names)
    readable = {label for i, label in enumerate(labels) if i not in failures}
    lost = sorted({labels[i] for i in failures} - readable)
    is_error = lost or len(failures) > MAX_UNREADABLE_FRACTION * total
    consequence = f"; nothing is left of {', '.join(lost[:3])}" if lost else ""
    yield Finding(
        "unreadable",
        ERROR if is_error else WARNING,
        len(failures),
        f"{count_of(len(failures), items.one, items.many)} of {total:,} can't be read{consequence}",
        "replace them, or remove them (--fix); training skips them",
        tuple(f"{items.names[i]}: {_reason(error)}" for i, error in failures.items()),
        items.removable(failures),
    )


def _reason(error: DataError) -> str:
    """The message without the name of the file."""
    return str(error).partition(": ")[2] or str(error)


def ignored_file_findings(files: LabeledFiles, has_data: Callable[[Path], bool]) -> Iterator[Finding]:
    """Findings of files that are not read. has_data: whether a file is of the right kind by its content."""
    root, kind = files.source, files.kind
    misnamed = [path for path in files.ignored if has_data(path)]
    others = [path for path in files.ignored if path not in set(misnamed)]
    if misnamed:
        yield Finding(
            "misnamed files",
            WARNING,
            len(misnamed),
            f"{count_of(len(misnamed), kind.one, kind.many)} ignored: the name has no known extension, or "
            "the file is not in a class folder",
            f"move them into a folder of their class, with names like 1{kind.suffix}",
            tuple(relative_name(path, root) for path in misnamed),
        )
    if others:
        predicate = f"files are not {kind.many}" if len(others) > 1 else f"file is not a {kind.one}"
        yield Finding(
            "ignored files",
            NOTE,
            len(others),
            f"{len(others):,} {predicate} in a class folder",
            "no action needed",
            tuple(relative_name(path, root) for path in others),
        )
    if files.empty_folders:
        predicate = "class folders have" if len(files.empty_folders) > 1 else "class folder has"
        yield Finding(
            "empty class",
            WARNING,
            len(files.empty_folders),
            f"{len(files.empty_folders):,} {predicate} no {kind.many}",
            "fill or remove it",
            tuple(relative_name(path, root) for path in files.empty_folders),
        )


def balance_findings(
    items: Items, usable: Sequence[int], excluded_labels: Iterable[str] = ()
) -> Iterator[Finding]:
    """Findings of classes that are small, imbalanced, missing in a split, or named alike.

    usable: indices of the readable items. excluded_labels: labels that are not ordinary classes.
    """
    labels = items.class_labels
    counts = Counter(labels[i] for i in usable)
    for label in excluded_labels:
        counts.pop(label, None)
    yield from _missing_class_findings(items, usable, counts)
    yield from _small_class_findings(items, counts)
    yield from _imbalance_findings(items, counts)
    yield from _similar_name_findings(counts)


def _small_class_findings(items: Items, counts: Counter[str]) -> Iterator[Finding]:
    small = sorted((count, name) for name, count in counts.items() if count < MIN_EXAMPLES)
    if small:
        yield Finding(
            "small class",
            WARNING,
            len(small),
            f"{count_of(len(small), 'class has', 'classes have')} fewer than {MIN_EXAMPLES} {items.many}",
            f"add {items.many}, or remove the class",
            tuple(f"{name} {count}" for count, name in small),
        )


def _imbalance_findings(items: Items, counts: Counter[str]) -> Iterator[Finding]:
    if not counts or max(counts.values()) < IMBALANCE_RATIO * min(counts.values()):
        return
    largest = max(counts, key=lambda name: counts[name])
    smallest = min(counts, key=lambda name: counts[name])
    is_warning = counts[largest] >= 10 * IMBALANCE_RATIO * counts[smallest]
    yield Finding(
        "class imbalance",
        WARNING if is_warning else NOTE,
        len(counts),
        f"classes are imbalanced: {counts[largest]:,} of {largest!r}, {counts[smallest]:,} of {smallest!r}",
        f"add {items.many} to the small ones; --balance gives all classes the same weight",
    )


def _missing_class_findings(items: Items, usable: Sequence[int], counts: Counter[str]) -> Iterator[Finding]:
    """Classes without examples in one of the splits of the data."""
    if items.splits is None:
        return
    labels = items.class_labels
    present = {(items.split(i), labels[i]) for i in usable}
    for split in ("train", "val", "test"):
        missing = sorted(name for name in counts if (split, name) not in present)
        if missing and any(items.split(i) == split for i in usable):
            in_training = split == "train"
            yield Finding(
                f"class missing in {split}",
                ERROR if in_training else WARNING,
                len(missing),
                f"{count_of(len(missing), 'class has', 'classes have')} no {items.many} in {split}",
                "it can't be learned: move some there"
                if in_training
                else "it can't be scored: move some there",
                tuple(missing),
            )


def _similar_name_findings(counts: Counter[str]) -> Iterator[Finding]:
    """Pairs of classes whose names differ in case or punctuation only, or in a few letters."""
    probable: list[tuple[str, str]] = []
    possible: list[tuple[str, str]] = []
    plain = {name: re.sub(r"[\W_]+", " ", name).strip().casefold() or name for name in counts}
    for pair in combinations(sorted(counts), 2):
        smaller, larger = sorted(pair, key=lambda name: counts[name])
        if plain[smaller] == plain[larger]:
            probable.append((smaller, larger))
        elif _is_misspelling(plain[smaller], plain[larger]):
            differ = counts[smaller] * SIMILAR_NAME_SIZE_RATIO <= counts[larger]
            (probable if differ else possible).append((smaller, larger))
    for severity, pairs in ((WARNING, probable), (NOTE, possible)):
        if pairs:
            yield Finding(
                "similar class names",
                severity,
                len(pairs),
                f"{count_of(len(pairs), 'pair', 'pairs')} of classes may be one class under two names",
                "if so, move them into one folder",
                tuple(
                    f"{smaller!r} ({counts[smaller]}) and {larger!r} ({counts[larger]})"
                    for smaller, larger in pairs
                ),
            )


def _is_misspelling(first: str, second: str) -> bool:
    # Names that differ by a number ("mug 1", "mug 2") are intended.
    if re.sub(r"\d+", "", first) == re.sub(r"\d+", "", second):
        return False
    matcher = SequenceMatcher(None, first, second, autojunk=False)
    # Cheap upper bounds first.
    ratios = (matcher.real_quick_ratio, matcher.quick_ratio, matcher.ratio)
    return all(ratio() >= SIMILAR_NAME_RATIO for ratio in ratios)
