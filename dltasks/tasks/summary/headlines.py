"""Text of headlines: their case, their numbers, and the part of a long source that is read."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

LOWERCASE_IN_TITLES = frozenset(
    [
        "a",
        "an",
        "and",
        "as",
        "at",
        "but",
        "by",
        "for",
        "from",
        "if",
        "in",
        "into",
        "nor",
        "of",
        "off",
        "on",
        "onto",
        "or",
        "over",
        "per",
        "so",
        "than",
        "that",
        "the",
        "to",
        "up",
        "via",
        "vs",
        "with",
        "yet",
    ]
)
"""Words without a capital in title case."""

WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")

# Numbers are searched from the beginnings of words only: a long word without a number would otherwise be
# scanned anew from each of its letters.
NUMBER = re.compile(r"(?<![^\W_])[^\W\d_]*\d[^\W_]*(?:[.,]\d+[^\W_]*)*")


def unsupported_numbers(headline: str, text: str) -> list[str]:
    """Words of the headline with a digit that do not occur in the text."""
    supported = set(_find_numbers(text))
    return [number for number in _find_numbers(headline) if number not in supported]


def _find_numbers(text: str) -> list[str]:
    """Words with a digit as they are compared: 3,000 is 3000, 2.0 stays 2.0, and 3D is not 3."""
    return [number.replace(",", "") for number in NUMBER.findall(text.lower())]


def drop_unsupported(headline: str, text: str) -> str:
    """The headline without the words with numbers that do not occur in the text."""
    unsupported = set(unsupported_numbers(headline, text))
    return " ".join(word for word in headline.split() if not unsupported & set(_find_numbers(word)))


def novel_word_fraction(headline: str, text: str) -> float:
    """Fraction of the words of the headline that do not occur in the text."""
    words = re.findall(r"\w+", headline.lower())
    text_words = set(re.findall(r"\w+", text.lower()))
    return sum(word not in text_words for word in words) / len(words) if words else 0.0


def is_title_case(headlines: Iterable[str]) -> bool:
    """Whether most words with a capital in title case have one, not counting first words."""
    words = [word for headline in headlines for word in headline.split()[1:] if word[:1].isalpha()]
    words = [word for word in words if word.lower() not in LOWERCASE_IN_TITLES]
    return bool(words) and sum(word[0].isupper() for word in words) > 0.6 * len(words)


def restore_case(headline: str, text: str, title_case: bool) -> str:
    """The lower-case headline with the capitals of the text, and those of title case if wanted."""
    forms = _count_forms(text)

    def replace(match: re.Match[str]) -> str:
        word, before = match.group(), headline[: match.start()].rstrip()
        is_first = not WORD.search(before) or before.endswith((":", "?", "!"))
        is_plain = word in LOWERCASE_IN_TITLES or word not in forms
        form = word if is_plain else forms[word].most_common(1)[0][0]
        capital = is_first or (title_case and word not in LOWERCASE_IN_TITLES)
        return form[:1].upper() + form[1:] if capital else form

    return WORD.sub(replace, headline)


def _count_forms(text: str) -> dict[str, Counter[str]]:
    """Spellings of each word of a text by its lower case; those at the beginning of a sentence count half."""
    forms: dict[str, Counter[str]] = {}
    for match in WORD.finditer(text):
        before = text[max(0, match.start() - 8) : match.start()].rstrip(" \n\t\"'(“")
        is_inner = before and not before.endswith((".", "!", "?", ":"))
        forms.setdefault(match.group().lower(), Counter())[match.group()] += 2 if is_inner else 1
    return forms


def select_source(sentences: Sequence[Sequence[int]], limit: int, rarity: np.ndarray) -> list[int]:
    """At most `limit` tokens of the most important sentences of a long text, in order.

    The first sentences fill half of the limit; the others are selected by how often their rare tokens recur.
    sentences: the tokens of each. rarity: of each token of the vocabulary.
    """
    counts = Counter(token for sentence in sentences for token in sentence)
    selected: set[int] = set()
    tokens_left = limit
    for i, sentence in enumerate(sentences):
        if len(sentence) > tokens_left - limit // 2 and selected:
            break
        selected.add(i)
        tokens_left -= len(sentence)

    def importance(i: int) -> float:
        weights = sum(rarity[token] * np.log(counts[token]) for token in set(sentences[i]))
        return weights / (len(sentences[i]) + 5)

    for i in sorted(set(range(len(sentences))) - selected, key=lambda i: -importance(i)):
        if len(sentences[i]) <= tokens_left:
            selected.add(i)
            tokens_left -= len(sentences[i])
    return [token for i in sorted(selected) for token in sentences[i]][:limit]
