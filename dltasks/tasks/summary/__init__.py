"""What a text says, in few of its sentences or in one new line."""

from collections import Counter
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from dltasks import labelled
from dltasks.errors import DataError, SettingError
from dltasks.evaluation import Evaluation, Score
from dltasks.plan import LEVELS, Length, Plan, setting
from dltasks.report import Report
from dltasks.task import Arrays, Batch, Parts, Run, Signature, Task, content, limited
from dltasks.tasks.summary import centrality, documents, headlines, selection, vocabulary
from dltasks.tasks.summary.documents import Document

if TYPE_CHECKING:
    from dltasks.inspection import Inspection
    from dltasks.metadata import Described

STYLES = ("extract", "headline")
WINDOW = 64
"""Sentences that are judged together; a longer text is cut into so many at a time."""

LONGEST = 40
"""Pieces of a sentence that are read."""

FAMILIAR = 0.78
"""Characters that the vocabulary's pieces have in a text, as a share of those in the median training text; in texts with less
the network does not know enough words to be followed alone."""

FOREIGN = 0.45
"""Below this share it is said that the text is unlike those of training."""

STRANGE = (
    "not written like the texts the model was trained on (another language, perhaps); judged all the same"
)

OTHER = "its words are unlike those that the model was trained on: chosen by what comes again in it"

PASSES = {"extract": 170_000, "headline": 500_000}
"""Examples that are shown in a run that does not say how long it is, in all."""


@dataclass(frozen=True)
class SummaryPlan(Plan):
    """All settings of a training run on texts and their summaries."""

    epochs: int | None = setting(
        None,
        "At most this many passes over the training data; if not given as many as show 170,000 examples to an extractive "
        "network, 500,000 to one that writes headlines, but 4 at least and 60 at most.",
        minimum=1,
        late=True,
    )
    style: str = setting(
        "extract", "extract chooses sentences of the text; headline writes a new line.", choices=STYLES
    )
    text: str | None = setting(None, "Column of the text; guessed from names if not given.")
    summary: str | None = setting(None, "Column of the summary; guessed from names if not given.")
    batch_size: int = setting(64, "Examples per step.", minimum=1)
    learning_rate: float | None = setting(
        None, "Highest learning rate of the schedule; 0.001 if not given, 0.0015 for headlines.", above=0
    )
    weight_decay: float = setting(0.02, "Weight decay, decoupled from the gradient.", minimum=0)
    quantize: str = setting("float16", "Level of the bundle's own .tflite.", choices=LEVELS, late=True)
    pieces: int = setting(8000, "Word pieces in the vocabulary, at most.", minimum=300, maximum=64_000)
    units: int | None = setting(
        None,
        "Size of the vectors, a multiple of 64; 128 if not given, 192 for headlines.",
        minimum=64,
        maximum=1024,
    )
    blocks: int | None = setting(
        None,
        "Transformer blocks that see the whole text; 2 if not given, 1 for headlines.",
        minimum=1,
        maximum=12,
    )
    convolutions: int = setting(2, "Convolutions before them in a headline network.", minimum=0, maximum=12)
    decoders: int = setting(2, "Transformer blocks that write a headline.", minimum=1, maximum=12)
    context: int = setting(192, "Pieces of the text that a headline network reads.", minimum=32, maximum=2048)
    longest: int = setting(24, "Pieces of the longest headline.", minimum=6, maximum=256)
    dropout: float = setting(0.1, "Share of the values that are dropped in training.", minimum=0, maximum=0.9)
    val: float = setting(
        0.05, "Share to choose by, where the data has no such part.", minimum=0.001, maximum=0.45
    )
    test: float = setting(
        0.1, "Share to judge by, where the data has no such part; 0 for none.", minimum=0, maximum=0.45
    )

    def __post_init__(self):
        super().__post_init__()
        if self.units is not None and self.units % 64:
            raise SettingError(f"units is {self.units}; it must be a multiple of 64")

    def width(self) -> int:
        """Units, where none are said as many as the style wants."""
        return self.units or (192 if self.style == "headline" else 128)

    def depth(self) -> int:
        """Blocks, likewise."""
        return self.blocks or (1 if self.style == "headline" else 2)

    def highest_rate(self) -> float:
        return self.learning_rate or (0.0015 if self.style == "headline" else 0.001)

    def for_examples(self, count: int) -> "SummaryPlan":
        if self.epochs is not None:
            return self
        return replace(self, epochs=Length(PASSES[self.style], 4, 60).epochs(count))


