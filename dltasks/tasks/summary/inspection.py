"""What is wrong with a table of texts and their summaries."""

import re
from collections.abc import Iterator, Sequence

import numpy as np

from dltasks.data import tables
from dltasks.data.batch import Batch
from dltasks.doctor import duplicates
from dltasks.doctor.duplicates import Items
from dltasks.doctor.findings import ERROR, NOTE, WARNING, Finding, Inspection, Location, count_of, group_equal
from dltasks.errors import DataError
from dltasks.progress import Progress
from dltasks.tasks.summary import data, split
from dltasks.tasks.summary.documents import Document

FEW = 200
"""Pairs to train on below which little is learned."""

SHORT = 2
"""Sentences of a text below which there is nothing to choose."""

RARE = 0.02
"""Share of the pairs that may be out of order before it is a warning."""

LOST = 0.1
"""Share of the rows that may be unusable before training is refused."""

MARKUP = re.compile(r"</?(?:p|div|br|span|a|b|i|strong|em|li|ul|h[1-6]|table|td|tr)\b[^<>]*>", re.IGNORECASE)

MARKS = re.compile(r"[.!?:;\n。！？]")

BROKEN = re.compile("\ufffd|Ã[\u0080-\u00bf]|â€|Â[\u00a0-\u00bf]")
"""What is left of letters that were read in a wrong encoding."""


def inspect(source, config, progress: Progress) -> Inspection:
    """Findings of texts with summaries. Raises DataError where there are none."""
    examples = data.read(source, config.text, config.summary)
    there = {str(each): each for each in ([] if _named(source) else tables.files(source))}
    places = [_place(origin, there) for origin in examples.source_names] if there else None
    alone = len(there) == 1
    names = [f"row {each.row}" for each in places] if alone else examples.source_names
    items = Items("pair", "pairs", names, None, examples.splits, places)
    failures = {i: raw for i, raw in enumerate(examples.inputs) if isinstance(raw, DataError)}
    kept = [i for i in range(len(examples)) if i not in failures]
    findings = [*_unusable(failures, items)]
    if kept:
        findings += _copied(examples, kept, items)
        findings += _unusual(examples, kept, items)
        findings += _parts(examples.take(kept), config)
    progress.update("inspecting", len(examples), len(examples))
    return Inspection("summary", len(examples), "pairs", tuple(findings))


def _named(source) -> bool:
    return isinstance(source, str) and source.startswith("tfds:")


def _place(origin: str, there) -> Location:
    file, _, row = origin.rpartition(", row ")
    return Location(there[file], int(row))


def _unusable(failures: dict[int, DataError], items: Items) -> Iterator[Finding]:
    if failures:
        yield Finding(
            "unusable row",
            ERROR if len(failures) > LOST * len(items.names) else WARNING,
            len(failures),
            f"{count_of(len(failures), 'row', 'rows')} of {len(items.names):,} can't be used",
            "training skips them; mend them, or take them out (--fix)",
            tuple(str(each) for each in failures.values()),
            items.removable(failures),
        )


def _copied(examples: Batch, kept: Sequence[int], items: Items) -> Iterator[Finding]:
    """Texts that come again, and summaries that many texts have."""
    texts: list[str | None] = [None] * len(examples)
    for i in kept:
        texts[i] = " ".join(examples.inputs[i].text.split()).casefold()
    groups = list(group_equal(texts))
    # A text that comes again in its part is a copy only if its summary does too.
    told = [
        (texts[i], examples.labels[i].summaries) if texts[i] is not None else None for i in range(len(texts))
    ]
    divided = [g for g in groups if len({items.split(i) for i in g}) > 1]
    yield from (
        each for each in duplicates.duplicate_findings(divided, items, "identical") if "across" in each.kind
    )
    yield from (
        each
        for each in duplicates.duplicate_findings(group_equal(told), items, "identical")
        if "across" not in each.kind
    )
    several = [g for g in groups if len({examples.labels[i].summaries for i in g}) > 1]
    if several:
        count = sum(map(len, several))
        yield Finding(
            "several summaries",
            NOTE,
            count,
            items.count_phrase(count, "share a text and have different summaries"),
            "give a text once, with a list of its summaries",
            tuple(" = ".join(items.names[i] for i in group[:3]) for group in several),
        )
    summaries = [
        examples.labels[i].summaries[0].strip().casefold() if texts[i] is not None else None
        for i in range(len(texts))
    ]
    common = [g for g in group_equal(summaries) if len({texts[i] for i in g}) > 2]
    if common:
        count = sum(map(len, common))
        yield Finding(
            "same summary",
            WARNING if count > RARE * len(kept) else NOTE,
            count,
            f"{count:,} pairs of different texts have the same summary",
            "it says nothing of any of them: take them out (--fix)",
            tuple(
                f"{items.names[g[0]]}: {_brief(examples.labels[g[0]].summaries[0])} ({len(g)} times)"
                for g in common
            ),
            items.removable(i for g in common for i in g),
        )


