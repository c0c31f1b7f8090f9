"""Documents: texts (plain, Markdown or HTML, in any encoding) with the positions of their sentences."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from dltasks import files
from dltasks.data.labeled_files import FileKind
from dltasks.errors import DataError
from dltasks.tasks.summary.sentences import LINE, PARAGRAPH, Span, find_sentences

FORMATS = {
    ".txt": "plain",
    ".text": "plain",
    ".md": "markdown",
    ".markdown": "markdown",
    ".htm": "html",
    ".html": "html",
}
MAX_CHARACTERS = 20_000_000
"""Maximum number of characters of a text."""

EXPECTED = "expected plain text, Markdown or HTML"

BYTE_ORDER_MARKS = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig"))

MAX_UNPRINTABLE_FRACTION = 0.05
"""Maximum fraction of unprintable characters in a text whose encoding was guessed."""

MARKDOWN_PREFIX = re.compile(r"\s*(?:>\s*)*(?:(?:[*+-]|\d+[.)])\s+)*(?:\[[ xX]\]\s+)?")
"""Marks before the words of a quote or a list item in Markdown."""

MARKDOWN_LINKS = re.compile(r"(?:\s*!?\[[^\]]*\]\([^)]*\))+\s*")
"""A paragraph of nothing but links and pictures."""

HEADING = re.compile(r"\s*(?:[^\s]+[^\S\n]+){0,11}[^\s]*[^\s.!?…:;,\"'”’»)\]。！？]\s*")
"""A line of up to a dozen words without punctuation at its end."""

MESSAGE_HEADER = re.compile(r"\s*(?:[A-Z][\w-]*:[^\n]*(?:\n|$)(?:[ \t][^\n]*(?:\n|$))*){2,}\s*")
"""The header of a message: "From: ..." and more such lines."""

MESSAGE_SIGNATURE = re.compile(r"^-- ?\n(?=[^\n]*\S)(?:(?!\n\s*\n\s*\n).){0,600}\Z", re.DOTALL | re.MULTILINE)
"""The signature at the end of a message (RFC 3676, 4.3)."""

TEXT_FILES = FileKind(
    one="text",
    many="texts",
    matches=lambda path: path.suffix.lower() in FORMATS,
    describe=lambda source: describe(source),
    suffix=".txt",
    feature="text",
)


@dataclass(frozen=True)
class Document:
    """A text and the positions of its sentences.

    Attributes:
        text: the text.
        name: what to call it in messages.
        notes: what the user should know about how it was read.
        regions: the parts with sentences, without markup, headings or the header of a message; None for all.
        is_markdown: whether the text is Markdown.
        is_main_text: whether the text was extracted from an HTML page.
        known_spans: the spans of its sentences, where they were computed before.
    """

    text: str = field(repr=False)
    name: str = "text"
    notes: tuple[str, ...] = ()
    regions: tuple[Span, ...] | None = field(default=None, repr=False)
    is_markdown: bool = False
    is_main_text: bool = False
    known_spans: tuple[Span, ...] | None = field(default=None, repr=False)

    @cached_property
    def spans(self) -> tuple[Span, ...]:
        """Start and end of each sentence in characters of `text`, in order."""
        return (
            tuple(find_sentences(self.text, self.regions)) if self.known_spans is None else self.known_spans
        )

    def __len__(self) -> int:
        return len(self.spans)

    @property
    def sentences(self) -> list[str]:
        """The sentences, verbatim."""
        return [self.text[start:end] for start, end in self.spans]


def describe(source: Any) -> str:
    """What to call an input in a message."""
    if isinstance(source, bytes):
        return "standard input"
    return source.name if isinstance(source, Document) else str(source)


def load_document(source: Any) -> Document:
    """The document of a path, of the bytes of a text, or of a Document.

    Raises DataError; a DataError in place of a document is raised itself.
    """
    if isinstance(source, Document):
        return source
    if isinstance(source, DataError):
        raise source
    if not isinstance(source, bytes | str | os.PathLike):
        raise DataError(f"{type(source).__name__}: not a text; expected a path or bytes")
    name = describe(source)
    content = source if isinstance(source, bytes) else files.read_file(Path(source), 4 * MAX_CHARACTERS)
    text, notes = decode(content, name)
    return check_document(_parse(text, name, notes, _format_of(source, text)))


def _format_of(source: Any, text: str) -> str:
    if re.match(r"\s*(<!doctype html|<html\b)", text[:1000], re.IGNORECASE):
        return "html"
    return "plain" if isinstance(source, bytes) else FORMATS.get(Path(source).suffix.lower(), "plain")


def _parse(text: str, name: str, notes: tuple[str, ...], format: str) -> Document:
    if format == "html":
        text = _extract_main_text(text, name)
        return Document(text, name, notes, _find_running_text(text, LINE), is_main_text=True)
    if format == "markdown":
        return Document(text, name, notes, tuple(find_paragraphs(text)), is_markdown=True)
    return Document(text, name, notes, _find_running_text(text, PARAGRAPH))


def check_document(document: Document) -> Document:
    """The document. Raises DataError if it has no sentences or is too long."""
    text, name = document.text, document.name
    if not text.strip():
        raise DataError(f"{name}: empty; expected a text")
    if len(text) > MAX_CHARACTERS:
        raise DataError(
            f"{name}: {len(text):,} characters; at most {MAX_CHARACTERS:,} are supported: "
            "split it into chapters"
        )
    regions = [(0, len(text))] if document.regions is None else document.regions
    if not any(character.isalnum() for start, end in regions for character in text[start:end]):
        raise DataError(f"{name}: no sentences in it; expected a text")
    return document


def decode(content: bytes, name: str) -> tuple[str, tuple[str, ...]]:
    """The text of a file, and a note on its encoding if that was guessed. Raises DataError."""
    if not content.strip():
        raise DataError(f"{name}: empty; expected a text")
    for mark, encoding in BYTE_ORDER_MARKS:
        if content.startswith(mark):
            try:
                return content.decode(encoding), ()
            except UnicodeDecodeError as error:
                raise DataError(f"{name}: begins as {encoding} but can't be decoded ({error})") from error
    if b"\0" in content[:4096]:
        raise DataError(f"{name}: not a text (it contains zero bytes); {EXPECTED}")
    try:
        return content.decode("utf-8"), ()
    except UnicodeDecodeError:
        return _decode_by_guess(content, name)


def _decode_by_guess(content: bytes, name: str) -> tuple[str, tuple[str, ...]]:
    encoding = _guess_encoding(content)
    if encoding is None:
        raise DataError(f"{name}: not a text in any known encoding; save it as UTF-8")
    text = content.decode(encoding, "replace")
    unprintable = sum(not (character.isprintable() or character.isspace()) for character in text[:4096])
    if unprintable > MAX_UNPRINTABLE_FRACTION * min(len(text), 4096):
        raise DataError(f"{name}: not a text; {EXPECTED}")
    return text, (f"not UTF-8; read as {encoding}",)


def _guess_encoding(content: bytes) -> str | None:
    from charset_normalizer import from_bytes

    matches = from_bytes(content[:200_000])
    best = matches.best()
    if best is None:
        return None
    # Short texts look alike in many encodings; that of Western Europe is by far the most common.
    for match in matches:
        plausible = match.chaos <= best.chaos + 0.1 and match.coherence >= best.coherence
        if match.encoding == "cp1252" and plausible:
            best = match
    return best.encoding


def _extract_main_text(markup: str, name: str) -> str:
    """The main text of a page, without menus and footers."""
    from trafilatura import extract

    text = extract(markup, include_comments=False, include_tables=False, favor_precision=True)
    if not text:
        raise DataError(f"{name}: no main text in this page")
    return text


def _find_running_text(text: str, blocks: re.Pattern[str]) -> tuple[Span, ...] | None:
    """Spans of the blocks that are not headings, nor the header or signature of a message.

    None where all of the text is running text, or none is.
    """
    end = signature.start() if (signature := MESSAGE_SIGNATURE.search(text)) else len(text)
    spans = [match.span() for match in blocks.finditer(text, 0, end)]
    running = [span for span in spans if not HEADING.fullmatch(text, *span)]
    if running and running[0] == spans[0] and MESSAGE_HEADER.fullmatch(text, *running[0]):
        running = running[1:]
    changed = len(running) < len(spans) or end < len(text)
    return tuple(running) if running and changed else None


def find_paragraphs(text: str) -> Iterator[Span]:
    """Spans of the paragraphs of Markdown, also in lists and quotes; not of headings, code and tables."""
    from markdown_it import MarkdownIt

    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    # Inline markup is not parsed: it isn't needed here, and nested brackets can take minutes.
    tokens = MarkdownIt("commonmark").enable("table").disable(["inline", "text_join"]).parse(text)
    for token in tokens:
        if token.type == "paragraph_open" and token.map is not None:
            first, last = token.map
            start, end = starts[first], starts[min(last, len(starts) - 1)]
            prefix = MARKDOWN_PREFIX.match(text[start:end])
            if not MARKDOWN_LINKS.fullmatch(text, start, end):
                yield start + (prefix.end() if prefix else 0), end


def strip_markdown(sentence: str) -> str:
    """A sentence of Markdown without emphasis, code marks, links and footnotes."""
    sentence = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", sentence)
    sentence = re.sub(r"\[\^[^\]]*\]:?", "", sentence)
    return re.sub(r"\*+|`+|(?<!\w)_+|_+(?!\w)", "", sentence)
