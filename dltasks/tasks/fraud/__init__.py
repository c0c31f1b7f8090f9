"""Which transactions are frauds, and why."""

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from dltasks.columns import SHARED, Columns
from dltasks.errors import DataError, SettingError
from dltasks.evaluation import Evaluation, Score, Table
from dltasks.plan import LEVELS, Length, Plan, setting
from dltasks.report import Report
from dltasks.task import Arrays, Batch, Parts, Run, Task, limited

if TYPE_CHECKING:
    from dltasks.inspection import Inspection
    from dltasks.metadata import Described

DELAY = "7d"
"""Of labels, where nobody says another."""

LONGEST = 100 * 366 * 86_400_000_000
"""Microseconds of the longest window, and of the longest delay of labels."""

UNITS = ("s", "ms", "us", "ns", "min", "h", "d")


@dataclass(frozen=True)
class FraudPlan(Plan):
    """All settings of a training run on transactions."""

    length: ClassVar[Length] = Length(shown=600_000, fewest=4, most=60)

    epochs: int | None = length.setting()
    batch_size: int = setting(512, "Examples per step.", minimum=1)
    quantize: str = setting(
        "none",
        "Level of the bundle's own .tflite; float16 has no place for numbers beyond 65,504.",
        choices=LEVELS,
        late=True,
    )
    learning_rate: float = setting(0.003, "Highest learning rate of the schedule.", above=0)
    weight_decay: float = setting(0.6, "Weight decay, decoupled from the gradient.", minimum=0)

    label: str | None = setting(None, "Column that says what was fraud; guessed from names if not given.")
    positive: str | None = setting(None, "Its value that says fraud; 1, true, yes or fraud if not given.")
    time: str | None = setting(None, "Column of the time; guessed if not given.")
    amount: str | None = setting(None, "Column of the amount; guessed if not given.")
    entity: tuple[str, ...] = setting(
        (), "Column of one side of a payment (customer, terminal); may be given again."
    )
    card: str | None = setting(
        None, "The entity that a budget of checks counts; guessed from names if not given."
    )
    spending: tuple[str, ...] = setting(
        (),
        "Entity whose amounts are summed up in windows; the card if not given, as those of terminals are mostly noise. May "
        "be given again.",
    )
    compromised: tuple[str, ...] = setting(
        (), "Entity whose rate of past frauds is used; all but the card if not given. May be given again."
    )
    id: str | None = setting(None, "Column that names each transaction; guessed if not given.")
    number: tuple[str, ...] = setting((), "Column to take for a number; may be given again.")
    category: tuple[str, ...] = setting((), "Column to take for a category; may be given again.")
    ignore: tuple[str, ...] = setting((), "Column to leave out; may be given again.")
    time_unit: str | None = setting(None, "Unit of a time in numbers; seconds if not given.", choices=UNITS)
    time_origin: str | None = setting(None, "Date of a time of 0 (2018-04-01).")
    dates: str | None = setting(
        None, "Whether 03/04/2018 is the third of April.", choices=("day-first", "month-first")
    )
    zone: str = setting("UTC", "Time zone of nights, weekends and days (Europe/Brussels).")
    windows: str = setting("1d,7d,30d", "Lengths of the windows over an entity's past, separated by commas.")
    delay: str | None = setting(
        None,
        "Time after which it is known whether a transaction was fraud; 7d if not given, nothing for a table of less than "
        "four weeks.",
    )
    train_from: str | None = setting(None, "Start of the training, a date or in the time column's units.")
    train_to: str | None = setting(None, "End of it; a date without a time of day is trained on to its end.")
    test_from: str | None = setting(None, "Start of what is judged.")
    test_to: str | None = setting(None, "End of it.")
    drop_known: bool | None = setting(
        None,
        "Leave cards out of a test day that were known as defrauded before it; done where there is a card column.",
    )
    budget: int = setting(100, "Cards that can be checked a day.", minimum=1, late=True)
    cost_alert: float = setting(
        0.0, "Cost of checking one, in the currency of the amounts.", minimum=0, late=True
    )
    network: str = setting(
        "members",
        "members sees a transaction and its windows; sequence the card's last transactions too.",
        choices=("members", "sequence"),
    )
    history: int = setting(10, "Transactions that --network sequence sees.", minimum=2, maximum=200)
    unsupervised: bool = setting(False, "Learn without labels what is usual: an autoencoder.")
    peers: bool = setting(
        True,
        "Train logistic regression, a random forest and XGBoost, where installed, to stand beside.",
        late=True,
    )
    members: int = setting(4, "Members of the ensemble in the network.", minimum=1, maximum=64)
    width: int = setting(64, "Units of each layer.", minimum=4, maximum=1024)
    trees: int = setting(
        150, "Boosted trees in the network, beside the members; 0 for none.", minimum=0, maximum=1000
    )
    val: float = setting(0.1, "Share of the training part's cards to choose by.", minimum=0.01, maximum=0.45)
    test: float = setting(
        0.2, "Share of the time to judge by, where --test-from does not say.", minimum=0, maximum=0.9
    )


