"""Texts as people have them (plain, Markdown, HTML; any encoding) as documents of sentences that know where they stand."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from dltasks import files
from dltasks.data.labeled_files import FileKind
from dltasks.errors import DataError

ENDINGS = {
    ".txt": "plain",
    ".text": "plain",
    ".md": "markdown",
    ".markdown": "markdown",
    ".htm": "html",
    ".html": "html",
}
MOST = 20_000_000
"""Characters of a text that are still taken at once."""

STRETCH = 20_000
"""Characters that are looked at together for sentences, where no blank line divides them before."""

LONGEST = 120
"""Words of a sentence; what is longer has no sentence marks and is cut."""

MARKS = re.compile(r"\s*(?:>\s*)*(?:(?:[*+-]|\d+[.)])\s+)*(?:\[[ xX]\]\s+)?")
"""What stands before the words of a quote or an item in Markdown."""

LINKS = re.compile(r"(?:\s*!?\[[^\]]*\]\([^)]*\))+\s*")
"""A paragraph of nothing but links and pictures."""

CUT = 40
"""Words of the parts that it is cut into."""

BLOCK, LINE = re.compile(r"(?:(?!\n[^\S\n]*\n).)+", re.DOTALL), re.compile(r"[^\n]+")
"""What stands between blank lines, and on a line."""

HEADING = re.compile(r"\s*(?:[^\s]+[^\S\n]+){0,11}[^\s]*[^\s.!?…:;,\"'”’»)\]。！？]\s*")
"""A line of up to a dozen words that does not end as a sentence does."""

HEADER = re.compile(r"\s*(?:[A-Z][\w-]*:[^\n]*(?:\n|$)(?:[ \t][^\n]*(?:\n|$))*){2,}\s*")
"""The header of a message: "From: ..." and more such lines."""

SIGNATURE = re.compile(r"^-- ?\n(?=[^\n]*\S)(?:(?!\n\s*\n\s*\n).){0,600}\Z", re.DOTALL | re.MULTILINE)
"""That of a message (RFC 3676, 4.3), at the end."""

PLAIN = FileKind(
    one="text",
    many="texts",
    matches=lambda path: path.suffix.lower() in ENDINGS,
    describe=lambda raw: describe(raw),
    suffix=".txt",
    feature="text",
)


@dataclass(frozen=True)
class Document:
    """A text and where its sentences stand in it.

    name: for people. notes: what they should know of it. stretches: the only parts of it that hold sentences, where it is
    markup, or where some of it is none (headings, the header of a message). marked: whether it is Markdown. extracted: whether `text` is what was found in a page, and not what came. known: the spans, where they have
    been found before.
    """

    text: str = field(repr=False)
    name: str = "text"
    notes: tuple[str, ...] = ()
    stretches: tuple[tuple[int, int], ...] | None = field(default=None, repr=False)
    marked: bool = False
    extracted: bool = False
    known: tuple[tuple[int, int], ...] | None = field(default=None, repr=False)

    @cached_property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """(start, end) of each sentence in characters of `text`, in order."""
        return tuple(spans_of(self.text, self.stretches)) if self.known is None else self.known

    def __len__(self) -> int:
        return len(self.spans)

    @property
    def sentences(self) -> list[str]:
        """The sentences, each as it stands in the text."""
        return [self.text[start:end] for start, end in self.spans]


def describe(raw: Any) -> str:
    """What to call a raw input in a message."""
    if isinstance(raw, bytes):
        return "standard input"
    return raw.name if isinstance(raw, Document) else str(raw)


def load(raw: Any) -> Document:
    """A document of a path, of the bytes of a text, or of a Document itself. Raises DataError."""
    if isinstance(raw, Document):
        return raw
    if isinstance(raw, DataError):
        raise raw
    if not isinstance(raw, bytes | str | os.PathLike):
        raise DataError(f"{type(raw).__name__}: not a text; wanted a path, or bytes")
    name = describe(raw)
    content = raw if isinstance(raw, bytes) else files.read_file(Path(raw), 4 * MOST)
    text, notes = decoded(content, name)
    kind = "plain" if isinstance(raw, bytes) else ENDINGS.get(Path(raw).suffix.lower(), "plain")
    if re.match(r"\s*(<!doctype html|<html\b)", text[:1000], re.IGNORECASE):
        kind = "html"
    if kind == "html":
        text = _main_text(text, name)
        return checked(Document(text, name, notes, _running(text, LINE), extracted=True))
    if kind == "markdown":
        return checked(Document(text, name, notes, tuple(_paragraphs(text)), marked=True))
    return checked(Document(text, name, notes, _running(text, BLOCK)))


def checked(document: Document) -> Document:
    """The document. Raises DataError for one that nothing can be said of."""
    text, name = document.text, document.name
    if not text.strip():
        raise DataError(f"{name}: empty; wanted a text")
    if len(text) > MOST:
        raise DataError(
            f"{name}: {len(text):,} characters; at most {MOST:,} are taken at once: cut it into its chapters"
        )
    parts = (text,) if document.stretches is None else (text[start:end] for start, end in document.stretches)
    if not any(each.isalnum() for part in parts for each in part):
        raise DataError(f"{name}: no sentences in it; wanted a text")
    return document


def decoded(content: bytes, name: str) -> tuple[str, tuple[str, ...]]:
    """The text of a file, and what is to be said of its encoding. Raises DataError."""
    if not content.strip():
        raise DataError(f"{name}: empty; wanted a text")
    for mark, encoding in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig")):
        if content.startswith(mark):
            try:
                return content.decode(encoding), ()
            except UnicodeDecodeError as error:
                raise DataError(f"{name}: not the {encoding} that it begins as ({error})") from error
    if b"\0" in content[:4096]:
        raise DataError(f"{name}: not a text (it holds zero bytes); wanted plain text, Markdown or HTML")
    try:
        return content.decode("utf-8"), ()
    except UnicodeDecodeError:
        return _guessed(content, name)


def _guessed(content: bytes, name: str) -> tuple[str, tuple[str, ...]]:
    from charset_normalizer import from_bytes

    matches = from_bytes(content[:200_000])
    found = matches.best()
    # Short texts look alike in many encodings; that of western Europe is by far the most common.
    for each in matches:
        if (
            each.encoding == "cp1252"
            and each.chaos <= found.chaos + 0.1
            and each.coherence >= found.coherence
        ):
            found = each
    if found is None:
        raise DataError(f"{name}: not a text in any known encoding; save it as UTF-8")
    text = content.decode(found.encoding, "replace")
    strange = sum(not (each.isprintable() or each.isspace()) for each in text[:4096])
    if strange > 0.05 * min(len(text), 4096):
        raise DataError(f"{name}: not a text; wanted plain text, Markdown or HTML")
    return text, (f"not UTF-8; read as {found.encoding}",)


def _main_text(markup: str, name: str) -> str:
    """The main text of a page, without menus and notices."""
    from trafilatura import extract

    text = extract(markup, include_comments=False, include_tables=False, favor_precision=True)
    if not text:
        raise DataError(f"{name}: no main text in this page")
    return text


def _running(text: str, blocks: re.Pattern) -> tuple[tuple[int, int], ...] | None:
    """Where the blocks of a text stand that are no headings, nor the header or the signature of a message; None where all are
    running text, or none is.
    """
    end = signature.start() if (signature := SIGNATURE.search(text)) else len(text)
    found = [(each.start(), each.end()) for each in blocks.finditer(text, 0, end)]
    kept = [(at, stop) for at, stop in found if not HEADING.fullmatch(text, at, stop)]
    if kept and kept[0] == found[0] and HEADER.fullmatch(text, *kept[0]):
        kept = kept[1:]
    changed = len(kept) < len(found) or end < len(text)
    return tuple(kept) if kept and changed else None


def _paragraphs(text: str) -> Iterator[tuple[int, int]]:
    """Where the paragraphs of Markdown stand, those of lists and quotes too; not headings, code and tables."""
    from markdown_it import MarkdownIt

    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    # What stands inside of a paragraph is not asked for, and brackets in it can take minutes.
    tokens = MarkdownIt("commonmark").enable("table").disable(["inline", "text_join"]).parse(text)
    for token in tokens:
        if token.type == "paragraph_open":
            first, last = token.map
            start, end = starts[first], starts[min(last, len(starts) - 1)]
            bare = MARKS.match(text[start:end]).end()
            if not LINKS.fullmatch(text, start, end):
                yield start + bare, end


def plain(sentence: str) -> str:
    """A sentence of Markdown without its marks: emphasis, code, links and footnotes."""
    sentence = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", sentence)
    sentence = re.sub(r"\[\^[^\]]*\]:?", "", sentence)
    return re.sub(r"\*+|`+|(?<!\w)_+|_+(?!\w)", "", sentence)


def spans_of(text: str, stretches: Sequence[tuple[int, int]] | None = None) -> Iterator[tuple[int, int]]:
    """Where the sentences of a text stand, in order; each holds a letter or a digit."""
    from syntok.segmenter import analyze

    for start, end in _pieces(text, stretches):
        for paragraph in analyze(text[start:end]):
            for sentence in paragraph:
                # A token's value may be another than what stands in the text ("not" for "n't"), its place is not.
                first, last = (
                    start + sentence[0].offset,
                    start + sentence[-1].offset + len(sentence[-1].value),
                )
                yield from _short(text, first, last)


def _pieces(text: str, stretches) -> Iterator[tuple[int, int]]:
    """Parts of the text that are looked at on their own: of at most STRETCH characters, cut at white space."""
    for start, end in stretches or [(0, len(text))]:
        for part in re.finditer(r"(?:(?!\n[^\S\n]*\n).)+", text[start:end], re.DOTALL):
            at, stop = start + part.start(), start + part.end()
            while stop - at > STRETCH:
                space = max(text.rfind(" ", at + 1, at + STRETCH), text.rfind("\n", at + 1, at + STRETCH))
                cut = space if space > at else at + STRETCH
                yield at, cut
                at = cut
            yield at, stop


def _short(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The sentence; where it is too long to be one its lines, or parts of CUT words."""
    end -= len(text[start:end]) - len(text[start:end].rstrip())
    if not any(each.isalnum() for each in text[start:end]):
        return
    words = list(re.finditer(r"\S+", text[start:end]))
    if len(words) <= LONGEST and end - start <= STRETCH // 4:
        yield start, end
        return
    lines = [each for each in re.finditer(r"[^\n]+", text[start:end]) if each.group().strip()]
    if len(lines) > 1:
        for line in lines:
            lead = len(line.group()) - len(line.group().lstrip())
            yield from _short(
                text, start + line.start() + lead, start + line.start() + len(line.group().rstrip())
            )
        return
    if len(words) < 2:
        for at in range(start, end, 200):
            yield at, min(at + 200, end)
        return
    for at in range(0, len(words), CUT):
        part = words[at : at + CUT]
        yield start + part[0].start(), start + part[-1].end()
