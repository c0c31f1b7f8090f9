"""How good summaries are: ROUGE beside what costs nothing, and beside what the best choice of sentences would get."""

import re
from collections.abc import Sequence
from importlib.util import find_spec

import numpy as np

from dltasks.evaluation import metrics
from dltasks.evaluation.results import Evaluation, Score, Table
from dltasks.tasks.summary import headlines, oracle, rouge, selection
from dltasks.tasks.summary.documents import spans_of

GRAPHS = {
    "TextRank": "sumy.summarizers.text_rank.TextRankSummarizer",
    "LexRank": "sumy.summarizers.lex_rank.LexRankSummarizer",
    "Luhn": "sumy.summarizers.luhn.LuhnSummarizer",
}

Found = list[list[str]]
"""The sentences of the summary of each text."""


def evaluate(task, answers: Sequence, truths: Sequence) -> Evaluation:
    """What `alone` says, beside what others get on the same texts."""
    headline = task.style == "headline"
    references = [each.summaries for each in truths]
    several = not headline and task.sentences > 1
    scores = alone(task, answers, truths)
    texts = [each.document for each in answers]
    peers = _first_words(texts, references) if headline else {}
    peers |= compared(texts, references, 1 if headline else task.sentences, several)
    rows = tuple(
        (
            name,
            *(f"{100 * s.value:.1f} [{100 * s.low:.1f}, {100 * s.high:.1f}]" for s in _with_intervals(each)),
        )
        for name, each in peers.items()
    )
    title = f"Others, ROUGE F1 in percent, of {'a line' if headline else _sentences(task.sentences)}"
    columns = ("method", *(_plain(each) for each in scores if each.startswith("rouge")))
    return Evaluation(len(answers), scores, tables=(Table(title, columns, rows),))


def alone(task, answers: Sequence, truths: Sequence) -> dict[str, Score]:
    """ROUGE-1, 2, L (Lsum where summaries have several sentences), F1, the best over the references of a text; of headlines
    also how faithful they are."""
    headline = task.style == "headline"
    ours = [[each.summary] if headline else [e.text for e in each.sentences] for each in answers]
    several = not headline and task.sentences > 1
    values = scored(ours, [each.summaries for each in truths], several)
    names = ("rouge_1", "rouge_2", "rouge_lsum" if several else "rouge_l")
    found = dict(zip(names, _with_intervals(values), strict=True))
    return found | (_faithfulness(answers) if headline else {})


def _sentences(count: int) -> str:
    return f"{count} sentence{'s' * (count > 1)}"


def _plain(name: str) -> str:
    return name.replace("_", " ").replace("rouge l", "ROUGE-L").replace("rouge ", "ROUGE-")


def scored(summaries: Found, references: Sequence[Sequence[str]], several: bool) -> np.ndarray:
    """F1 of ROUGE-1, 2 and L or Lsum, (texts, 3)."""
    rows = []
    for sentences, known in zip(summaries, references, strict=True):
        words = [w for each in sentences for w in rouge.stemmed(each)]
        kinds = ("rouge1", "rouge2") if several else ("rouge1", "rouge2", "rougeL")
        row = rouge.f1(words, [rouge.stemmed(each) for each in known], kinds).tolist()
        if several:
            row.append(rouge.f1_of_lines(sentences, [_lines(each) for each in known]))
        rows.append(row)
    return np.array(rows).reshape(-1, 3)


def _lines(text: str) -> list[str]:
    return [text[start:end] for start, end in spans_of(text)]


def _with_intervals(values: np.ndarray) -> list[Score]:
    """The mean of each column with its bootstrap interval."""
    low, high = metrics.bootstrap(lambda rows: values[rows].mean(axis=0), len(values), 1.0)
    return [
        Score(*map(float, each), len(values)) for each in zip(values.mean(axis=0), low, high, strict=True)
    ]


def _faithfulness(answers: Sequence) -> dict[str, Score]:
    """Of headlines: the share of words that the text does not have, and of headlines with a number it does not have."""
    novel = np.array([[headlines.novel(each.summary, each.document.text)] for each in answers])
    wrong = sum(bool(headlines.unsupported(each.summary, each.document.text)) for each in answers)
    return {
        "novel_words": _with_intervals(novel)[0],
        "unsupported_numbers": Score(
            wrong / len(answers), *metrics.wilson(wrong, len(answers)), len(answers)
        ),
    }


def _first_words(texts: Sequence, references: Sequence[Sequence[str]]) -> dict[str, np.ndarray]:
    """The start of each text, as long as references are in the mean."""
    count = round(np.mean([len(each.split()) for known in references for each in known]))
    cut = [[selection.first_words(each.text.strip(), count)] for each in texts]
    return {f"first {count} words": scored(cut, references, False)}


def compared(texts: Sequence, references, count: int, several: bool) -> dict[str, np.ndarray]:
    """ROUGE of `count` sentences: the first, the greedy best, and sumy's where it is installed."""
    found = {f"Lead-{count}": [each.sentences[:count] for each in texts]}
    if find_spec("sumy"):
        found |= {name: [graph(name, each, count) for each in texts] for name in GRAPHS}
    found["best possible (greedy)"] = [_best(*each, count) for each in zip(texts, references, strict=True)]
    return {name: scored(each, references, several) for name, each in found.items()}


def _best(text, references: Sequence[str], count: int) -> list[str]:
    """The sentences that greedily get most of ROUGE-1 and 2; of one, the mean of all three kinds."""
    words = [rouge.stemmed(each) for each in text.sentences]
    known = [rouge.stemmed(each) for each in references]
    if count == 1:
        chosen = [int(np.argmax([rouge.f1(each, known).mean() for each in words]))]
    else:
        chosen = sorted(oracle.greedy(words, known, count))
    return [text.sentences[i] for i in chosen]


class _Words:
    """What sumy takes for a tokenizer: ours cuts the sentences, so that all methods choose among the same."""

    def to_words(self, sentence: str) -> tuple[str, ...]:
        return tuple(re.findall(r"[^\W\d_]+(?:['’-][^\W\d_]+)*", sentence))


def graph(name: str, text, count: int) -> list[str]:
    """The sentences that a method of sumy's chooses, with its English stemmer and stop words."""
    from importlib import import_module

    from sumy.models.dom import ObjectDocumentModel, Paragraph, Sentence
    from sumy.nlp.stemmers import Stemmer
    from sumy.utils import get_stop_words

    module, _, kind = GRAPHS[name].rpartition(".")
    summarizer = getattr(import_module(module), kind)(Stemmer("english"))
    summarizer.stop_words = get_stop_words("english")
    sentences = [Sentence(" ".join(each.split()), _Words()) for each in text.sentences]
    # LexRank divides by nothing where no two sentences share a word, and then takes the first ones.
    with np.errstate(invalid="ignore", divide="ignore"):
        return list(map(str, summarizer(ObjectDocumentModel([Paragraph(sentences)]), count)))
