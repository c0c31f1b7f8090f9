"""Sentence boundaries in plain text."""

import re
from collections.abc import Iterator, Sequence

Span = tuple[int, int]
"""Start and end in characters of a text."""

CHUNK_CHARACTERS = 20_000
"""Maximum number of characters that are segmented at once, unless a blank line divides them before."""

MAX_SENTENCE_WORDS = 120
"""Maximum number of words of a sentence; longer ones lack punctuation and are cut."""

CUT_WORDS = 40
"""Number of words of the pieces that such a sentence is cut into."""

CUT_CHARACTERS = 200
"""Number of characters of the pieces where it has no white space either."""

PARAGRAPH = re.compile(r"(?:(?!\n[^\S\n]*\n).)+", re.DOTALL)
"""Text between blank lines."""

LINE = re.compile(r"[^\n]+")


def find_sentences(text: str, regions: Sequence[Span] | None = None) -> Iterator[Span]:
    """Spans of the sentences of a text, in order; each contains a letter or a digit.

    regions: the parts of the text to look at; all of it by default.
    """
    from syntok.segmenter import analyze

    for start, end in _chunks(text, regions):
        for paragraph in analyze(text[start:end]):
            for sentence in paragraph:
                # The value of a token may differ from the text ("not" for "n't"), its offset does not.
                first, last = sentence[0], sentence[-1]
                yield from _cut_long(text, start + first.offset, start + last.offset + len(last.value))


def split_sentences(text: str) -> list[str]:
    """The sentences of a text."""
    return [text[start:end] for start, end in find_sentences(text)]


def _chunks(text: str, regions: Sequence[Span] | None) -> Iterator[Span]:
    """Spans of at most CHUNK_CHARACTERS that are segmented on their own, cut at white space."""
    for start, end in regions or [(0, len(text))]:
        for match in PARAGRAPH.finditer(text[start:end]):
            position, stop = start + match.start(), start + match.end()
            while stop - position > CHUNK_CHARACTERS:
                limit = position + CHUNK_CHARACTERS
                space = max(text.rfind(" ", position + 1, limit), text.rfind("\n", position + 1, limit))
                cut = space if space > position else limit
                yield position, cut
                position = cut
            yield position, stop


def _cut_long(text: str, start: int, end: int) -> Iterator[Span]:
    """The sentence, or its lines or pieces if it is too long to be one; nothing if it has no letters."""
    end -= len(text[start:end]) - len(text[start:end].rstrip())
    if not any(character.isalnum() for character in text[start:end]):
        return
    words = list(re.finditer(r"\S+", text[start:end]))
    if len(words) <= MAX_SENTENCE_WORDS and end - start <= CHUNK_CHARACTERS // 4:
        yield start, end
        return
    lines = [line for line in LINE.finditer(text[start:end]) if line.group().strip()]
    if len(lines) > 1:
        for line in lines:
            content = line.group()
            indent = len(content) - len(content.lstrip())
            first = start + line.start()
            yield from _cut_long(text, first + indent, first + len(content.rstrip()))
    elif len(words) < 2:
        for position in range(start, end, CUT_CHARACTERS):
            yield position, min(position + CUT_CHARACTERS, end)
    else:
        for i in range(0, len(words), CUT_WORDS):
            piece = words[i : i + CUT_WORDS]
            yield start + piece[0].start(), start + piece[-1].end()
