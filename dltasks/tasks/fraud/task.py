"""FraudTask: which transactions are fraud, and why."""

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from dltasks.config import TrainingConfig
from dltasks.data.batch import Batch, Splits
from dltasks.data.columns import Columns
from dltasks.errors import ConfigError, DataError
from dltasks.fields import bounded
from dltasks.litert.runtime import Arrays, Run
from dltasks.progress import Progress
from dltasks.protocols import ComputeOutputs, LabeledInputs, TrainingHooks
from dltasks.task import Description, LoadPretrained, Task
from dltasks.tasks.fraud.config import DEFAULT_LABEL_DELAY, FraudConfig
from dltasks.tasks.fraud.prediction import FraudPrediction, FraudPredictions

if TYPE_CHECKING:  # imported when they are used
    from dltasks.doctor.findings import Inspection
    from dltasks.evaluation.results import Evaluation, Table
    from dltasks.tasks.fraud.features import FeaturePipeline

MAX_WINDOW = 100 * 366 * 86_400_000_000
"""Maximum length of a window and of the label delay, in microseconds."""


@dataclass(frozen=True)
class FraudTask(TrainingHooks, Task):
    """Transactions of a table to probabilities of fraud.

    Attributes:
        layout: fields of a Layout.
        time_parser: fields of a TimeParser.
        window_lengths: microseconds.
        label_delay: microseconds until a label is known.
        missing_indicators: number columns with a feature for missing values.
        imputation_values: replacements of missing numbers by column.
        vocabularies: known values of each category.
        positive_label: the value of the label that means fraud; None for the usual ones.
        time_split: fields of a TimeSplit, where the examples were split by time.
        exclude_known_fraud: whether cards known as defrauded are excluded from test days.
        baseline: medians of the features of genuine transactions.
        scale: their ranges from the 5th to the 95th percentile.
        prior: fraud rate in training.
        history_length: of the card's last transactions that the network sees; 0 for none.
        unsupervised: whether the network was trained without labels.
        error_quantiles: of an unsupervised model, 1001 quantiles of the validation errors.
        threshold: risk from which a transaction is an alert.
        budget: cards that can be checked in a day.
        alert_cost: of one check.
        with_reasons: whether predictions come with reasons.
        compare_baselines: whether baselines are trained beside the network.
    """

    config: ClassVar[type[TrainingConfig]] = FraudConfig
    batch_size: ClassVar[int] = 8192
    monitor: ClassVar[str] = "likelihood"
    # In 8 bits the pieces of the piecewise encoding could not be told apart.
    quantized_ops: ClassVar[tuple[str, ...]] = ("FULLY_CONNECTED",)

    layout: dict[str, Any] = field(default_factory=dict)
    time_parser: dict[str, Any] = field(default_factory=dict)
    window_lengths: tuple[int, ...] = bounded((), minimum=1, maximum=MAX_WINDOW)
    label_delay: int = bounded(0, minimum=0, maximum=MAX_WINDOW)
    missing_indicators: tuple[str, ...] = ()
    imputation_values: dict[str, float] = field(default_factory=dict)
    vocabularies: dict[str, tuple[str, ...]] = field(default_factory=dict)
    positive_label: str | None = None
    time_split: dict[str, int] | None = None
    exclude_known_fraud: bool = False
    baseline: tuple[float, ...] = ()
    scale: tuple[float, ...] = bounded((), minimum=0)
    prior: float = bounded(0.0, minimum=0, maximum=1)
    history_length: int = bounded(0, minimum=0, maximum=200)
    unsupervised: bool = False
    error_quantiles: tuple[float, ...] = ()
    threshold: float = bounded(0.5, minimum=0, maximum=1)
    budget: int = bounded(100, minimum=1)
    alert_cost: float = bounded(0.0, minimum=0)
    with_reasons: bool = True
    compare_baselines: bool = True

    @property
    def pipeline(self) -> "FeaturePipeline":
        """How features are computed."""
        from dltasks.tasks.fraud.features import FeaturePipeline
        from dltasks.tasks.fraud.layout import Layout
        from dltasks.tasks.fraud.times import TimeParser

        return FeaturePipeline(
            Layout(**self.layout),
            TimeParser(**self.time_parser),
            tuple(self.window_lengths),
            self.label_delay,
            tuple(self.missing_indicators),
            self.imputation_values,
            {name: tuple(values) for name, values in self.vocabularies.items()},
        )

    # Data

    def read_inputs(self, sources: Sequence[Any]) -> Iterator[Batch]:
        from dltasks.data import tables
        from dltasks.tasks.fraud.data import load_scoring_input
        from dltasks.tasks.fraud.transactions import Transactions

        for source in sources:
            if isinstance(source, Transactions):
                yield Batch(source, source.files)
                continue
            try:
                scoring_input = load_scoring_input(source, self)
            except DataError as error:
                yield Batch([error], [tables.source_name(source)])
                continue
            rows, problems = scoring_input.transactions, scoring_input.problems
            yield from Batch(rows, rows.files).chunks(self.batch_size)
            if problems:
                yield Batch([problem.error() for problem in problems], [problem.file for problem in problems])

    def load_examples(self, source: Any, config: FraudConfig | None = None) -> Batch:
        from dltasks.tasks.fraud.data import load_labeled_examples, load_training_examples

        return (
            load_labeled_examples(source, self) if config is None else load_training_examples(source, config)
        )

    def adapt(self, examples: Batch, config: FraudConfig) -> "FraudTask":
        table = examples.inputs.table
        train = examples.inputs.indices[examples.splits == "train"]
        fraud = table.labels.fraud[train]
        genuine = train[fraud != 1]
        low, median, high = np.quantile(table.features[genuine], [0.05, 0.5, 0.95], axis=0)
        return replace(
            self,
            **table.task_fields,
            baseline=tuple(map(float, median)),
            scale=tuple(float(width) or 1.0 for width in high - low),
            prior=0.0 if config.unsupervised else float(np.mean(fraud)),
            budget=config.budget,
            alert_cost=config.alert_cost,
            compare_baselines=config.baselines,
        )

    def split(self, examples: Batch, encoded: Arrays, config: FraudConfig) -> Splits:
        splits: Any = examples.splits
        train, val, test = (np.flatnonzero(splits == name).tolist() for name in ("train", "val", "test"))
        return Splits(train, val, test)

    def encode(self, inputs: Any) -> tuple[Arrays, dict[int, DataError]]:
        if not isinstance(inputs, Columns):
            return {}, dict(enumerate(inputs))
        rows: Any = inputs
        table, indices = rows.table, rows.indices
        encoded = {"features": table.features[indices]} if self.baseline else {}
        if self.vocabularies:
            encoded["category_ids"] = table.category_ids[indices]
        if self.history_length:
            history = table.history[indices]
            features = np.where(history[:, :, None] >= 0, table.features[history], 0)
            encoded["history"] = features.astype(np.float32)
            encoded["history_mask"] = (history >= 0).astype(np.float32)
        return encoded, {}

    def target(self, labels: Any) -> Arrays:
        fraud = labels.fraud[:, None].astype(np.float32)
        if self.unsupervised:
            return {"reconstruction_error": np.zeros_like(fraud)}
        return {"probability": fraud}

    # Network

    def network(self, config: FraudConfig, load_pretrained: LoadPretrained) -> Any:
        from dltasks.tasks.fraud.network import autoencoder, classifier

        features, sizes = len(self.baseline), [len(values) for values in self.vocabularies.values()]
        if config.unsupervised:
            return autoencoder(features, sizes, config)
        return classifier(features, sizes, self.history_length, config)

    def training_model(self, network: Any, config: FraudConfig, targets: Arrays) -> Any:
        from dltasks.tasks.fraud.network import training_model

        return training_model(network, config, targets)

    def check_config(self, config: FraudConfig) -> None:
        from dltasks.tasks.fraud.times import parse_duration

        parse_duration(config.label_delay or DEFAULT_LABEL_DELAY, "--label-delay")
        for text in config.windows.split(","):
            parse_duration(text, "--windows")
        if config.unsupervised and config.network == "sequence":
            raise ConfigError(
                "--unsupervised looks at one transaction at a time; leave out --network sequence"
            )

    def warm_start(
        self,
        network: Any,
        config: FraudConfig,
        compute_outputs: ComputeOutputs,
        training: LabeledInputs,
        validation: LabeledInputs,
    ) -> None:
        from dltasks.tasks.fraud.network import adapt_layers

        adapt_layers(network, *training)

    def calibrate(self, network: Any, config: FraudConfig, encoded: Arrays, examples: Batch) -> "FraudTask":
        from dltasks.tasks.fraud.calibration import calibrate

        return calibrate(self, network, config, encoded, examples)

    # Predictions

    def decode(self, outputs: Arrays) -> FraudPredictions:
        risks = self._risks(outputs)
        count = len(risks)
        empty = np.full(count, None, object)
        rows = np.zeros(count, int)
        return FraudPredictions(risks, risks >= self.threshold, rows, empty, empty, self.unsupervised)

    def _risks(self, outputs: Arrays) -> np.ndarray:
        if not self.unsupervised:
            return outputs["probability"].reshape(-1)
        errors, quantiles = outputs["reconstruction_error"].reshape(-1), np.asarray(self.error_quantiles)
        return np.interp(errors, quantiles, np.linspace(0, 1, len(quantiles)))

    def predict(self, inputs: Any, run: Run) -> Sequence[Any]:
        """As every task, with the row and the reasons of each."""
        from dltasks.tasks.fraud.explanations import explain_risky

        if not isinstance(inputs, Columns):
            return list(inputs)
        rows: Any = inputs
        table, indices = rows.table, rows.indices
        encoded, _ = self.encode(inputs)
        predictions = self.decode(run(encoded))
        ids = predictions.ids if table.ids is None else table.ids[indices].astype(object)
        reasons = explain_risky(self, predictions.risks, encoded, run)
        return replace(predictions, rows=table.rows[indices], ids=ids, reasons=reasons)

    def same_prediction(self, first: FraudPrediction, second: FraudPrediction) -> bool:
        """Whether both are alerts or neither, with risks at most 0.01 or a tenth of the larger apart."""
        is_close = abs(first.risk - second.risk) <= max(0.01, 0.1 * max(first.risk, second.risk))
        return first.alert == second.alert and is_close

    def evaluate(self, predictions: Any, labels: Any, tables: bool = True) -> "Evaluation":
        from dltasks.evaluation.results import Evaluation
        from dltasks.tasks.fraud.metrics import evaluate

        known = labels.fraud[~np.isnan(labels.fraud)]
        if not tables and not 0 < known.sum() < len(known):
            return Evaluation(len(known), {})
        return evaluate(
            predictions.risks.astype(np.float64),
            labels,
            self.budget,
            self.alert_cost,
            self.threshold,
            self.pipeline.time_parser.format_day,
            not self.unsupervised,
        )

    def baselines(self, encoded: Arrays, examples: Batch, splits: Splits) -> "tuple[Table, ...]":
        from dltasks.tasks.fraud.baselines import compare_baselines

        if not self.compare_baselines or self.unsupervised:
            return ()
        return compare_baselines(self, encoded, examples, splits)

    # Doctor

    @classmethod
    def can_load(cls, source: Any) -> bool:
        from dltasks.data import tables
        from dltasks.tasks.fraud.layout import AMOUNT_NAMES, LABEL_NAMES, find_column

        names = tables.read_header(source)
        return all(find_column(names, known) is not None for known in (LABEL_NAMES, AMOUNT_NAMES))

    def inspect(self, source: Any, config: FraudConfig, progress: Progress) -> "Inspection":
        from dltasks.tasks.fraud.inspection import inspect

        return inspect(source, config, progress)

    @staticmethod
    def drop_rows(path: Path, rows: Container[int]) -> bytes:
        from dltasks.data import tables

        return tables.drop_rows(path, rows)

    # The task itself

    def validate(self) -> str:
        from dltasks.tasks.fraud.consistency import find_inconsistency

        return find_inconsistency(self)

    def tensor_shapes(self) -> dict[str, tuple[int | None, ...]]:
        output = "reconstruction_error" if self.unsupervised else "probability"
        shapes: dict[str, tuple[int | None, ...]] = {output: (1,)}
        features = len(self.baseline)
        if features:
            shapes["features"] = (features,)
        if self.vocabularies:
            shapes["category_ids"] = (len(self.vocabularies),)
        if self.history_length:
            shapes |= {"history": (self.history_length, features), "history_mask": (self.history_length,)}
        return shapes

    def describe(self) -> Description:
        from dltasks.tasks.fraud.limitations import describe

        return describe(self)