@dataclass(frozen=True)
class Sentence:
    """A sentence of a text: where it stands there, in characters, and its score, from 0 to 1."""

    text: str
    start: int
    end: int
    score: float

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"text": self.text, "start": self.start, "end": self.end, "score": round(self.score, 4)}


@dataclass(frozen=True)
class SummaryAnswer:
    """A summary. sentences: those of the text that it is made of; none for a headline. notes: what to know of it."""

    summary: str
    sentences: tuple[Sentence, ...] = ()
    notes: tuple[str, ...] = ()
    document: Document | None = field(default=None, repr=False)

    def to_json(self) -> dict[str, Any]:
        """Plain values; of a page also its main text, as offsets count in that."""
        found = {"summary": self.summary, "sentences": [each.to_json() for each in self.sentences]}
        if self.document is not None and self.document.extracted:
            found["text"] = self.document.text
        return found | ({"notes": list(self.notes)} if self.notes else {})

    def rows(self) -> list[tuple[str, str]]:
        """Lines for people."""
        return [(self.summary, "")]

    def remark(self) -> str:
        """What people should know of this answer, or nothing."""
        return "; ".join(self.notes)

    @staticmethod
    def columns() -> tuple[str, ...]:
        """Names of the columns of `records`."""
        return "summary", "sentence", "start", "end", "score"

    def records(self) -> list[tuple]:
        """A row for each sentence, for CSV."""
        if not self.sentences:
            return [(self.summary, "", "", "", "")]
        return [(self.summary, e.text, e.start, e.end, f"{e.score:.4f}") for e in self.sentences]