@dataclass(frozen=True)
class FraudAnswer:
    """Whether a transaction looks like fraud.

    row: in its file, from 1. probability: of fraud, from 0 to 1; of an unsupervised model, None. unusualness: of an
    unsupervised model, the share of usual transactions that are less unusual. reasons: what raised it most.
    """

    row: int
    probability: float | None
    alert: bool
    reasons: tuple[str, ...] = ()
    unusualness: float | None = None
    id: Any = None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        found = {"row": self.row} | ({} if self.id is None else {"id": self.id})
        if self.unusualness is None:
            found["probability"] = round(self.probability, 6)
        else:
            found["unusualness"] = round(self.unusualness, 6)
        return found | {"alert": self.alert, "reasons": list(self.reasons)}

    @property
    def share(self) -> float:
        """The probability, or the unusualness in its place."""
        return self.probability if self.unusualness is None else self.unusualness

    def rows(self) -> list[tuple[str, str]]:
        """Lines for people."""
        return [
            (f"row {self.row}" if self.id is None else f"row {self.row} ({self.id})", f"{self.share:.2%}")
        ]

    def remark(self) -> str:
        """The reasons."""
        return (
            ("alert" if self.alert else "")
            + ("; " if self.alert and self.reasons else "")
            + "; ".join(self.reasons)
        )

    @staticmethod
    def columns() -> tuple[str, ...]:
        """Names of the columns of `records`."""
        return "row", "id", "probability", "alert", "reason_1", "reason_2", "reason_3"

    def records(self) -> list[tuple]:
        """A row for CSV."""
        three = (*self.reasons, "", "", "")[:3]
        name = "" if self.id is None else self.id
        return [(self.row, name, f"{self.share:.6f}", str(self.alert).lower(), *three)]


@dataclass(frozen=True, eq=False)
class FraudAnswers(Columns):
    """Answers in columns of one length. shares: float32, of fraud or, `usual`, of usual transactions that are less
    unusual. reasons: tuples of phrases. ids: None where the table has none."""

    shares: np.ndarray
    alerts: np.ndarray
    rows: np.ndarray
    reasons: np.ndarray
    ids: np.ndarray
    unsupervised: bool = field(default=False, metadata=SHARED)

    def row(self, position: int) -> FraudAnswer:
        share, number = float(self.shares[position]), int(self.rows[position])
        name = self.ids[position]
        return FraudAnswer(
            number,
            None if self.unsupervised else share,
            bool(self.alerts[position]),
            self.reasons[position] or (),
            share if self.unsupervised else None,
            name.item() if isinstance(name, np.generic) else name,
        )


