"""What is wrong with a folder of photos."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np

from dltasks.data import labeled_files
from dltasks.data.batch import Batch
from dltasks.doctor import class_balance, duplicates
from dltasks.doctor.duplicates import Items
from dltasks.doctor.findings import ERROR, NOTE, WARNING, Finding, Inspection, group_equal, map_inputs
from dltasks.errors import DataError
from dltasks.files import read_file
from dltasks.progress import Progress
from dltasks.tasks.image import data, near_duplicates, pixels, split

SIZE = 64
"""Side that photos are looked at in."""

FLAT = 2.0
"""Levels of 255 that the pixels of a photo of nothing differ by, at most."""

LONG = 4.0
"""Longer side as a multiple of the shorter one beyond which too little of a photo is seen."""

RARE = 0.05
"""Share of the photos that may be of another kind than the rest before that is how these photos are."""


@dataclass(frozen=True)
class Look:
    """What is seen of one photo. flatness: standard deviation of its pixels."""

    digest: bytes
    thumbnail: np.ndarray
    hash: np.ndarray
    flatness: float
    facts: pixels.Facts


def inspect(task, source, config, progress: Progress) -> Inspection:
    """Findings of a data set of photos. Raises DataError where none can be looked at."""
    if str(source).startswith("tfds:"):
        found, examples = None, data.load_examples(source)
        items = Items("photo", "photos", examples.source_names, examples.labels, examples.splits)
    else:
        found = labeled_files.find_labeled_files(source, data.PHOTOS)
        examples, items = found.batch(), class_balance.labeled_items(found)
    task.adapt(examples, config)
    looks = map_inputs(examples.inputs, _look, progress)
    kept = [i for i, each in enumerate(looks) if isinstance(each, Look)]
    failures = {i: each for i, each in enumerate(looks) if isinstance(each, DataError)}
    findings = [
        *class_balance.unreadable_findings(failures, items),
        *class_balance.balance_findings(items, kept),
    ]
    if found:
        findings += class_balance.ignored_file_findings(found, _is_photo)
    if kept:
        findings += _copied(looks, kept, items, examples, config)
        findings += _unusual(looks, kept, items, config)
    return Inspection("image", len(examples), items.many, tuple(findings))


def _look(raws: Sequence) -> list[Look | DataError]:
    looks, seen = [], []
    for raw in raws:
        try:
            seen.append(pixels.load(raw, SIZE))
            whole = raw if isinstance(raw, bytes) else read_file(Path(raw))
            looks.append((blake2b(whole, digest_size=16).digest(), pixels.facts(raw)))
        except DataError as error:
            looks.append(error)
    if not seen:
        return looks
    stacked = np.stack(seen)
    described = zip(*near_duplicates.described(stacked), stacked.std(axis=(1, 2)).max(axis=1), strict=True)
    return [each if isinstance(each, DataError) else _together(each, next(described)) for each in looks]


def _together(read, described) -> Look:
    digest, facts = read
    thumbnail, hash, flatness = described
    return Look(digest, thumbnail, hash, float(flatness), facts)


def _copied(looks, kept: list[int], items: Items, examples: Batch, config) -> Iterator[Finding]:
    digests = [each.digest if isinstance(each, Look) else None for each in looks]
    yield from duplicates.duplicate_findings(group_equal(digests), items, "identical")
    first = {digests[i]: i for i in reversed(kept)}
    alone = [i for i in kept if first[digests[i]] == i and looks[i].flatness > FLAT]
    likenesses, hashes = [looks[i].thumbnail for i in alone], [looks[i].hash for i in alone]
    picture, near = duplicates.near_duplicate_findings(
        alone, likenesses, hashes, near_duplicates.LEVELS, items
    )
    yield from near
    try:
        known = np.array([picture.get(first[digests[i]], first[digests[i]]) for i in kept])
        split.divide(examples.take(kept), known, config)
    except DataError as error:
        yield Finding("too few", ERROR, 1, str(error), "", fatal=True)


def _unusual(looks, kept: list[int], items: Items, config) -> Iterator[Finding]:
    facts = {i: looks[i].facts for i in kept}
    small = [i for i in kept if min(facts[i].width, facts[i].height) < config.size / 2]
    long = [i for i in kept if _ratio(facts[i]) > LONG]
    flat = [i for i in kept if looks[i].flatness <= FLAT]
    misnamed = [i for i in kept if facts[i].misnamed]
    sized = {i: f"{items.names[i]} {facts[i].width} x {facts[i].height}" for i in (*small, *long)}
    modes = Counter(each.mode for each in facts.values())
    rare = [i for i in kept if modes[facts[i].mode] <= RARE * len(kept) and facts[i].mode != "RGB"]
    moving = [i for i in kept if facts[i].frames > 1]
    for kind, severity, there, told, advice, examples in (
        ("blank", WARNING, flat, "show nothing but one colour", "take them out (--fix)", None),
        (
            "small",
            WARNING if len(small) > RARE * len(kept) else NOTE,
            small,
            f"are smaller than half of what the network sees, {config.size} pixels",
            "larger ones tell more; or train with a smaller --size",
            [sized[i] for i in small],
        ),
        (
            "long",
            NOTE,
            long,
            f"are more than {LONG:g} times as long as wide; only the middle square is seen",
            "crop them to what they show",
            [sized[i] for i in long],
        ),
        (
            "wrong ending",
            NOTE,
            misnamed,
            "are of another format than the name says",
            "they are read all the same; other programs may not",
            [f"{items.names[i]} is {facts[i].format}" for i in misnamed],
        ),
        (
            "rare mode",
            NOTE,
            rare,
            "have other colours than most (grey, CMYK, a palette, transparent)",
            "they are taken over white, as colours; look whether they are all of one class",
            [f"{items.names[i]} {facts[i].mode}" for i in rare],
        ),
        ("moving", NOTE, moving, "have several pictures", "only the first is seen", None),
    ):
        if there:
            yield Finding(
                kind,
                severity,
                len(there),
                items.count_phrase(len(there), told),
                advice,
                tuple(examples or (items.names[i] for i in there)),
                items.removable(there) if kind == "blank" else (),
            )


def _ratio(facts: pixels.Facts) -> float:
    return max(facts.width, facts.height) / max(1, min(facts.width, facts.height))


def _is_photo(path: Path) -> bool:
    try:
        return bool(pixels.facts(path))
    except DataError:
        return False
