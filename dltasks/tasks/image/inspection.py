"""Findings about a data set of photos: unreadable files, duplicates, class balance, unusual photos."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

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
from dltasks.tasks.image.config import ImageConfig

INSPECTED_SIZE = 64
"""Side length to which photos are scaled for the inspection, in pixels."""

MAX_BLANK_DEVIATION = 2.0
"""Maximum standard deviation of the pixels of a blank photo, in levels of 255."""

MAX_ASPECT_RATIO = 4.0
"""Maximum ratio of the longer to the shorter side; above it, the center square shows too little."""

MAX_UNUSUAL_FRACTION = 0.05
"""Maximum fraction of unusual photos; with more, they are typical of the data set."""


@dataclass(frozen=True)
class ImageStats:
    """Properties of one photo.

    Attributes:
        digest: Hash of its bytes.
        thumbnail: float32 (8, 8, 3).
        hash: Difference hash, uint64.
        deviation: Standard deviation of its pixels, in levels of 255, of the channel with the highest.
        header: The header of its file.
    """

    digest: bytes
    thumbnail: np.ndarray
    hash: int
    deviation: float
    header: pixels.ImageHeader

    @property
    def is_blank(self) -> bool:
        return self.deviation <= MAX_BLANK_DEVIATION

    @property
    def aspect_ratio(self) -> float:
        """The longer side divided by the shorter one."""
        return max(self.header.width, self.header.height) / max(1, min(self.header.width, self.header.height))

    @property
    def dimensions(self) -> str:
        return f"{self.header.width} x {self.header.height}"


@dataclass(frozen=True)
class Reference:
    """The values that photos are compared with.

    size: side length of the network's input. rare_modes: color modes of few photos.
    """

    size: int
    rare_modes: frozenset[str]


@dataclass(frozen=True)
class Rule:
    """A property of single photos that is reported.

    Attributes:
        kind: Kind of the finding.
        matches: Whether a photo has the property.
        message: The property, from its plural verb on; {size} is the side length of the network's input.
        fix: Recommended action.
        severity: Severity of the finding.
        common_severity: Severity if more than MAX_UNUSUAL_FRACTION of the photos match.
        detail: Text after the name of a photo.
        is_removable: Whether `--fix` removes these photos.
    """

    kind: str
    matches: Callable[[ImageStats, Reference], bool]
    message: str
    fix: str
    severity: str = NOTE
    common_severity: str = NOTE
    detail: Callable[[ImageStats], str] = lambda stats: ""
    is_removable: bool = False


RULES = (
    Rule(
        "blank",
        lambda stats, reference: stats.is_blank,
        "show a single color",
        "remove them (--fix)",
        severity=WARNING,
        common_severity=WARNING,
        is_removable=True,
    ),
    Rule(
        "small",
        lambda stats, reference: min(stats.header.width, stats.header.height) < reference.size / 2,
        "are smaller than half of the network's input, {size} pixels",
        "use larger photos, or train with a smaller --size",
        common_severity=WARNING,
        detail=lambda stats: stats.dimensions,
    ),
    Rule(
        "extreme aspect ratio",
        lambda stats, reference: stats.aspect_ratio > MAX_ASPECT_RATIO,
        f"have an aspect ratio above {MAX_ASPECT_RATIO:g}:1; only the center square is used",
        "crop them to their subject",
        detail=lambda stats: stats.dimensions,
    ),
    Rule(
        "wrong extension",
        lambda stats, reference: stats.header.has_wrong_suffix,
        "have the file extension of another format",
        "rename them: dltasks reads them, other programs may not",
        detail=lambda stats: f"is {stats.header.format}",
    ),
    Rule(
        "rare color mode",
        lambda stats, reference: stats.header.mode in reference.rare_modes,
        "have a different color mode from most (gray, CMYK, palette, transparency)",
        "check that they are not all of one class; they are converted to RGB on white",
        detail=lambda stats: stats.header.mode,
    ),
    Rule(
        "animated image",
        lambda stats, reference: stats.header.frames > 1,
        "have several frames",
        "check that the first frame shows the class; only that one is used",
    ),
)
"""Everything reported of single photos."""


def inspect(task: Any, source: Any, config: ImageConfig, progress: Progress) -> Inspection:
    """Findings about a data set of photos. Raises DataError where no photo can be inspected."""
    if str(source).startswith("tfds:"):
        files, examples = None, data.load_examples(source)
        items = Items("photo", "photos", examples.source_names, examples.labels, examples.splits)
    else:
        files = labeled_files.find_labeled_files(source, data.PHOTOS)
        examples, items = files.batch(), class_balance.labeled_items(files)
    task.adapt(examples, config)
    results = map_inputs(examples.inputs, _measure, progress)
    stats = {i: result for i, result in enumerate(results) if isinstance(result, ImageStats)}
    failures = {i: result for i, result in enumerate(results) if isinstance(result, DataError)}
    findings = [
        *class_balance.unreadable_findings(failures, items),
        *class_balance.balance_findings(items, list(stats)),
    ]
    if files:
        findings += class_balance.ignored_file_findings(files, _is_photo)
    if stats:
        findings += _find_duplicates(stats, items, examples, config)
        findings += _find_unusual(stats, items, config)
    return Inspection("image", len(examples), items.many, tuple(findings))


def _measure(photos: Sequence[Any]) -> list[ImageStats | DataError]:
    """The properties of each photo, or the DataError in its place."""
    files: list[tuple[bytes, pixels.ImageHeader] | DataError] = []
    images = []
    for photo in photos:
        try:
            image = pixels.load(photo, INSPECTED_SIZE)
            content = photo if isinstance(photo, bytes) else read_file(Path(photo))
            files.append((blake2b(content, digest_size=16).digest(), pixels.read_header(photo)))
            images.append(image)
        except DataError as error:
            files.append(error)
    if not images:
        return [file for file in files if isinstance(file, DataError)]
    stacked = np.stack(images)
    deviations = stacked.std(axis=(1, 2)).max(axis=1)
    measured = zip(*near_duplicates.compute_fingerprints(stacked), deviations, strict=True)
    return [file if isinstance(file, DataError) else _combine(file, *next(measured)) for file in files]


def _combine(
    file: tuple[bytes, pixels.ImageHeader], thumbnail: np.ndarray, hash: int, deviation: float
) -> ImageStats:
    digest, header = file
    return ImageStats(digest, thumbnail, hash, float(deviation), header)


def _find_duplicates(
    stats: dict[int, ImageStats], items: Items, examples: Batch, config: ImageConfig
) -> Iterator[Finding]:
    digests = [stats[i].digest if i in stats else None for i in range(len(examples))]
    yield from duplicates.duplicate_findings(group_equal(digests), items, "identical")
    first = {stats[i].digest: i for i in reversed(stats)}
    distinct = [i for i in stats if first[stats[i].digest] == i and not stats[i].is_blank]
    thumbnails, hashes = [stats[i].thumbnail for i in distinct], [stats[i].hash for i in distinct]
    groups, near = duplicates.near_duplicate_findings(
        distinct, thumbnails, hashes, near_duplicates.MAX_THUMBNAIL_DIFFERENCE, items
    )
    yield from near
    originals = [first[stats[i].digest] for i in stats]
    try:
        split.split_photos(
            examples.take(stats), np.array([groups.get(original, original) for original in originals]), config
        )
    except DataError as error:
        yield Finding("too few photos", ERROR, 1, str(error), "", fatal=True)


def _find_unusual(stats: dict[int, ImageStats], items: Items, config: ImageConfig) -> Iterator[Finding]:
    limit = MAX_UNUSUAL_FRACTION * len(stats)
    modes = Counter(photo.header.mode for photo in stats.values())
    rare_modes = frozenset(mode for mode, count in modes.items() if count <= limit and mode != "RGB")
    size = config.input_size()
    reference = Reference(size, rare_modes)
    for rule in RULES:
        matches = [i for i, photo in stats.items() if rule.matches(photo, reference)]
        if matches:
            yield Finding(
                rule.kind,
                rule.common_severity if len(matches) > limit else rule.severity,
                len(matches),
                items.count_phrase(len(matches), rule.message.format(size=size)),
                rule.fix,
                tuple(f"{items.names[i]} {rule.detail(stats[i])}".rstrip() for i in matches),
                items.removable(matches) if rule.is_removable else (),
            )


def _is_photo(path: Path) -> bool:
    """Whether the content of a file is a photo, whatever its name."""
    try:
        return bool(pixels.read_header(path))
    except DataError:
        return False