@dataclass(frozen=True)
class FraudTask(Task):
    """Transactions of a table to probabilities of fraud.

    layout, clock, lengths, delay, indicated, fills, vocabularies: see features.Recipe. positive: the label that says fraud.
    spans: what was trained on and judged, in moments. usual, spread: of each feature, the median of genuine transactions
    and how far they go. prior: share of frauds in training. errors: of an unsupervised model, the reconstruction errors
    that each thousandth of the validation part lies below. explained: whether answers come with reasons.
    peered: whether others are trained beside it.
    """

    plan: ClassVar[type[Plan]] = FraudPlan
    batch_size: ClassVar[int] = 8192
    monitor: ClassVar[str] = "likelihood"
    # In 8 bits the pieces that numbers are told by would all be the same.
    quantised: ClassVar[tuple[str, ...]] = ("FULLY_CONNECTED",)

    layout: dict[str, Any] = field(default_factory=dict)
    clock: dict[str, Any] = field(default_factory=dict)
    lengths: tuple[int, ...] = limited((), minimum=1, maximum=LONGEST)
    delay: int = limited(0, minimum=0, maximum=LONGEST)
    indicated: tuple[str, ...] = ()
    fills: dict[str, float] = field(default_factory=dict)
    vocabularies: dict[str, tuple[str, ...]] = field(default_factory=dict)
    positive: str | None = None
    spans: dict[str, int] | None = None
    drop_known: bool = False
    usual: tuple[float, ...] = ()
    spread: tuple[float, ...] = limited((), minimum=0)
    prior: float = limited(0.0, minimum=0, maximum=1)
    steps: int = limited(0, minimum=0, maximum=200)
    unsupervised: bool = False
    errors: tuple[float, ...] = ()
    threshold: float = limited(0.5, minimum=0, maximum=1)
    budget: int = limited(100, minimum=1)
    cost_alert: float = limited(0.0, minimum=0)
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
            self.delay,
            tuple(self.indicated),
            self.fills,
            words,
        )

    def flaw(self) -> str:
        from dltasks.hints import misfit
        from dltasks.tasks.fraud.division import Spans
        from dltasks.tasks.fraud.layout import Layout
        from dltasks.tasks.fraud.times import Clock

        kinds = {"layout": Layout, "clock": Clock, "spans": Spans | None}
        for name, kind in kinds.items():
            if wrong := misfit(getattr(self, name), kind, f"its field {name}"):
                return wrong
        if wrong := self.recipe.clock.flaw() or self.recipe.layout.flaw():
            return wrong
        entities, card = self.recipe.layout.entities, self.recipe.layout.card
        if entities and not self.lengths:
            return f"it has no windows over {entities[0]}"
        if (self.steps and not card) or (self.drop_known and not (card and self.spans)):
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

    def shapes(self) -> dict[str, tuple[int | None, ...]]:
        found: dict[str, tuple[int | None, ...]] = {"error" if self.unsupervised else "probability": (1,)}
        if self.usual:
            found["numbers"] = (len(self.usual),)
        if self.vocabularies:
            found["codes"] = (len(self.vocabularies),)
        if self.steps:
            found |= {"past": (self.steps, len(self.usual)), "there": (self.steps,)}
        return found

    def check(self, plan: Plan) -> None:
        from dltasks.tasks.fraud.times import duration

        duration(plan.delay or DELAY, "--delay")
        for each in plan.windows.split(","):
            duration(each, "--windows")
        if plan.unsupervised and plan.network == "sequence":
            raise SettingError(
                "--unsupervised looks at one transaction at a time; leave out --network sequence"
            )

    def read(self, sources: Sequence[Any]) -> Iterator[Batch]:
        from dltasks import tables
        from dltasks.tasks.fraud import transactions

        for source in sources:
            if isinstance(source, transactions.Transactions):
                yield Batch(source, source.table.files[source.places])
                continue
            try:
                asked = transactions.to_score(source, self)
            except DataError as error:
                yield Batch([error], [tables.name_of(source)])
                continue
            rows = asked.transactions
            yield from Batch(rows, rows.table.files[rows.places]).cut(self.batch_size)
            if asked.problems:
                yield Batch([each.error() for each in asked.problems], [each.file for each in asked.problems])

    def examples(self, source: Any, plan: Plan | None = None) -> Batch:
        from dltasks.tasks.fraud import transactions

        return (
            transactions.to_judge_by(source, self) if plan is None else transactions.to_train_on(source, plan)
        )

    @classmethod
    def holds(cls, source: Any) -> bool:
        from dltasks import tables
        from dltasks.tasks.fraud import layout

        names = tables.header(source)
        return (
            layout.first_named(names, layout.LABEL) is not None
            and layout.first_named(names, layout.AMOUNT) is not None
        )

    def inspect(self, source: Any, plan: Plan, report: Report) -> "Inspection":
        from dltasks.tasks.fraud.inspection import inspect

        return inspect(source, plan, report)

    @staticmethod
    def without(path: Path, rows: Container[int]) -> bytes:
        from dltasks import tables

        return tables.without(path, rows)

    def learn(self, examples: Batch, plan: Plan) -> "FraudTask":
        table = examples.raws.table
        train = examples.raws.places[examples.splits == "train"]
        genuine = train[table.outcomes.fraud[train] != 1]
        low, usual, high = np.quantile(table.numbers[genuine], [0.05, 0.5, 0.95], axis=0)
        fraud = table.outcomes.fraud[train]
        return replace(
            self,
            **table.learned,
            usual=tuple(map(float, usual)),
            spread=tuple(float(each) or 1.0 for each in high - low),
            prior=0.0 if plan.unsupervised else float(np.mean(fraud)),
            budget=plan.budget,
            cost_alert=plan.cost_alert,
            peered=plan.peers,
        )

    def split(self, examples: Batch, inputs: Arrays, plan: Plan) -> Parts:
        return Parts(*(np.flatnonzero(examples.splits == each) for each in ("train", "val", "test")))

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

    def network(self, plan: Plan):
        from dltasks.tasks.fraud import network

        categories = [len(words) for words in self.vocabularies.values()]
        if plan.unsupervised:
            return network.autoencoder(len(self.usual), categories, plan)
        return network.classifier(len(self.usual), categories, self.steps, plan)

    def begin(self, network, plan: Plan, inputs: Arrays, targets: Arrays) -> None:
        from dltasks.tasks.fraud.network import adapt

        adapt(network, inputs, targets)

    def tensors(self) -> "dict[str, Described]":
        from dltasks.metadata import Described

        numbers = ", ".join(each.name for each in self.recipe.features)
        last = "those of the card's last transactions, the newest last"
        return {
            "numbers": Described(f"of a transaction: {numbers}"),
            "codes": Described(f"places in the vocabularies of {', '.join(self.vocabularies)}; 0 for others"),
            "past": Described(f"the numbers, {last}"),
            "there": Described("1 where there was such a transaction, else 0"),
            "probability": Described("how probable fraud is, 0 to 1"),
            "error": Described("mean squared error of what is rebuilt: the more, the less usual"),
        }

    def learner(self, network, plan: Plan, targets: Arrays):
        from dltasks.tasks.fraud.network import learner

        return learner(network, plan, targets)

    def calibrate(self, network, plan: Plan, inputs: Arrays, examples: Batch) -> "FraudTask":
        from dltasks.tasks.fraud import network as networks

        if self.unsupervised:
            return replace(self, errors=networks.errors(network, inputs), threshold=0.999)
        table, held = examples.raws.table, examples.raws.places
        train = np.flatnonzero(table.splits == "train")
        networks.grow(network, table.numbers[train], table.outcomes.fraud[train], plan.seed)
        networks.calibrate(network, inputs, examples.truths.fraud)
        # Nothing is chosen by the validation part from here on, and frauds are few.
        rows = np.sort(np.concatenate([train, held]))
        networks.grow(network, table.numbers[rows], table.outcomes.fraud[rows], plan.seed)
        return self

    def decode(self, outputs: Arrays) -> FraudAnswers:
        shares = self._shares(outputs)
        count = len(shares)
        nothing = np.full(count, None, object)
        return FraudAnswers(
            shares, shares >= self.threshold, np.zeros(count, int), nothing, nothing, self.unsupervised
        )

    def _shares(self, outputs: Arrays) -> np.ndarray:
        if not self.unsupervised:
            return outputs["probability"].reshape(-1)
        errors = outputs["error"].reshape(-1)
        marks = np.asarray(self.errors)
        return np.interp(errors, marks, np.linspace(0, 1, len(marks)))

    def answer(self, raws: Sequence[Any], run: Run) -> Sequence[Any]:
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

    @property
    def pairs(self) -> int:
        # Frauds are few.
        return 10_000

    def scores(self, answers: FraudAnswers, truths: Sequence[Any]) -> dict[str, Score]:
        """None where all are frauds, or none is."""
        known = truths.fraud[~np.isnan(truths.fraud)]
        return super().scores(answers, truths) if 0 < known.sum() < len(known) else {}

    def classes(self, truths: Sequence[Any]) -> list[str]:
        return [("genuine", "fraud")[int(each == 1)] for each in truths.fraud]

    def agree(self, one: FraudAnswer, other: FraudAnswer) -> bool:
        """Whether both are alerts or neither, with shares that differ by a hundredth, or a tenth of the larger, at most."""
        close = abs(one.share - other.share) <= max(0.01, 0.1 * max(one.share, other.share))
        return one.alert == other.alert and close

    def score(self, answers: FraudAnswers, truths: Sequence[Any]) -> Evaluation:
        from dltasks.tasks.fraud.scores import score

        shares = answers.shares.astype(np.float64)
        told = self.recipe.clock.told_day
        return score(
            shares, truths, self.budget, self.cost_alert, self.threshold, told, not self.unsupervised
        )

    def peers(self, inputs: Arrays, examples: Batch, parts: Parts) -> tuple[Table, ...]:
        from dltasks.tasks.fraud.baselines import compared

        return compared(self, inputs, examples, parts) if self.peered and not self.unsupervised else ()

    def caveats(self) -> str:
        from dltasks.tasks.fraud.words import caveats

        return caveats(self)


TASK = FraudTask