def _unusual(examples: Batch, kept: Sequence[int], items: Items) -> Iterator[Finding]:
    text = {i: examples.inputs[i].text for i in kept}
    summary = {i: examples.labels[i].summaries[0] for i in kept}
    longer = [i for i in kept if len(summary[i]) >= len(text[i])]
    swapped = 2 * len(longer) > len(kept)
    if swapped:
        yield Finding(
            "swapped columns",
            ERROR,
            len(longer),
            items.count_phrase(
                len(longer),
                "have a summary that is not shorter than its text: the columns seem to be swapped",
            ),
            "name them, the other way round: --text and --summary",
            tuple(items.names[i] for i in longer),
        )
    copied = [i for i in kept if i not in set(longer) and text[i].lstrip().startswith(summary[i].strip())]
    short = [i for i in kept if _short(examples.inputs[i])]
    markup = [i for i in kept if MARKUP.search(text[i]) or MARKUP.search(summary[i])]
    broken = [i for i in kept if BROKEN.search(text[i]) or BROKEN.search(summary[i])]
    for kind, least, there, told, advice, fix in (
        (
            "summary too long",
            WARNING,
            [] if swapped else longer,
            "have a summary that is not shorter than its text",
            "look whether the columns are swapped; take them out (--fix)",
            True,
        ),
        (
            "summary is the beginning",
            NOTE,
            copied,
            "have a summary that is the beginning of the text, word for word",
            "the network will learn to copy it; cut it from the text if it does not belong there",
            False,
        ),
        ("short text", NOTE, short, "have a text of one sentence", "there is nothing to choose", False),
        ("markup", NOTE, markup, "hold tags of HTML", "take them out of the texts before training", False),
        (
            "broken letters",
            NOTE,
            broken,
            "hold letters that were read in a wrong encoding",
            "make the table anew from its source",
            False,
        ),
    ):
        if there:
            yield Finding(
                kind,
                WARNING if len(there) > RARE * len(kept) else least,
                len(there),
                items.count_phrase(len(there), told),
                advice,
                tuple(items.names[i] for i in there),
                items.removable(there) if fix else (),
            )
    yield from _lengths(text, summary, kept, items)


def _lengths(text, summary, kept: Sequence[int], items: Items) -> Iterator[Finding]:
    """Texts far longer than the others."""
    lengths = np.array([len(text[i]) for i in kept])
    usual = float(np.median(lengths))
    long = [i for i, length in zip(kept, lengths, strict=True) if length > 20 * max(usual, 500)]
    if long:
        yield Finding(
            "long text",
            NOTE,
            len(long),
            items.count_phrase(
                len(long), f"have a text more than 20 times as long as most ({usual:,.0f} characters)"
            ),
            "only its first sentences are learned from",
            tuple(f"{items.names[i]}: {len(text[i]):,} characters" for i in long),
        )


def _parts(examples: Batch, config) -> Iterator[Finding]:
    """Whether there is enough to train on, to choose by and to judge by."""
    parts = split.divided(examples, config)
    for name, positions in (("train on", parts.train), ("choose by", parts.val)):
        if not len(positions):
            yield Finding(
                "empty part",
                ERROR,
                1,
                f"no pairs to {name}",
                "add some, or leave the division to the training",
            )
    if 0 < len(parts.train) < FEW:
        yield Finding(
            "few pairs",
            WARNING,
            len(parts.train),
            f"{len(parts.train):,} pairs to train on",
            "thousands are wanted before a network does better than the first sentences",
        )


def _short(document: Document) -> bool:
    """Whether a text has one sentence; those with more marks than that are not cut into sentences."""
    return (
        len(document.text) <= 2000 and len(MARKS.findall(document.text)) < 2 * SHORT and len(document) < SHORT
    )


def _brief(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")
