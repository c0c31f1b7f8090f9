"""Which transactions are frauds, and why."""

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from dltasks.config import TrainingConfig
from dltasks.data.batch import Batch, Splits
from dltasks.data.columns import Columns
from dltasks.errors import ConfigError, DataError
from dltasks.evaluation.results import Evaluation, Table
from dltasks.fields import bounded
from dltasks.litert.runtime import Arrays, Run
from dltasks.progress import Progress
from dltasks.protocols import TrainingHooks
from dltasks.task import Description, LoadPretrained, Task

if TYPE_CHECKING:
    from dltasks.doctor.findings import Inspection
from dltasks.tasks.fraud.config import DEFAULT_LABEL_DELAY, FraudConfig
from dltasks.tasks.fraud.prediction import FraudPrediction, FraudPredictions

MAX_WINDOW = 100 * 366 * 86_400_000_000
"""Microseconds of the longest window, and of the longest delay of labels."""


@dataclass(frozen=True)
class FraudTask(TrainingHooks, Task):
    """Transactions of a table to probabilities of fraud.

    layout, clock, lengths, delay, indicated, fills, vocabularies: see features.Recipe. positive: the label that says fraud.
    spans: what was trained on and judged, in moments. usual, spread: of each feature, the median of genuine transactions
    and how far they go. prior: share of frauds in training. errors: of an unsupervised model, the reconstruction errors
    that each thousandth of the validation part lies below. explained: whether answers come with reasons.
    peered: whether others are trained beside it.
    """

    config: ClassVar[type[TrainingConfig]] = FraudConfig
    batch_size: ClassVar[int] = 8192
    monitor: ClassVar[str] = "likelihood"
    # In 8 bits the pieces that numbers are told by would all be the same.
    quantized_ops: ClassVar[tuple[str, ...]] = ("FULLY_CONNECTED",)

    layout: dict[str, Any] = field(default_factory=dict)
    clock: dict[str, Any] = field(default_factory=dict)
    lengths: tuple[int, ...] = bounded((), minimum=1, maximum=MAX_WINDOW)
    label_delay: int = bounded(0, minimum=0, maximum=MAX_WINDOW)
    indicated: tuple[str, ...] = ()
    fills: dict[str, float] = field(default_factory=dict)
    vocabularies: dict[str, tuple[str, ...]] = field(default_factory=dict)
    positive: str | None = None
    spans: dict[str, int] | None = None
    exclude_known_fraud: bool = False
    usual: tuple[float, ...] = ()
    spread: tuple[float, ...] = bounded((), minimum=0)
    prior: float = bounded(0.0, minimum=0, maximum=1)
    steps: int = bounded(0, minimum=0, maximum=200)
    unsupervised: bool = False
    errors: tuple[float, ...] = ()
    threshold: float = bounded(0.5, minimum=0, maximum=1)
    budget: int = bounded(100, minimum=1)
    alert_cost: float = bounded(0.0, minimum=0)
    explained: bool = True
    peered: bool = True

    @property
    def recipe(self):
        """What features are made by."""
        from dltasks.tasks.fraud.features import Recipe
        from dltasks.tasks.fraud.layout import Layout
        from dltasks.tasks.fraud.times import Clock

        words = {name: tuple(values) for name, values in self.vocabularies.items()}
        return Recipe(
            Layout(**self.layout),
            Clock(**self.clock),
            tuple(self.lengths),
            self.label_delay,
            tuple(self.indicated),
            self.fills,
            words,
        )

    def validate(self) -> str:
        from dltasks.tasks.fraud.layout import Layout
        from dltasks.tasks.fraud.split import Spans
        from dltasks.tasks.fraud.times import Clock
        from dltasks.validation import type_error

        kinds = {"layout": Layout, "clock": Clock, "spans": Spans | None}
        for name, kind in kinds.items():
            if wrong := type_error(getattr(self, name), kind, f"its field {name}"):
                return wrong
        if wrong := self.recipe.clock.validate() or self.recipe.layout.validate():
            return wrong
        entities, card = self.recipe.layout.entities, self.recipe.layout.card
        if entities and not self.lengths:
            return f"it has no windows over {entities[0]}"
        if (self.steps and not card) or (self.exclude_known_fraud and not (card and self.spans)):
            return "it looks at cards, and does not say what a card is, or when it was trained"
        if set(self.vocabularies) - set(self.recipe.layout.categories):
            return "it has words of what is no category"
        if any(len(set(each)) < len(each) for each in self.vocabularies.values()):
            return "it has a word twice"
        if self.unsupervised and not self.errors:
            return "it learned without labels, and has no errors to compare with"
        count = len(self.recipe.features)
        if not len(self.usual) == len(self.spread) == count:
            return f"it has {count} features and {len(self.usual)} usual values"
        return ""

    def tensor_shapes(self) -> dict[str, tuple[int | None, ...]]:
        found: dict[str, tuple[int | None, ...]] = {"error" if self.unsupervised else "probability": (1,)}
        if self.usual:
            found["numbers"] = (len(self.usual),)
        if self.vocabularies:
            found["codes"] = (len(self.vocabularies),)
        if self.steps:
            found |= {"past": (self.steps, len(self.usual)), "there": (self.steps,)}
        return found

    def check_config(self, config: TrainingConfig) -> None:
        from dltasks.tasks.fraud.times import duration

        duration(config.label_delay or DEFAULT_LABEL_DELAY, "--label-delay")
        for each in config.windows.split(","):
            duration(each, "--windows")
        if config.unsupervised and config.network == "sequence":
            raise ConfigError(
                "--unsupervised looks at one transaction at a time; leave out --network sequence"
            )

    def read_inputs(self, sources: Sequence[Any]) -> Iterator[Batch]:
        from dltasks.data import tables
        from dltasks.tasks.fraud import data

        for source in sources:
            if isinstance(source, data.Transactions):
                yield Batch(source, source.table.files[source.places])
                continue
            try:
                asked = data.to_score(source, self)
            except DataError as error:
                yield Batch([error], [tables.source_name(source)])
                continue
            rows = asked.transactions
            yield from Batch(rows, rows.table.files[rows.places]).chunks(self.batch_size)
            if asked.problems:
                yield Batch([each.error() for each in asked.problems], [each.file for each in asked.problems])

    def load_examples(self, source: Any, config: TrainingConfig | None = None) -> Batch:
        from dltasks.tasks.fraud import data

        return data.to_judge_by(source, self) if config is None else data.to_train_on(source, config)

    @classmethod
    def can_load(cls, source: Any) -> bool:
        from dltasks.data import tables
        from dltasks.tasks.fraud import layout

        names = tables.read_header(source)
        return (
            layout.first_named(names, layout.LABEL) is not None
            and layout.first_named(names, layout.AMOUNT) is not None
        )

    def inspect(self, source: Any, config: TrainingConfig, progress: Progress) -> "Inspection":
        from dltasks.tasks.fraud.inspection import inspect

        return inspect(source, config, progress)

    @staticmethod
    def drop_rows(path: Path, rows: Container[int]) -> bytes:
        from dltasks.data import tables

        return tables.drop_rows(path, rows)

    def adapt(self, examples: Batch, config: TrainingConfig) -> "FraudTask":
        table = examples.inputs.table
        train = examples.inputs.places[examples.splits == "train"]
        genuine = train[table.outcomes.fraud[train] != 1]
        low, usual, high = np.quantile(table.numbers[genuine], [0.05, 0.5, 0.95], axis=0)
        fraud = table.outcomes.fraud[train]
        return replace(
            self,
            **table.learned,
            usual=tuple(map(float, usual)),
            spread=tuple(float(each) or 1.0 for each in high - low),
            prior=0.0 if config.unsupervised else float(np.mean(fraud)),
            budget=config.budget,
            alert_cost=config.alert_cost,
            peered=config.baselines,
        )

    def split(self, examples: Batch, inputs: Arrays, config: TrainingConfig) -> Splits:
        return Splits(*(np.flatnonzero(examples.splits == each) for each in ("train", "val", "test")))

    def encode(self, raws: Sequence[Any]) -> tuple[Arrays, dict[int, DataError]]:
        if not isinstance(raws, Columns):
            return {}, dict(enumerate(raws))
        table, places = raws.table, raws.places
        inputs = {"numbers": table.numbers[places]} if self.usual else {}
        if self.vocabularies:
            inputs["codes"] = table.codes[places]
        if self.steps:
            past = table.past[places]
            inputs["past"] = np.where(past[:, :, None] >= 0, table.numbers[past], 0).astype(np.float32)
            inputs["there"] = (past >= 0).astype(np.float32)
        return inputs, {}

    def target(self, truths: Sequence[Any]) -> Arrays:
        fraud = truths.fraud[:, None].astype(np.float32)
        return {"error": np.zeros_like(fraud)} if self.unsupervised else {"probability": fraud}

    def network(self, config: TrainingConfig, load_pretrained: LoadPretrained):
        from dltasks.tasks.fraud import network

        categories = [len(words) for words in self.vocabularies.values()]
        if config.unsupervised:
            return network.autoencoder(len(self.usual), categories, config)
        return network.classifier(len(self.usual), categories, self.steps, config)

    def warm_start(self, network, config: TrainingConfig, inputs: Arrays, targets: Arrays) -> None:
        from dltasks.tasks.fraud.network import adapt

        adapt(network, inputs, targets)

    def describe(self) -> Description:
        from dltasks.litert.metadata import TensorDescription
        from dltasks.tasks.fraud.limitations import limitations

        numbers = ", ".join(each.name for each in self.recipe.features)
        last = "those of the card's last transactions, the newest last"
        tensors = {
            "numbers": TensorDescription(f"of a transaction: {numbers}"),
            "codes": TensorDescription(
                f"places in the vocabularies of {', '.join(self.vocabularies)}; 0 for others"
            ),
            "past": TensorDescription(f"the numbers, {last}"),
            "there": TensorDescription("1 where there was such a transaction, else 0"),
            "probability": TensorDescription("how probable fraud is, 0 to 1"),
            "error": TensorDescription("mean squared error of what is rebuilt: the more, the less usual"),
        }
        # Frauds are few.
        return Description(tensors, limitations(self), parity_sample_size=10_000)

    def training_model(self, network, config: TrainingConfig, targets: Arrays):
        from dltasks.tasks.fraud.network import training_model

        return training_model(network, config, targets)

    def calibrate(self, network, config: TrainingConfig, inputs: Arrays, examples: Batch) -> "FraudTask":
        from dltasks.tasks.fraud import network as networks

        if self.unsupervised:
            return replace(self, errors=networks.errors(network, inputs), threshold=0.999)
        table, held = examples.inputs.table, examples.inputs.places
        train = np.flatnonzero(table.splits == "train")
        networks.grow(network, table.numbers[train], table.outcomes.fraud[train], config.seed)
        networks.calibrate(network, inputs, examples.labels.fraud)
        # Nothing is chosen by the validation part from here on, and frauds are few.
        rows = np.sort(np.concatenate([train, held]))
        networks.grow(network, table.numbers[rows], table.outcomes.fraud[rows], config.seed)
        return self

    def decode(self, outputs: Arrays) -> FraudPredictions:
        shares = self._shares(outputs)
        count = len(shares)
        nothing = np.full(count, None, object)
        return FraudPredictions(
            shares, shares >= self.threshold, np.zeros(count, int), nothing, nothing, self.unsupervised
        )

    def _shares(self, outputs: Arrays) -> np.ndarray:
        if not self.unsupervised:
            return outputs["probability"].reshape(-1)
        errors = outputs["error"].reshape(-1)
        marks = np.asarray(self.errors)
        return np.interp(errors, marks, np.linspace(0, 1, len(marks)))

    def predict(self, raws: Sequence[Any], run: Run) -> Sequence[Any]:
        """As every task, with the row and the reasons of each."""
        if not isinstance(raws, Columns):
            return list(raws)
        table, places = raws.table, raws.places
        inputs, _ = self.encode(raws)
        answers = self.decode(run(inputs))
        ids = answers.ids if table.ids is None else table.ids[places].astype(object)
        return replace(
            answers, rows=table.rows[places], ids=ids, reasons=self._reasons(answers.shares, inputs, run)
        )

    def _reasons(self, shares: np.ndarray, inputs: Arrays, run: Run) -> np.ndarray:
        """Phrases for those that are riskier than the average; for the others there is nothing to explain."""
        from dltasks.tasks.fraud.reasons import reasons

        found = np.full(len(shares), None, object)
        risky = np.flatnonzero(shares > (0.95 if self.unsupervised else self.prior)) if self.explained else ()
        if len(risky):
            chosen = {name: values[risky] for name, values in inputs.items()}
            usual, spread = np.float32(self.usual), np.float32(self.spread)
            told = reasons(self.recipe, usual, spread, chosen, lambda some: self._odds(run(some)))
            for place, phrases in zip(risky, told, strict=True):
                found[place] = phrases
        return found

    def _odds(self, outputs: Arrays) -> np.ndarray:
        """What reasons are found of, from 0 to 1: of an unsupervised model e / (1 + e) of the error e, which never ends."""
        if not self.unsupervised:
            return outputs["probability"]
        return outputs["error"] / (1 + outputs["error"])

    def same_prediction(self, one: FraudPrediction, other: FraudPrediction) -> bool:
        """Whether both are alerts or neither, with shares that differ by a hundredth, or a tenth of the larger, at most."""
        close = abs(one.share - other.share) <= max(0.01, 0.1 * max(one.share, other.share))
        return one.alert == other.alert and close

    def evaluate(
        self, predictions: FraudPredictions, labels: Sequence[Any], tables: bool = True
    ) -> Evaluation:
        from dltasks.tasks.fraud.metrics import evaluate

        known = labels.fraud[~np.isnan(labels.fraud)]
        if not tables and not 0 < known.sum() < len(known):
            return Evaluation(len(known), {})
        shares = predictions.shares.astype(np.float64)
        told = self.recipe.clock.told_day
        return evaluate(
            shares, labels, self.budget, self.alert_cost, self.threshold, told, not self.unsupervised
        )

    def baselines(self, inputs: Arrays, examples: Batch, parts: Splits) -> tuple[Table, ...]:
        from dltasks.tasks.fraud.baselines import compared

        return compared(self, inputs, examples, parts) if self.peered and not self.unsupervised else ()
