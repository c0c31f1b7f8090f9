"""Rules for single pairs of a text and its summary, for `dltasks doctor`."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from dltasks.doctor.findings import NOTE, WARNING
from dltasks.tasks.summary.documents import Document

MIN_SENTENCES = 2
"""Number of sentences of a text below which there is nothing to select."""

MAX_SHORT_CHARACTERS = 2000
"""Length of a text that may be a single sentence."""

HTML_TAGS = re.compile(
    r"</?(?:p|div|br|span|a|b|i|strong|em|li|ul|h[1-6]|table|td|tr)\b[^<>]*>", re.IGNORECASE
)

SENTENCE_MARKS = re.compile(r"[.!?:;\n。！？]")

WRONG_ENCODING = re.compile("\ufffd|Ã[\u0080-\u00bf]|â€|Â[\u00a0-\u00bf]")
"""Remains of letters that were decoded with a wrong encoding."""


@dataclass(frozen=True)
class PairRule:
    """A problem of a single pair.

    Attributes:
        kind: name of the finding.
        severity: that of a rare problem; a frequent one is a warning at least.
        applies: whether a text and its summary have the problem.
        message: what the pairs do, after their number.
        fix: what to do.
        removable: whether `--fix` may move these pairs away.
    """

    kind: str
    severity: str
    applies: Callable[[Document, str], bool]
    message: str
    fix: str
    removable: bool = False


def _is_not_shorter(document: Document, summary: str) -> bool:
    return len(summary) >= len(document.text)


def _is_beginning(document: Document, summary: str) -> bool:
    is_prefix = document.text.lstrip().startswith(summary.strip())
    return is_prefix and not _is_not_shorter(document, summary)


def _is_single_sentence(document: Document, _summary: str) -> bool:
    """Whether a text is one sentence. Texts with several punctuation marks aren't segmented, to save time."""
    return (
        len(document.text) <= MAX_SHORT_CHARACTERS
        and len(SENTENCE_MARKS.findall(document.text)) < 2 * MIN_SENTENCES
        and len(document) < MIN_SENTENCES
    )


def _matches(pattern: re.Pattern[str]) -> Callable[[Document, str], bool]:
    return lambda document, summary: bool(pattern.search(document.text) or pattern.search(summary))


TOO_LONG = PairRule(
    "summary too long",
    WARNING,
    _is_not_shorter,
    "have a summary that is not shorter than its text",
    "check whether the columns are swapped; --fix moves these pairs away",
    removable=True,
)

RULES = (
    TOO_LONG,
    PairRule(
        "summary is the beginning",
        NOTE,
        _is_beginning,
        "have a summary that is the beginning of the text, word for word",
        "the network will learn to copy it; remove it from the text if it does not belong there",
    ),
    PairRule(
        "short text",
        NOTE,
        _is_single_sentence,
        "have a text of one sentence",
        "there is nothing to select",
    ),
    PairRule(
        "markup",
        NOTE,
        _matches(HTML_TAGS),
        "have HTML tags",
        "remove them from the texts before training",
    ),
    PairRule(
        "wrong encoding",
        NOTE,
        _matches(WRONG_ENCODING),
        "have letters that were decoded with a wrong encoding",
        "create the table again from its source",
    ),
)
