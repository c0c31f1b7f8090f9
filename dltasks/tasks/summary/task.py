"""What a text says, in few of its sentences or in one new line."""

from collections import Counter
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from dltasks.config import TrainingConfig
from dltasks.data import labeled_files
from dltasks.data.batch import Batch, Splits
from dltasks.errors import DataError
from dltasks.evaluation.results import Evaluation
from dltasks.fields import binary_asset, bounded
from dltasks.litert.runtime import Arrays, Run
from dltasks.progress import Progress
from dltasks.protocols import Signature, TrainingHooks, default_signature
from dltasks.task import Description, LoadPretrained, Task
from dltasks.tasks.summary import centrality, documents, headlines, selection, vocabulary
from dltasks.tasks.summary.documents import Document

if TYPE_CHECKING:
    from dltasks.doctor.findings import Inspection
from dltasks.tasks.summary.config import STYLES, SummaryConfig
from dltasks.tasks.summary.data import Example, with_oracle_scores, with_summaries
from dltasks.tasks.summary.prediction import Sentence, SummaryPrediction

WINDOW = 64
"""Sentences that are judged together; a longer text is cut into so many at a time."""

MAX_SENTENCE_TOKENS = 40
"""Pieces of a sentence that are read."""

FAMILIAR_RATIO = 0.78
"""Characters that the vocabulary's pieces have in a text, as a share of those in the median training text; in texts with less
the network does not know enough words to be followed alone."""

FOREIGN_RATIO = 0.45
"""Below this share it is said that the text is unlike those of training."""

FOREIGN_NOTE = (
    "not written like the texts the model was trained on (another language, perhaps); judged all the same"
)

UNFAMILIAR_NOTE = "its words are unlike those that the model was trained on: chosen by what comes again in it"