@dataclass(frozen=True)
class SummaryTask(Task):
    """Texts to summaries of `sentences` of them, or to a headline.

    vocabulary: a sentencepiece model. window: sentences of a training text that are judged together; length: pieces of
    each. context, steps: pieces of the text that a headline is made of, and of the headline. titled: whether headlines have capitals
    as titles do. usual: characters a piece that training texts had at least. words, ratio: other ways to say how long.
    """

    plan: ClassVar[type[Plan]] = SummaryPlan
    batch_size: ClassVar[int] = 8

    vocabulary: bytes = content(default=b"")
    style: str = limited("extract", choices=STYLES)
    window: int = limited(16, minimum=1, maximum=1000)
    length: int = limited(48, minimum=1, maximum=1000)
    context: int = limited(192, minimum=1, maximum=2048)
    steps: int = limited(24, minimum=1, maximum=256)
    titled: bool = False
    usual: float = limited(0.0, minimum=0)
    sentences: int = limited(3, minimum=1)
    words: int | None = limited(None, minimum=1)
    ratio: float | None = limited(None, minimum=0, maximum=1)
    beams: int = limited(4, minimum=1, maximum=64)

    def shapes(self) -> dict[str, tuple[int | None, ...]]:
        if self.style == "extract":
            return {"pieces": (None, None), "counts": (None, None), "total": (1,), "scores": (None,)}
        pieces = vocabulary.pieces(self.vocabulary).get_piece_size()
        return {"source": (self.context,), "vocabulary": (pieces,), "copy": (self.context,)}

    @property
    def monitor(self) -> str:
        return "gain" if self.style == "extract" else "likelihood"

    @property
    def pairs(self) -> int:
        # A headline takes a hundred runs of the network, in Keras too.
        return 500 if self.style == "extract" else 60

    def check(self, plan: Plan) -> None:
        from dltasks.tasks.summary import rouge

        rouge.stemmed("")

    def read(self, sources: Sequence[Any]) -> Iterator[Batch]:
        return labelled.batches(sources, self.batch_size, documents.PLAIN)

    def examples(self, source: Any, plan: Plan | None = None) -> Batch:
        from dltasks.tasks.summary import pairs

        found = pairs.read(source, plan and plan.text, plan and plan.summary)
        if plan is None:
            return found
        return _with_gains(found) if plan.style == "extract" else _with_summaries(found)

    @classmethod
    def holds(cls, source: Any) -> bool:
        from dltasks import tables
        from dltasks.tasks.summary import pairs

        names = {each.lower() for each in tables.header(source)}
        return bool(names & set(pairs.TEXTS) and names & set(pairs.SUMMARIES))

    def inspect(self, source: Any, plan: Plan, report: Report) -> "Inspection":
        from dltasks.tasks.summary.inspection import inspect

        return inspect(source, plan, report)

    @staticmethod
    def without(path: Path, rows: Container[int]) -> bytes:
        from dltasks import tables

        return tables.without(path, rows)

    def learn(self, examples: Batch, plan: Plan) -> "SummaryTask":
        from dltasks.tasks.summary import learning

        return learning.learned(self, examples, plan)

    def split(self, examples: Batch, inputs: Arrays, plan: Plan) -> Parts:
        from dltasks.tasks.summary import learning

        return learning.divided(examples, plan)

    def encode(self, raws: Sequence[Any]) -> tuple[Arrays, dict[int, DataError]]:
        rows, failures = [], {}
        for position, raw in enumerate(raws):
            try:
                rows.append(self._row(raw))
            except DataError as error:
                failures[position] = error
        if not rows:
            return {name: values[:0] for name, values in self._row(Document("a")).items()}, failures
        return {name: np.concatenate([each[name] for each in rows]) for name in rows[0]}, failures

    def _row(self, raw: Any) -> Arrays:
        """The inputs (1, ...) of one example, as training takes them."""
        if self.style == "extract":
            rows = self._rows(documents.load(raw))
            return next(self._windows(rows, self.window, self.length, whole=True))
        summary = raw.summary if isinstance(raw, Example) else None
        document = documents.load(raw.document if isinstance(raw, Example) else raw)
        return {"source": self._source(document), "sequence": self._sequence(summary)}

    def _windows(
        self, rows: list[list[int]], size: int, length: int, whole: bool = False
    ) -> Iterator[Arrays]:
        """The inputs (1, sentences, ...) of `size` sentences after the other, `length` pieces of each at most; `whole` fills them up.

        rows: the pieces of each sentence of a text.
        """
        words = [vocabulary.words(self.vocabulary, each[:length]) for each in rows]
        # A word of several pieces counts once.
        often = Counter(word for each in words for word, _ in groupby(each))
        for at in range(0, len(rows), size):
            part, its = rows[at : at + size], words[at : at + size]
            count = size if whole else len(part)
            width = length if whole else min(length, -(-max(map(len, part)) // 8) * 8)
            yield {
                "pieces": vocabulary.filled(part, width, count)[None],
                "counts": vocabulary.filled([[often[w] for w in each] for each in its], width, count)[None],
                "total": np.full((1, 1), len(rows), np.float32),
            }

    def _rows(self, document: Document) -> list[list[int]]:
        """The pieces of each sentence."""
        return vocabulary.encoded(self.vocabulary, document.sentences)

    def _known(self, document: Document, rows: list[list[int]]) -> float:
        """Characters a piece, as a share of those of the median training text: small where the words are not known."""
        characters = sum(end - start for start, end in document.spans)
        return characters / max(1, sum(map(len, rows))) / (self.usual or 1.0)

    def _source(self, document: Document) -> np.ndarray:
        """int32 (1, context): the pieces of the text, of a long one those of the sentences that matter most."""
        text = document.text if document.stretches is None else " ".join(document.sentences)
        pieces = vocabulary.encoded(self.vocabulary, [text[: 40 * self.context]], 10 * self.context)[0]
        if len(pieces) > 2 * self.context:
            pieces = headlines.salient(self._rows(document), self.context, vocabulary.rarity(self.vocabulary))
        return vocabulary.filled([pieces], self.context)

    def _sequence(self, summary: str | None) -> np.ndarray:
        """int32 (1, steps + 1): the pieces of a summary between START and END; nothing but START where there is none."""
        pieces = (
            vocabulary.encoded(self.vocabulary, [summary], self.steps)[0] + [vocabulary.END]
            if summary
            else []
        )
        return vocabulary.filled([[vocabulary.START, *pieces]], self.steps + 1)

    def target(self, truths: Sequence[Any]) -> Arrays:
        if self.style == "headline":
            rows = [self._sequence(each.summaries[0])[0, 1:] for each in truths]
            return {"pieces": np.array(rows, np.int32)}
        gains = np.full((len(truths), self.window), -1.0, np.float32)
        for row, truth in zip(gains, truths, strict=True):
            row[: len(truth.gains)] = truth.gains[: self.window]
        return {"gains": gains}

    def network(self, plan: Plan):
        from dltasks.tasks.summary import network

        count = vocabulary.pieces(self.vocabulary).get_piece_size()
        if self.style == "extract":
            return network.extractor(count, plan)
        return network.headliner(count, self.context, self.steps, plan)

    def tensors(self) -> "dict[str, Described]":
        from dltasks.metadata import Described

        return {
            "pieces": Described("word pieces of each sentence of a text, 0 where there is none"),
            "counts": Described("how often the word of each piece stands in the whole text"),
            "total": Described("sentences of the whole text"),
            "scores": Described("what ROUGE each sentence alone may get, 0 to 1"),
            "source": Described("word pieces of a text, 0 where there is none"),
            "told": Described("the text as the decoder sees it"),
            "piece": Described("the last piece of each headline that is being written"),
            "place": Described("how many pieces were written before"),
            "vocabulary": Described("how probable each piece of the vocabulary is to be written next"),
            "copy": Described("how probable each piece of the text is to be copied next"),
            "written": Described("the share of pieces that are written, and not copied"),
        }

    def learner(self, network, plan: Plan, targets: Arrays):
        from dltasks.tasks.summary.network import learner

        return learner(network, plan)

    def signatures(self, network) -> dict[str, Signature]:
        if self.style == "extract":
            return super().signatures(network)
        from dltasks.tasks.summary.network import signatures

        return signatures(network)

    def outputs(self, inputs: Arrays, run: Run) -> Arrays:
        if self.style == "extract":
            return run(inputs)
        best = [self._written(source[None], run)[0] for source in inputs["source"]]
        return {
            "pieces": vocabulary.filled([pieces for pieces, _ in best], self.steps),
            "scores": np.array([score for _, score in best], np.float32),
        }

    def _written(self, source: np.ndarray, run: Run) -> list[tuple[list[int], float]]:
        """Headlines as pieces with their scores, the best first. source: int32 (1, length)."""
        memory = run({"source": source}, "encode")
        past: Arrays = {}

        def advance(last: np.ndarray, parents: np.ndarray, step: int) -> np.ndarray:
            nonlocal past
            kept = {name: values[parents] for name, values in past.items()} or self._empty(memory, len(last))
            given = {"piece": last, "place": np.array([step], np.int32)}
            outputs = run(given | memory | kept, "step")
            past = {name: values for name, values in outputs.items() if name.startswith("past")}
            return headlines.mixed(outputs, source[0])

        return headlines.found(advance, headlines.Search(beams=self.beams, most=self.steps))

    def _empty(self, memory: Arrays, beams: int) -> Arrays:
        """The past of the first step."""
        found = {}
        for name, values in memory.items():
            if name.startswith(("keys", "values")):
                shape = list(values.shape)
                shape[0], shape[3 if name.startswith("keys") else 2] = beams, self.steps
                found[f"past_{name}"] = np.zeros(shape, np.float32)
        return found

    def decode(self, outputs: Arrays) -> Sequence[Any]:
        """Of each row the number of the best sentence, or the headline."""
        if self.style == "extract":
            return outputs["scores"].argmax(axis=1).tolist()
        return [self._text_of(row) for row in outputs["pieces"]]

    def _text_of(self, pieces: Sequence[int]) -> str:
        return vocabulary.pieces(self.vocabulary).decode([int(each) for each in pieces if each])

    def agree(self, one: Any, other: Any) -> bool:
        return one == other

    def answer(self, raws: Sequence[Any], run: Run) -> list[Any]:
        answers = []
        for raw in raws:
            try:
                document = documents.load(raw.document if isinstance(raw, Example) else raw)
                answers.append(self._summary(document, run))
            except DataError as error:
                answers.append(error)
        return answers

    def _summary(self, document: Document, run: Run) -> SummaryAnswer:
        rows, sentences = self._rows(document), document.sentences
        known = self._known(document, rows)
        strange = known < FOREIGN and len(document.text) > 100
        notes = (*document.notes, *([STRANGE] if strange else []))
        if self.style == "headline":
            if known < FAMILIAR and not strange:
                notes = (
                    *notes,
                    "its words are unlike those that the model was trained on: the headline may be wrong",
                )
            return self._headline(document, run, notes)
        scores = np.concatenate([run(each)["scores"][0] for each in self._windows(rows, WINDOW, LONGEST)])
        worth = selection.by_scores(scores, sentences)
        if known < FAMILIAR:
            worth = centrality.worth(sentences)
            scores = centrality.shown(worth.values, scores)
            notes = notes if strange else (*notes, OTHER)
        asked = selection.Length(self.sentences, self.words, self.ratio)
        places = selection.chosen(worth, sentences, asked)
        if not places:
            return self._cut(document, int(scores.argmax()), scores, notes)
        if self.words is None and self.ratio is None and len(sentences) < self.sentences:
            count = f"{len(sentences)} sentence{'s' * (len(sentences) > 1)}"
            notes = (*notes, f"the text has {count}, fewer than {self.sentences}")
        found = tuple(Sentence(sentences[i], *document.spans[i], float(scores[i])) for i in places)
        texts = [documents.plain(e.text) if document.marked else e.text for e in found]
        return SummaryAnswer(" ".join(" ".join(each.split()) for each in texts), found, notes, document)

    def _cut(self, document: Document, place: int, scores: np.ndarray, notes) -> SummaryAnswer:
        """The best sentence of a text where every one is longer than asked, cut."""
        start, end = document.spans[place]
        kept = selection.first_words(document.text[start:end], self.words)
        found = Sentence(kept, start, start + len(kept), float(scores[place]))
        notes = (*notes, f"every sentence has more words than {self.words}; the best one is cut")
        return SummaryAnswer(" ".join(kept.split()), (found,), notes, document)

    def _headline(self, document: Document, run: Run, notes) -> SummaryAnswer:
        """The best headline whose numbers stand in the text."""
        lines = [self._text_of(pieces) for pieces, _ in self._written(self._source(document), run)]
        # A letter that is not in the vocabulary is written in bytes, which need not make one.
        lines = [each for each in lines if each.strip() and "\ufffd" not in each]
        fit = [each for each in lines if not headlines.unsupported(each, document.text)]
        if not fit:
            notes = (*notes, "the network found no headline that fits the text")
            fit = [headlines.without_unsupported(each, document.text) for each in lines]
        best = next((each for each in fit if each.strip()), document.sentences[0])
        line = selection.first_words(headlines.cased(best, document.text, self.titled), self.steps)
        if self.words is not None:
            line = selection.first_words(line, self.words)
        return SummaryAnswer(line, (), notes, document)

    def score(self, answers: Sequence[Any], truths: Sequence[Any]) -> Evaluation:
        from dltasks.tasks.summary import scores

        return scores.score(self, answers, truths)

    def scores(self, answers: Sequence[Any], truths: Sequence[Any]) -> dict[str, Score]:
        from dltasks.tasks.summary import scores

        return scores.alone(self, answers, truths)

    def classes(self, truths: Sequence[Any]) -> None:
        return None


@dataclass(frozen=True)
class Example:
    """A text with the summary that a headline network learns to write."""

    document: Document | DataError
    summary: str


def _with_gains(batch: Batch) -> Batch:
    """The batch with the spans of the texts' sentences, and with the sentences' gains."""
    from dltasks.tasks.summary import labels

    good = [i for i, raw in enumerate(batch.raws) if isinstance(raw, Document)]
    found = labels.labelled([batch.raws[i].text for i in good], [batch.truths[i].summaries for i in good])
    raws, truths = list(batch.raws), list(batch.truths)
    for i, (spans, gains) in zip(good, found, strict=True):
        raws[i] = replace(raws[i], known=tuple(spans))
        truths[i] = replace(truths[i], gains=gains)
    return replace(batch, raws=raws, truths=truths)


def _with_summaries(batch: Batch) -> Batch:
    pairs = zip(batch.raws, batch.truths, strict=True)
    return replace(batch, raws=[Example(raw, (truth.summaries or ("",))[0]) for raw, truth in pairs])


TASK = SummaryTask