@dataclass(frozen=True)
class SummaryTask(TrainingHooks, Task):
    """Texts to summaries of `sentences` of them, or to a headline.

    vocabulary: a sentencepiece model. window: sentences of a training text that are judged together; length: pieces of
    each. context, steps: pieces of the text that a headline is made of, and of the headline. titled: whether headlines have capitals
    as titles do. usual: characters a piece that training texts had at least. words, ratio: other ways to say how long.
    """

    config: ClassVar[type[TrainingConfig]] = SummaryConfig
    batch_size: ClassVar[int] = 8

    vocabulary: bytes = binary_asset(default=b"")
    style: str = bounded("extract", choices=STYLES)
    window: int = bounded(16, minimum=1, maximum=1000)
    length: int = bounded(48, minimum=1, maximum=1000)
    max_source_tokens: int = bounded(192, minimum=1, maximum=2048)
    steps: int = bounded(24, minimum=1, maximum=256)
    titled: bool = False
    usual: float = bounded(0.0, minimum=0)
    sentences: int = bounded(3, minimum=1)
    words: int | None = bounded(None, minimum=1)
    ratio: float | None = bounded(None, minimum=0, maximum=1)
    beams: int = bounded(4, minimum=1, maximum=64)

    def tensor_shapes(self) -> dict[str, tuple[int | None, ...]]:
        if self.style == "extract":
            return {"pieces": (None, None), "counts": (None, None), "total": (1,), "scores": (None,)}
        pieces = vocabulary.pieces(self.vocabulary).get_piece_size()
        return {
            "source": (self.max_source_tokens,),
            "vocabulary": (pieces,),
            "copy": (self.max_source_tokens,),
        }

    @property
    def monitor(self) -> str:
        return "gain" if self.style == "extract" else "likelihood"

    def check_config(self, config: TrainingConfig) -> None:
        from dltasks.tasks.summary import rouge

        rouge.stemmed("")

    def read_inputs(self, sources: Sequence[Any]) -> Iterator[Batch]:
        return labeled_files.iter_batches(sources, self.batch_size, documents.PLAIN)

    def load_examples(self, source: Any, config: TrainingConfig | None = None) -> Batch:
        from dltasks.tasks.summary import data

        found = data.read(source, config and config.text, config and config.summary)
        if config is None:
            return found
        return with_oracle_scores(found) if config.style == "extract" else with_summaries(found)

    @classmethod
    def can_load(cls, source: Any) -> bool:
        from dltasks.data import tables
        from dltasks.tasks.summary import data

        names = {each.lower() for each in tables.read_header(source)}
        return bool(names & set(data.TEXTS) and names & set(data.SUMMARIES))

    def inspect(self, source: Any, config: TrainingConfig, progress: Progress) -> "Inspection":
        from dltasks.tasks.summary.inspection import inspect

        return inspect(source, config, progress)

    @staticmethod
    def drop_rows(path: Path, rows: Container[int]) -> bytes:
        from dltasks.data import tables

        return tables.drop_rows(path, rows)

    def adapt(self, examples: Batch, config: TrainingConfig) -> "SummaryTask":
        from dltasks.tasks.summary.split import learned

        return learned(self, examples, config)

    def split(self, examples: Batch, inputs: Arrays, config: TrainingConfig) -> Splits:
        from dltasks.tasks.summary.split import divided

        return divided(examples, config)

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
        pieces = vocabulary.encoded(
            self.vocabulary, [text[: 40 * self.max_source_tokens]], 10 * self.max_source_tokens
        )[0]
        if len(pieces) > 2 * self.max_source_tokens:
            pieces = headlines.salient(
                self._rows(document), self.max_source_tokens, vocabulary.rarity(self.vocabulary)
            )
        return vocabulary.filled([pieces], self.max_source_tokens)

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

    def network(self, config: TrainingConfig, load_pretrained: LoadPretrained):
        from dltasks.tasks.summary import network

        count = vocabulary.pieces(self.vocabulary).get_piece_size()
        if self.style == "extract":
            return network.extractor(count, config)
        return network.headliner(count, self.max_source_tokens, self.steps, config)

    def describe(self) -> Description:
        from dltasks.litert.metadata import TensorDescription

        tensors = {
            "pieces": TensorDescription("word pieces of each sentence of a text, 0 where there is none"),
            "counts": TensorDescription("how often the word of each piece stands in the whole text"),
            "total": TensorDescription("sentences of the whole text"),
            "scores": TensorDescription("what ROUGE each sentence alone may get, 0 to 1"),
            "source": TensorDescription("word pieces of a text, 0 where there is none"),
            "told": TensorDescription("the text as the decoder sees it"),
            "piece": TensorDescription("the last piece of each headline that is being written"),
            "place": TensorDescription("how many pieces were written before"),
            "vocabulary": TensorDescription(
                "how probable each piece of the vocabulary is to be written next"
            ),
            "copy": TensorDescription("how probable each piece of the text is to be copied next"),
            "written": TensorDescription("the share of pieces that are written, and not copied"),
        }
        # A headline takes a hundred runs of the network, in Keras too.
        return Description(tensors, parity_sample_size=500 if self.style == "extract" else 60)

    def training_model(self, network, config: TrainingConfig, targets: Arrays):
        from dltasks.tasks.summary.network import training_model

        return training_model(network, config)

    def signatures(self, network) -> dict[str, Signature]:
        if self.style == "extract":
            return default_signature(network)
        from dltasks.tasks.summary.network import signatures

        return signatures(network)

    def run_network(self, inputs: Arrays, run: Run) -> Arrays:
        if self.style == "extract":
            return run(inputs)
        best = [self._written(source[None], run)[0] for source in inputs["source"]]
        return {
            "pieces": vocabulary.filled([pieces for pieces, _ in best], self.steps),
            "scores": np.array([evaluate for _, evaluate in best], np.float32),
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

    def same_prediction(self, one: Any, other: Any) -> bool:
        return one == other

    def predict(self, raws: Sequence[Any], run: Run) -> list[Any]:
        answers = []
        for raw in raws:
            try:
                document = documents.load(raw.document if isinstance(raw, Example) else raw)
                answers.append(self._summary(document, run))
            except DataError as error:
                answers.append(error)
        return answers

    def _summary(self, document: Document, run: Run) -> SummaryPrediction:
        rows, sentences = self._rows(document), document.sentences
        known = self._known(document, rows)
        strange = known < FOREIGN_RATIO and len(document.text) > 100
        notes = (*document.notes, *([FOREIGN_NOTE] if strange else []))
        if self.style == "headline":
            if known < FAMILIAR_RATIO and not strange:
                notes = (
                    *notes,
                    "its words are unlike those that the model was trained on: the headline may be wrong",
                )
            return self._headline(document, run, notes)
        scores = np.concatenate(
            [run(each)["scores"][0] for each in self._windows(rows, WINDOW, MAX_SENTENCE_TOKENS)]
        )
        worth = selection.by_scores(scores, sentences)
        if known < FAMILIAR_RATIO:
            worth = centrality.worth(sentences)
            scores = centrality.shown(worth.values, scores)
            notes = notes if strange else (*notes, UNFAMILIAR_NOTE)
        asked = selection.Length(self.sentences, self.words, self.ratio)
        places = selection.chosen(worth, sentences, asked)
        if not places:
            return self._cut(document, int(scores.argmax()), scores, notes)
        if self.words is None and self.ratio is None and len(sentences) < self.sentences:
            count = f"{len(sentences)} sentence{'s' * (len(sentences) > 1)}"
            notes = (*notes, f"the text has {count}, fewer than {self.sentences}")
        found = tuple(Sentence(sentences[i], *document.spans[i], float(scores[i])) for i in places)
        texts = [documents.plain(e.text) if document.marked else e.text for e in found]
        return SummaryPrediction(" ".join(" ".join(each.split()) for each in texts), found, notes, document)

    def _cut(self, document: Document, place: int, scores: np.ndarray, notes) -> SummaryPrediction:
        """The best sentence of a text where every one is longer than asked, cut."""
        start, end = document.spans[place]
        kept = selection.first_words(document.text[start:end], self.words)
        found = Sentence(kept, start, start + len(kept), float(scores[place]))
        notes = (*notes, f"every sentence has more words than {self.words}; the best one is cut")
        return SummaryPrediction(" ".join(kept.split()), (found,), notes, document)

    def _headline(self, document: Document, run: Run, notes) -> SummaryPrediction:
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
        return SummaryPrediction(line, (), notes, document)

    def evaluate(self, predictions: Sequence[Any], labels: Sequence[Any], tables: bool = True) -> Evaluation:
        from dltasks.tasks.summary import metrics

        if tables:
            return metrics.evaluate(self, predictions, labels)
        return Evaluation(len(labels), metrics.alone(self, predictions, labels))
