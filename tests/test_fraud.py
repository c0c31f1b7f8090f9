"""The fraud task: parsing, windows without leaks, splits, scores, explanations, and the state file."""

import gzip
import json
import sqlite3
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from conftest import ROOT, dltasks, train_once

import dltasks as library
from dltasks.data import tables
from dltasks.errors import ConfigError, DataError
from dltasks.evaluation import metrics
from dltasks.tasks.fraud import explanations, split
from dltasks.tasks.fraud.budget import BudgetSimulation, parse_budget, select_alerts
from dltasks.tasks.fraud.config import FraudConfig
from dltasks.tasks.fraud.features import FeaturePipeline
from dltasks.tasks.fraud.labels import Labels
from dltasks.tasks.fraud.layout import Layout, detect_layout
from dltasks.tasks.fraud.parsing import parse_columns
from dltasks.tasks.fraud.task import FraudTask
from dltasks.tasks.fraud.times import DAY, TimeParser, infer_time_parser, parse_duration

SAMPLES = ROOT / "samples" / "fraud"
TRANSACTIONS, TOMORROW = SAMPLES / "transactions.csv", SAMPLES / "tomorrow.csv"
HANDBOOK = ROOT.parent / "shared" / "data" / "fraud_handbook_sim"

HEADER = "id,time,customer,terminal,amount,fraud\n"
COLUMNS = HEADER.strip().split(",")
ROWS = (
    "1,2026-01-01 10:00:00,a,x,10,0\n"
    "2,2026-01-02 09:00:00,a,x,30,1\n"
    "3,2026-01-02 10:00:00,b,x,5,0\n"
    "4,2026-01-20 03:00:00,a,x,80,0\n"
)


@pytest.fixture
def table(tmp_path):
    """Writes a CSV and returns its path."""

    def write(text: str, name: str = "table.csv") -> Path:
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


def make_layout(time: str, **roles) -> Layout:
    defaults = {
        "label": "fraud",
        "amount": "amount",
        "entities": ("customer", "terminal"),
        "card": "customer",
        "amount_by": ("customer",),
        "fraud_rate_by": ("terminal",),
        "numbers": ("amount",),
    }
    return Layout(**defaults | {"time": time} | roles)


def make_pipeline(**fields) -> FeaturePipeline:
    defaults = {"window_lengths": (DAY, 7 * DAY, 30 * DAY), "label_delay": 7 * DAY}
    return FeaturePipeline(make_layout("time", id="id"), TimeParser(date_order="iso"), **defaults | fields)


def compute_features(path, **fields) -> pl.DataFrame:
    """The features of a table by name, in the order of its rows."""
    pipeline = make_pipeline(**fields)
    frame = parse_columns(tables.read_table(path), pipeline.layout, pipeline.time_parser, None, None).frame
    names = [feature.name for feature in pipeline.features]
    return pl.DataFrame(pipeline.compute_features(frame), schema=names)


def test_windows_hold_the_past_of_an_entity_and_this_transaction(table):
    features = compute_features(table(HEADER + ROWS))
    assert features["customer count 1-day"].to_list() == [1, 2, 1, 1]
    assert features["customer count 30-day"].to_list() == [1, 2, 1, 3]
    assert features["customer sum 30-day"].to_list() == [10, 40, 5, 120]
    assert features["customer mean 30-day"].to_list() == [10, 20, 5, 40]
    assert features["customer deviation 7-day"].to_list() == [0, 10, 0, 0]
    assert features["customer ratio 30-day"].to_list() == [1, 3, 1, 4]
    assert features["customer days since last"].to_list() == pytest.approx([30, 23 / 24, 30, 17.75])
    assert features["night"].to_list() == [0, 0, 0, 1]
    assert features["weekend"].to_list() == [0, 0, 0, 0]


def test_a_label_is_used_only_after_its_delay(table):
    features = compute_features(table(HEADER + ROWS))
    assert features["terminal known count 30-day"].to_list() == [0, 0, 0, 3]
    assert features["terminal fraud rate 30-day"].to_list() == pytest.approx([0, 0, 0, 1 / 3])
    assert features["terminal fraud rate 1-day"].to_list() == [0, 0, 0, 0]
    delayed = compute_features(table(HEADER + ROWS), label_delay=19 * DAY)
    assert delayed["terminal known count 30-day"].to_list() == [0, 0, 0, 0]


def test_fraud_streaks_end_with_the_last_known_label(table):
    days = "\n".join(f"{i},2026-01-{i:02} 12:00:00,c{i},x,10,{int(i in (2, 4, 5, 6))}" for i in range(1, 21))
    features = compute_features(table(HEADER + days + "\n"))
    assert features["terminal fraud streak"].to_list() == [0] * 8 + [1, 0, 1, 2, 3] + [0] * 7
    assert features["terminal streak days"][12] == 9 and features["terminal streak days"][0] == 67
    assert features["terminal days since fraud"][13] == 8
    assert features["terminal fraud rate of last 3"][12] == 1
    assert features["terminal fraud rate of last 10"][12] == pytest.approx(4 / 6)


def test_later_transactions_change_no_feature(table):
    random = np.random.default_rng(0)
    frame = pl.read_csv(TRANSACTIONS).head(1500)
    before = compute_features(table(frame.head(1000).select(COLUMNS).write_csv()))
    is_early = pl.int_range(pl.len()) < 1000
    changed = frame.with_columns(
        amount=pl.when(is_early).then("amount").otherwise(pl.lit(random.uniform(1, 900))),
        fraud=pl.when(is_early).then("fraud").otherwise(1),
    )
    after = compute_features(table(changed.select(COLUMNS).write_csv()))
    assert after.head(1000).equals(before)


def test_labels_younger_than_the_delay_change_no_feature(table):
    frame = pl.read_csv(TRANSACTIONS, try_parse_dates=True).head(1500)
    is_young = pl.col("time") > frame["time"].max() - pl.duration(days=7)
    hidden = frame.with_columns(fraud=pl.when(is_young).then(0).otherwise("fraud"))
    expected = compute_features(table(frame.select(COLUMNS).write_csv()))
    assert compute_features(table(hidden.select(COLUMNS).write_csv())).equals(expected)


def test_rows_need_no_order_and_keep_theirs(table):
    frame = pl.read_csv(TRANSACTIONS).head(800).select(COLUMNS)
    order = np.random.default_rng(1).permutation(800)
    shuffled = compute_features(table(frame[order].write_csv()))
    assert shuffled.equals(compute_features(table(frame.write_csv()))[order])


@pytest.mark.skipif(not HANDBOOK.exists(), reason="the Fraud Detection Handbook's data is not in ../shared")
def test_features_equal_those_of_the_handbook():
    """Except for two that share customer and second with another: the handbook's sorting swaps them."""
    frame = pl.read_parquet(HANDBOOK / "transactions.parquet").drop("split", "scenario")
    frame = frame.with_columns(
        pl.lit("t").cast(pl.Categorical).alias(tables.FILE_COLUMN),
        pl.int_range(pl.len()).alias(tables.ROW_COLUMN),
    )
    layout = make_layout("seconds")
    pipeline = FeaturePipeline(layout, TimeParser(origin="2018-04-01"), (DAY, 7 * DAY, 30 * DAY), 7 * DAY)
    typed = parse_columns(frame, layout, pipeline.time_parser, None, None).frame
    names = [feature.name for feature in pipeline.features]
    features = pl.DataFrame(pipeline.compute_features(typed), schema=names).with_columns(frame["tx_id"])
    reference = pl.read_parquet(HANDBOOK / "reference_features_2018-07-25_2018-08-14.parquet")
    joined = reference.join(features, on="tx_id")
    columns = {"tx_during_weekend": "weekend", "tx_during_night": "night"}
    for days in (1, 7, 30):
        columns |= {
            f"customer_id_nb_tx_{days}day_window": f"customer count {days}-day",
            f"customer_id_avg_amount_{days}day_window": f"customer mean {days}-day",
            f"terminal_id_nb_tx_{days}day_window": f"terminal known count {days}-day",
            f"terminal_id_risk_{days}day_window": f"terminal fraud rate {days}-day",
        }
    assert len(columns) == 14 and joined.height == 201_295
    differing = set()
    for expected, name in columns.items():
        differs = (joined[expected].cast(pl.Float64) - joined[name]).abs() > 1e-5 * (
            1 + joined[expected].abs()
        )
        differing |= set(joined["tx_id"].filter(differs).to_list())
    assert len(differing) <= 2


def make_config(**settings) -> FraudConfig:
    return FraudConfig(**{"label_delay": "2d", "windows": "1d,7d"} | settings)


def load(source, config: FraudConfig):
    """The training examples of a source."""
    return FraudTask().load_examples(source, config)


def test_columns_are_guessed_from_names_and_types_and_can_be_named():
    frame = pl.DataFrame(
        {
            "TRANSACTION_ID": [1, 2, 3],
            "TX_DATETIME": [datetime(2026, 1, day) for day in (1, 2, 3)],
            "CUSTOMER_ID": [5, 5, 6],
            "TERMINAL_ID": [7, 8, 7],
            "TX_AMOUNT": [1.0, 2.0, 3.0],
            "merchant_category": ["a", "b", "a"],
            "TX_FRAUD": [0, 1, 0],
        }
    )
    layout = detect_layout(tables.read_table(frame), FraudConfig(), "table")
    assert layout.label == "TX_FRAUD" and layout.time == "TX_DATETIME" and layout.amount == "TX_AMOUNT"
    assert layout.entities == ("CUSTOMER_ID", "TERMINAL_ID") and layout.card == "CUSTOMER_ID"
    assert layout.fraud_rate_by == ("TERMINAL_ID",) and layout.id == "TRANSACTION_ID"
    assert layout.numbers == ("TX_AMOUNT",) and layout.categories == ("merchant_category",)
    config = FraudConfig(entity=("TERMINAL_ID",), number=("CUSTOMER_ID",))
    named = detect_layout(tables.read_table(frame), config, "table")
    assert named.entities == ("TERMINAL_ID",) and "CUSTOMER_ID" in named.numbers


def test_splits_are_by_time_with_the_delay_between():
    config = make_config(
        train_from="2026-01-20",
        train_to="2026-02-08",
        test_from="2026-02-16",
        test_to="2026-02-22",
        label_delay="7d",
    )
    examples = load(TRANSACTIONS, config)
    timestamps = examples.inputs.table.timestamps[examples.inputs.indices]
    days = {name: timestamps[examples.splits == name] // DAY for name in ("train", "val", "test")}
    first = datetime(2026, 1, 20).toordinal() - datetime(1970, 1, 1).toordinal()
    assert days["train"].min() == days["val"].min() == first
    assert max(days["train"].max(), days["val"].max()) == first + 19
    assert days["test"].min() == first + 27 and days["test"].max() == first + 33
    cards = {name: set(examples.labels.card[examples.splits == name]) for name in ("train", "val")}
    assert not cards["train"] & cards["val"]


@pytest.mark.parametrize(("test_from", "is_inflated"), [("2026-02-12", True), ("2026-02-16", False)])
def test_a_note_warns_of_labels_that_were_not_known_when_the_test_begins(test_from, is_inflated):
    config = make_config(train_to="2026-02-08", test_from=test_from, label_delay="7d")
    notes = load(TRANSACTIONS, config).notes
    assert any("the scores are inflated" in note for note in notes) == is_inflated


def test_cards_known_as_defrauded_are_excluded_from_a_test_day():
    parser = TimeParser(origin="1970-01-01")
    timestamps = np.array([0, 1, 9, 16, 17, 17]) * DAY + DAY // 2
    labels = Labels(
        np.float32([1, 0, 1, 0, 0, 0]), timestamps // DAY, np.array([0, 1, 2, 2, 2, 1]), np.zeros(6)
    )
    time_split = split.TimeSplit(0, 5 * DAY, 12 * DAY, 20 * DAY)
    splits, count = split.exclude_known_fraud(
        split.split_by_time(timestamps, time_split), timestamps, labels, parser, time_split, 7 * DAY
    )
    # The fraud of day 9 is known when day 17 begins, but not yet when day 16 does.
    assert splits.tolist() == ["train", "train", "", "test", "", "test"] and count == 1


def test_a_table_without_time_is_split_at_random_with_a_note(table):
    rows = "".join(f"{i},{i % 7},{'ab'[i % 2]},{int(i % 10 == 0)}\n" for i in range(400))
    examples = load(table("size,age,region,claim\n" + rows), FraudConfig(label="claim"))
    is_test = examples.splits == "test"
    assert [int(examples.labels.fraud[is_test].sum()), int(is_test.sum())] == [8, 80]
    assert any("split at random" in note for note in examples.notes)
    layout = examples.inputs.table.task_fields["layout"]
    assert layout["numbers"] == ("size", "age") and layout["entities"] == ()


def test_a_column_that_leaks_the_label_is_left_out(table):
    rows = "".join(f"{i},{2 * int(i % 10 == 0)},{int(i % 10 == 0)}\n" for i in range(300))
    path = table("size,scenario,fraud\n" + rows)
    examples = load(path, FraudConfig())
    assert "scenario" not in examples.inputs.table.task_fields["layout"]["numbers"]
    assert any("'scenario' left out: it predicts the label" in note for note in examples.notes)
    configured = load(path, FraudConfig(number=("scenario",)))
    assert "scenario" in configured.inputs.table.task_fields["layout"]["numbers"]


def test_missing_numbers_have_an_indicator_and_unknown_categories_an_id(table):
    rows = "".join(f"{'' if i % 5 == 0 else i},{'ab'[i % 2]},{int(i % 10 == 3)}\n" for i in range(300))
    task = FraudTask().adapt(load(table("size,region,fraud\n" + rows), FraudConfig()), FraudConfig())
    assert [feature.name for feature in task.pipeline.features] == ["size", "size missing"]
    batch = next(task.read_inputs([table("size,region\n,z\n7,a\n", "unknown.csv")]))
    encoded, _ = task.encode(batch.inputs)
    assert encoded["features"][:, 1].tolist() == [1, 0] and encoded["category_ids"].tolist() == [[0], [1]]
    assert encoded["features"][0, 0] == pytest.approx(task.imputation_values["size"])


@pytest.mark.parametrize(
    ("text", "settings", "message"),
    [
        ("", {}, "empty; "),
        (HEADER, {}, "a header and no rows"),
        (HEADER + ROWS, {"entity": ("custmer",)}, "no column 'custmer'; did you mean 'customer'?"),
        (
            HEADER + ROWS.replace("30,1", "much,1"),
            {"amount": "amount"},
            "row 2: amount is 'much'; expected a number",
        ),
        (HEADER + ROWS.replace("30,1", "inf,1"), {}, "row 2: amount is infinite; expected a number"),
        (HEADER + ROWS.replace("30,1", ",1"), {}, "row 2: amount is missing; expected a number"),
        (HEADER + ROWS.replace("2026-01-02 09:00:00", "soon"), {}, "row 2: time is 'soon'; expected a time"),
        (
            HEADER + ROWS.replace("2026-01-20", "2126-01-20"),
            {},
            "row 4: time is 2126-01-20 03:00:00, which is in the future",
        ),
        (HEADER + ROWS.replace("4,2026", "3,2026"), {}, "row 4: id 3 is already in"),
        (
            HEADER + ROWS.replace(",0\n", ",2\n"),
            {},
            "fraud is 1, 2: name the value that means fraud with --positive-label",
        ),
        (HEADER + ROWS.replace("80,0", "80,2"), {}, "fraud has 3 values (0, 1, 2)"),
        (HEADER + ROWS.replace(",1\n", ",0\n"), {"label_delay": "1d", "test_split": 0.1}, "one class only"),
        (HEADER + ROWS.replace("a,x,30", 'a,"x,30'), {}, "row 2: a quote is not closed"),
        (HEADER + ROWS.replace("a,x,30", "a,x,y,30"), {}, "row 2: 7 values where the header has 6"),
        (HEADER.replace("fraud", "what") + ROWS, {}, "no column looks like a fraud label"),
        (
            "time,fraud\n03/04/2026,0\n05/06/2026,1\n",
            {},
            "--date-order day-first or --date-order month-first",
        ),
        (HEADER + ROWS, {"train_from": "2027-01-01"}, "no time is left to train on"),
    ],
)
def test_an_unusable_table_is_an_error_of_one_line(table, text, settings, message):
    with pytest.raises((DataError, ConfigError)) as error:
        load(table(text), FraudConfig(**settings))
    assert message in str(error.value) and "\n" not in str(error.value)


def test_tables_of_many_files_and_formats_are_one(tmp_path):
    frame = pl.read_csv(TRANSACTIONS)
    frame.head(10).write_csv(tmp_path / "a.csv")
    frame[10:20].write_parquet(tmp_path / "b.parquet")
    (tmp_path / "c.csv.gz").write_bytes(gzip.compress(frame[20:30].write_csv(separator=";").encode()))
    result = tables.read_table(tmp_path)
    assert result.drop(tables.FILE_COLUMN, tables.ROW_COLUMN).equals(frame.head(30))
    assert result[tables.ROW_COLUMN].to_list() == [*range(1, 11)] * 3
    assert result[tables.FILE_COLUMN][25].endswith("c.csv.gz")
    assert tables.read_table(str(tmp_path / "*.csv")).height == 10


@pytest.mark.parametrize(
    "values",
    [
        ["2018-04-01 10:00:00", "2018-04-02T23:00:00.5"],
        ["2018-04-01T10:00:00Z", "2018-04-02 23:00:00+02:00"],
        ["01/04/2018 10:00", "13/04/2018 10:00"],
        ["04/01/2018 10:00 AM", "04/13/2018 01:00 PM"],
        [1_522_576_800, 1_522_576_801],
        [1_522_576_800_000, 1_522_576_801_000],
    ],
)
def test_times_are_parsed_in_many_formats(values):
    column = pl.Series("time", values)
    parser = infer_time_parser(column, FraudConfig(), "table")
    timestamps = parser.timestamps(column)
    assert parser.has_dates and timestamps.null_count() == 0
    assert parser.local_times(timestamps)[0] == datetime(2018, 4, 1, 10)


def test_a_trained_model_takes_dates_in_another_order(table):
    task = FraudTask().adapt(load(TRANSACTIONS, make_config()), make_config())
    frame = pl.read_csv(TOMORROW, try_parse_dates=True)
    reordered = frame.with_columns(pl.col("time").dt.strftime("%d/%m/%Y %H:%M:%S")).write_csv()
    expected, timestamps = (
        next(task.read_inputs([path])).inputs.table.timestamps for path in (TOMORROW, table(reordered))
    )
    assert timestamps.tolist() == expected.tolist()


def test_a_time_in_numbers_without_an_origin_has_nights_and_no_weekends(table):
    rows = "".join(f"{3600 * i},{i % 9},{int(i % 10 == 0)}\n" for i in range(24 * 60))
    examples = load(table("seconds,amount,fraud\n" + rows), FraudConfig())
    task = FraudTask().adapt(examples, FraudConfig())
    assert [feature.name for feature in task.pipeline.features] == ["amount", "night"]
    assert examples.inputs.table.features[:9, 1].tolist() == [1, 1, 1, 1, 1, 1, 1, 0, 0]
    assert any("is taken for midnight" in note for note in examples.notes)


def test_a_time_without_a_zone_among_others_is_named(table):
    rows = ROWS.replace("2026-01-02 09:00:00", "2026-01-02T09:00:00Z")
    with pytest.raises(DataError, match="row 1: time is .*; expected a time with a zone, as in other rows"):
        load(table(HEADER + rows), FraudConfig())


def test_nights_are_those_of_the_time_zone():
    column = pl.Series(["2018-07-01T23:30:00Z"])
    parser = infer_time_parser(column, FraudConfig(timezone="Europe/Brussels"), "table")
    assert parser.local_times(parser.timestamps(column))[0] == datetime(2018, 7, 2, 1, 30)
    day = int(parser.day_numbers(np.array([parser.parse_timestamp("2018-07-02")]))[0])
    assert parser.format_day(day) == "2018-07-02"


@pytest.mark.parametrize(
    ("text", "length"), [("7d", 7 * DAY), ("12h", DAY // 2), ("90 min", DAY // 16), ("1w", 7 * DAY)]
)
def test_durations_are_parsed(text, length):
    assert parse_duration(text, "--label-delay") == length


def test_average_precision_and_roc_auc_of_ties():
    scores, is_positive = np.array([0.9, 0.8, 0.8, 0.3]), np.array([True, False, True, False])
    assert metrics.average_precision(scores, is_positive) == pytest.approx(0.5 + 0.5 * 2 / 3)
    assert metrics.roc_auc(scores, is_positive) == pytest.approx(0.875)
    counts = [1, 2, 3, 1]
    repeated = metrics.average_precision(np.repeat(scores, counts), np.repeat(is_positive, counts))
    weighted = metrics.average_precision(scores, is_positive, np.array(counts, float))
    assert weighted == pytest.approx(repeated)


def test_scores_equal_those_of_scikit_learn():
    sklearn = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(0)
    is_positive = random.random(2000) < 0.05
    scores = np.round(random.random(2000) + 0.5 * is_positive, 2)
    expected = sklearn.average_precision_score(is_positive, scores)
    assert metrics.average_precision(scores, is_positive) == pytest.approx(expected)
    assert metrics.roc_auc(scores, is_positive) == pytest.approx(sklearn.roc_auc_score(is_positive, scores))


def test_a_budget_checks_the_riskiest_cards_of_a_day_and_no_detected_card_again():
    labels = Labels(
        np.float32([1, 0, 0, 1, 1]),
        np.array([0, 0, 0, 1, 1]),
        np.array([0, 1, 2, 0, 3]),
        np.array([10.0, 1, 1, 7, 20]),
    )
    first, second = BudgetSimulation(np.array([0.9, 0.8, 0.1, 0.95, 0.2]), labels).simulate(1)
    assert (first.detected, first.saved, first.checked) == (1, 10, 1)
    # Card 0 was detected on the first day: the second day's check is card 3.
    assert (second.cards, second.detected, second.saved) == (1, 1, 20)


def test_alerts_within_a_budget_are_the_riskiest_transactions_of_its_cards():
    rows = load(TRANSACTIONS, make_config()).inputs
    risks = np.random.default_rng(0).random(len(rows))
    alerts = select_alerts(rows, risks, 2, "day")
    days, cards = rows.labels.day, rows.labels.card
    for day in np.unique(days)[:5]:
        on_day = days == day
        highest = sorted(risks[on_day & (cards == card)].max() for card in np.unique(cards[on_day]))
        assert sorted(risks[alerts & on_day]) == highest[-2:]


@pytest.mark.parametrize(
    ("text", "budget"),
    [("100/day", (100, "day")), ("5 per week", (5, "week")), ("7/h", (7, "hour"))],
)
def test_budgets_are_parsed(text, budget):
    assert parse_budget(text) == budget


def test_a_budget_that_is_not_a_number_is_refused():
    with pytest.raises(ConfigError, match="100/day"):
        parse_budget("many")


def test_the_budget_of_the_config_is_that_of_the_task():
    assert FraudTask().adapt(load(TRANSACTIONS, make_config()), make_config()).budget == 100


@pytest.fixture(scope="session")
def trained_fraud(tmp_path_factory):
    """A bundle trained on the sample's transactions, long enough to be useful."""
    return train_once("fraud", "cards", tmp_path_factory, epochs=12, budget=5).bundle


def test_contributions_add_up_and_reasons_are_in_plain_words(trained_fraud):
    model = library.load(trained_fraud)
    rows = model.task.load_examples(TRANSACTIONS).inputs
    inputs, _ = model.task.encode(rows[-400:])
    groups = explanations.feature_groups(model.task.pipeline, False)
    baseline = np.float32(model.task.baseline)

    def predict(inputs):
        return model.runtime.run(inputs)["probability"]

    contributions = explanations.contributions(groups, baseline, inputs, predict)
    start = explanations.first_row(explanations.baseline_inputs(inputs, baseline))
    raised = explanations.log_odds(predict(inputs)) - explanations.log_odds(predict(start))
    assert contributions.sum(axis=1) == pytest.approx(raised, abs=1e-4)
    alerts = [prediction for prediction in model.predict(TRANSACTIONS) if prediction.alert]
    reasons = [reason for prediction in alerts for reason in prediction.reasons]
    assert any("times the customer's 7-day mean" in reason for reason in reasons)
    assert any("of this terminal" in reason or "at this terminal" in reason for reason in reasons)


@pytest.mark.parametrize("amount_by", [("customer",), ("terminal",), ("customer", "terminal")])
def test_each_group_of_features_has_a_phrase(amount_by):
    layout = make_layout("time", amount_by=amount_by)
    pipeline = FeaturePipeline(layout, TimeParser(date_order="iso"), (DAY, 7 * DAY), 7 * DAY)
    groups = {feature.group for feature in pipeline.features}
    assert groups == {feature.group for feature in pipeline.features if feature.phrase}


def detect(*arguments, **options):
    return dltasks("detect-fraud", *arguments, **options)


def json_lines(result) -> list[dict]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_detect_fraud_scores_each_row_in_json(trained_fraud):
    result = detect(
        TOMORROW, "--model", trained_fraud, "--history", TRANSACTIONS, "--json", "--budget", "3/day"
    )
    assert result.returncode == 0, result.stderr
    rows = json_lines(result)
    assert [row["row"] for row in rows] == list(range(1, 108)) and rows[0]["input"] == str(TOMORROW)
    assert sum(row["alert"] for row in rows) == 3 and rows[0]["id"] == "T05923"
    assert all(0 <= row["probability"] <= 1 and len(row["reasons"]) <= 3 for row in rows)
    assert result.stderr.splitlines()[-1] == "107 transactions, 3 alerts"


def test_detect_fraud_prints_a_line_for_each_alert(trained_fraud):
    result = detect(TOMORROW, "-m", trained_fraud, "--history", TRANSACTIONS, "--alerts", "--budget", "3/day")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert len(lines) == 3
    assert all(line.startswith(f"{TOMORROW}: row ") and " (alert" in line for line in lines)


def test_the_past_of_a_card_counts(trained_fraud):
    alone = json_lines(detect(TOMORROW, "--model", trained_fraud, "--json"))
    after = json_lines(detect(TOMORROW, "--model", trained_fraud, "--history", TRANSACTIONS, "--json"))
    assert [row["probability"] for row in alone] != [row["probability"] for row in after]


@pytest.mark.parametrize("name", ["scored.parquet", "scored.csv"])
def test_a_table_with_the_predictions_is_written(trained_fraud, tmp_path, name):
    result = detect(TOMORROW, "-m", trained_fraud, "--history", TRANSACTIONS, "-o", tmp_path / name)
    assert result.returncode == 0 and result.stdout == "", result.stderr
    read = pl.read_parquet if name.endswith("parquet") else pl.read_csv
    scored, original = read(tmp_path / name), pl.read_csv(TOMORROW)
    added = ["probability", "alert", "reason_1", "reason_2", "reason_3"]
    assert scored.columns == [*original.columns, *added]
    assert scored["id"].to_list() == original["id"].to_list()


def test_unusable_rows_are_named_and_the_others_are_scored(trained_fraud, table):
    lines = TOMORROW.read_text().splitlines()
    lines[3] = lines[3].rpartition(",")[0] + ",much"
    lines[5] = lines[5].replace("2026-03-16", "2226-03-16")
    result = detect(table("\n".join(lines)), "--model", trained_fraud, "--json")
    assert result.returncode == 1
    rows = json_lines(result)
    assert [row["row"] for row in rows if "error" in row] == [3, 5] and len(rows) == 107
    assert "row 3: amount is 'much'; expected a number" in result.stderr
    assert "which is in the future" in result.stderr


def test_a_number_too_large_costs_only_its_row(trained_fraud, table):
    lines = TOMORROW.read_text().splitlines(keepends=True)
    lines[4] = lines[4].rsplit(",", 1)[0] + ",1e300\n"
    column = lines[0].strip().split(",")[-1]
    result = detect(table("".join(lines)), "--model", trained_fraud, "--json")
    assert result.returncode == 1 and f"row 4: {column} is " in result.stderr
    assert len(result.stdout.splitlines()) == len(lines) - 1


def test_a_table_without_a_column_of_the_training_is_refused(trained_fraud, table):
    frame = pl.read_csv(TOMORROW).rename({"terminal": "terminals"})
    result = detect(table(frame.write_csv()), "--model", trained_fraud)
    assert result.returncode == 1 and "no column 'terminal'; did you mean 'terminals'?" in result.stderr


def test_a_state_replaces_the_history(trained_fraud, tmp_path):
    frame = pl.read_csv(TRANSACTIONS)
    state = tmp_path / "state.sqlite"
    for name, part in {"one.csv": frame.head(4000), "two.csv": frame[4000:]}.items():
        part.write_csv(tmp_path / name)
        result = detect(
            tmp_path / name, "--model", trained_fraud, "--state", state, "--no-reasons", "--alerts"
        )
        assert result.returncode == 0, result.stderr
    arguments = ("--model", trained_fraud, "--no-reasons", "--json")
    first = json_lines(detect(TOMORROW, *arguments, "--state", state))
    again = json_lines(detect(TOMORROW, *arguments, "--state", state))
    expected = json_lines(detect(TOMORROW, *arguments, "--history", TRANSACTIONS))
    assert first == again == expected
    with sqlite3.connect(state) as database:
        assert database.execute("select count(*) from files").fetchone() == (3,)
        rows, distinct = database.execute("select count(*), count(distinct id) from rows").fetchone()
    assert 2000 < rows == distinct < 6029


def test_a_failure_between_files_loses_and_repeats_nothing(trained_fraud, tmp_path):
    state = tmp_path / "state.sqlite"
    arguments = ("--model", trained_fraud, "--state", state, "--no-reasons")
    assert detect(TRANSACTIONS, *arguments, "--alerts").returncode == 0
    before = state.read_bytes()
    failed = detect(TOMORROW, *arguments, "--out", tmp_path / "state.sqlite" / "out.csv")
    assert failed.returncode == 1
    assert state.read_bytes() == before
    assert detect(TOMORROW, *arguments, "--json").returncode == 0


def test_labels_that_became_known_update_the_state(trained_fraud, tmp_path, table):
    state = tmp_path / "state.sqlite"
    frame = pl.read_csv(TRANSACTIONS)
    frame.drop("fraud").write_csv(tmp_path / "unlabeled.csv")
    arguments = ("--model", trained_fraud, "--state", state, "--no-reasons")
    assert detect(tmp_path / "unlabeled.csv", *arguments, "--alerts").returncode == 0
    labels = table(frame.filter(pl.col("fraud") == 1).select("id", "fraud").write_csv(), "labels.csv")
    result = detect(TOMORROW, *arguments, "--labels", labels, "--json")
    assert result.returncode == 0 and f"transactions of {state} now have a label" in result.stderr
    expected = detect(TOMORROW, "--model", trained_fraud, "--history", TRANSACTIONS, "--no-reasons", "--json")
    assert json_lines(result) == json_lines(expected)


def test_a_file_that_is_not_a_state_is_refused(trained_fraud, tmp_path):
    (tmp_path / "state").write_text("not a database, " * 100)
    result = detect(TOMORROW, "--model", trained_fraud, "--state", tmp_path / "state")
    assert result.returncode == 1
    assert "file is not a database; expected a file written by --state" in result.stderr


def test_a_frame_is_a_table_too(trained_fraud):
    model = library.load(trained_fraud)
    assert model.predict(pl.read_csv(TOMORROW)) == model.predict(TOMORROW)


def test_transactions_at_the_same_time_are_in_the_order_of_their_rows(table):
    rows = "".join(f"{i},2026-01-01 10:00:00,a,x,{i},0\n" for i in range(1, 5))
    assert compute_features(table(HEADER + rows))["customer count 1-day"].to_list() == [1, 2, 3, 4]


def test_a_network_over_the_last_transactions_trains_and_converts(tmp_path):
    model = library.train(
        "fraud",
        TRANSACTIONS,
        tmp_path / "run",
        network="sequence",
        history_length=3,
        epochs=1,
        windows="1d",
        baselines=False,
    )
    width = len(model.task.baseline)
    shapes = {name: tuple(tensor["shape_signature"]) for name, tensor in model.runtime.inputs.items()}
    assert shapes == {
        "features": (-1, width),
        "category_ids": (-1, 1),
        "history": (-1, 3, width),
        "history_mask": (-1, 3),
    }
    rows = model.task.load_examples(TRANSACTIONS).inputs
    first = rows.take(np.argsort(rows.table.timestamps)[:1])
    assert model.task.encode(first)[0]["history_mask"].tolist() == [[0, 0, 1]]
    assert 0 <= model.predict(first)[0].probability <= 1


def test_a_network_without_labels_scores_anomalies(tmp_path, table):
    path = table(pl.read_csv(TRANSACTIONS).drop("fraud").write_csv())
    model = library.train("fraud", path, tmp_path / "run", unsupervised=True, epochs=5, windows="1d,7d")
    assert model.manifest["evaluation"]["scores"] == {}
    unusual = pl.read_csv(TOMORROW).with_columns(amount=99_999.0).head(1)
    predictions = model.predict(pl.concat([pl.read_csv(path), unusual]))
    last = predictions[-1]
    assert last.probability is None and last.alert and last.anomaly_score == 1
    assert any("amount" in reason for reason in last.reasons)
    assert last.to_json()["anomaly_score"] == 1
    assert np.mean([prediction.alert for prediction in predictions]) < 0.02


def test_stacking_finds_the_slopes_and_keeps_their_sign():
    from dltasks.tasks.fraud.calibration import fit_stacking

    random = np.random.default_rng(0)
    odds = random.normal(-3, 2, (50_000, 2))
    fraud = random.random(50_000) < 1 / (1 + np.exp(-(odds @ [0.3, 0.5] - 1)))
    slopes, offset = fit_stacking(odds, fraud, (0.2, 0.8))
    assert [*slopes, offset] == pytest.approx([0.3, 0.5, -1], abs=0.05)
    assert (fit_stacking(odds[:50], np.zeros(50), (0.2, 0.8))[0] > 0).all()


def make_examples(count: int):
    """Features and labels: fraud where the first two features are high."""
    features = np.random.default_rng(0).lognormal(size=(count, 6)).astype(np.float32)
    return features, (features[:, 0] > 3) & (features[:, 1] > 1.5)


def test_trees_find_what_takes_two_splits():
    from dltasks.tasks.fraud.trees import grow_trees

    features, is_fraud = make_examples(4000)
    trees, again = (grow_trees(features, is_fraud, 20, 0) for _ in range(2))
    assert all(np.array_equal(vars(trees)[name], vars(again)[name]) for name in vars(trees))
    columns = trees.columns[:2, np.argmax(np.ptp(trees.values, axis=1))]
    assert sorted(columns) == [0, 1]


def test_the_layer_predicts_as_its_trees_do():
    import keras

    from dltasks.export.convert import to_tflite
    from dltasks.litert.runtime import Runtime
    from dltasks.tasks.fraud.trees import BoostedTrees

    features, is_fraud = make_examples(1000)
    inputs = keras.Input((6,), name="features")
    layer = BoostedTrees(30)
    network = keras.Model([inputs], {"odds": layer(inputs)})
    layer.adapt(features, is_fraud, 0)
    columns, thresholds, values = (np.asarray(weights) for weights in layer.weights)
    # Some lie on a threshold, which is not above it.
    features[:30, columns[0]] = thresholds[0]
    expected = np.zeros(1000)
    for tree in range(30):
        is_above = features[:, columns[:, tree]] > thresholds[:, tree]
        expected += values[tree, is_above @ [16, 8, 4, 2, 1]]
    assert np.asarray(layer(features))[:, 0] == pytest.approx(expected, abs=1e-5)
    odds = Runtime(to_tflite(network, "none", {})).run({"features": features})["odds"][:, 0]
    assert odds == pytest.approx(expected, abs=1e-5)


def test_trees_on_constant_features_predict_the_fraud_rate():
    from dltasks.tasks.fraud.trees import grow_trees

    trees = grow_trees(np.ones((30, 2), np.float32), np.arange(30) < 3, 100, 0)
    assert (trees.values == trees.values[:, :1]).all()
    odds = trees.values[:, 0].sum()
    assert 1 / (1 + np.exp(-odds)) == pytest.approx(0.1, abs=0.1)


def test_a_network_without_trees_and_a_small_table_train(tmp_path, table):
    rows = "".join(f"{i},{i % 7},{int(i % 5 == 0)}\n" for i in range(60))
    for trees in (0, 10):
        model = library.train(
            "fraud",
            table("size,age,claim\n" + rows),
            tmp_path / str(trees),
            label="claim",
            trees=trees,
            epochs=2,
            baselines=False,
        )
        assert 0 <= model.predict(pl.DataFrame({"size": [3], "age": [2]}))[0].probability <= 1


def test_a_table_of_categories_only_trains_and_predicts(tmp_path, table):
    rows = "".join(f"{'red' if i % 5 == 0 else 'blue'},{'ab'[i % 2]},{int(i % 5 == 0)}\n" for i in range(200))
    model = library.train(
        "fraud",
        table("color,shape,claim\n" + rows),
        tmp_path / "run",
        label="claim",
        category=["color"],
        epochs=30,
    )
    assert set(model.runtime.inputs) == {"category_ids"}
    red, blue = model.predict(pl.DataFrame({"color": ["red", "blue"], "shape": ["a", "a"]}))
    assert red.probability > blue.probability
    assert red.reasons == ("color is red",)


def test_a_table_with_nothing_to_learn_from_is_refused(tmp_path, table):
    constant = table("shape,claim\n" + "".join(f"a,{i % 2}\n" for i in range(60)))
    with pytest.raises(DataError, match="no column to learn from .'shape' left out"):
        library.train("fraud", constant, tmp_path / "run", label="claim")
    categories = table("shape,claim\n" + "".join(f"{'ab'[i % 2]},{i % 3 % 2}\n" for i in range(60)))
    with pytest.raises(DataError, match="--unsupervised reconstructs numbers"):
        library.train("fraud", categories, tmp_path / "run", label="claim", unsupervised=True)


def test_a_card_may_have_a_fraud_rate_too():
    pipeline = make_pipeline()
    pipeline = replace(pipeline, layout=replace(pipeline.layout, fraud_rate_by=("customer", "terminal")))
    raw = tables.read_table(TRANSACTIONS)
    frame = parse_columns(raw, pipeline.layout, pipeline.time_parser, None, None).frame
    assert pipeline.compute_features(frame).shape == (frame.height, len(pipeline.features))


def test_a_batch_is_predicted_as_its_rows_alone(trained_fraud):
    model = library.load(trained_fraud)
    run, width = model.runtime.run, len(model.task.baseline)
    inputs = {
        "features": np.random.default_rng(0).normal(size=(700, width)).astype(np.float32),
        "category_ids": np.zeros((700, 1), np.int32),
    }
    positions = [0, 350, 699]
    alone = [run({name: array[i : i + 1] for name, array in inputs.items()}) for i in positions]
    together = run(inputs)["probability"]
    assert together.shape == (700, 1)
    expected = [outputs["probability"].item() for outputs in alone]
    assert together[positions, 0] == pytest.approx(expected, 1e-5)


def test_pieces_reach_from_edge_to_edge_with_steps_at_the_inner_ones():
    from dltasks.tasks.fraud.layers import pieces_between

    starts, widths = pieces_between(np.array([0.0, 100.0, 300.0]))
    assert starts.tolist() == [0, 100, 98.5] and widths.tolist() == [100, 200, 3]


def test_a_table_without_ids_is_scored(trained_fraud, table):
    path = table(pl.read_csv(TOMORROW).drop("id").write_csv())
    rows = json_lines(detect(path, "--model", trained_fraud, "--json", "--no-reasons"))
    assert len(rows) == 107 and "id" not in rows[0]


def test_a_file_among_several_that_lacks_a_key_column_is_named(trained_fraud, tmp_path):
    frame = pl.read_csv(TOMORROW)
    frame.head(50).write_csv(tmp_path / "a.csv")
    frame[50:].drop("terminal").write_csv(tmp_path / "b.csv")
    result = detect(tmp_path, "--model", trained_fraud)
    assert result.returncode == 1 and "b.csv: column 'terminal' is missing or empty" in result.stderr


def test_a_row_without_a_prediction_stays_in_the_written_table(trained_fraud, table, tmp_path):
    lines = TOMORROW.read_text().splitlines()
    lines[3] = lines[3].rpartition(",")[0] + ",much"
    result = detect(table("\n".join(lines)), "--model", trained_fraud, "--out", tmp_path / "scored.csv")
    scored = pl.read_csv(tmp_path / "scored.csv")
    assert result.returncode == 1 and scored["id"].to_list() == pl.read_csv(TOMORROW)["id"].to_list()
    assert scored["probability"].is_null().arg_true().to_list() == [2]


def test_a_history_can_start_a_state(trained_fraud, tmp_path):
    arguments = ("--model", trained_fraud, "--no-reasons", "--json", "--history", TRANSACTIONS)
    with_state = json_lines(detect(TOMORROW, *arguments, "--state", tmp_path / "state.sqlite"))
    assert with_state == json_lines(detect(TOMORROW, *arguments))


def test_the_database_of_another_program_is_left_alone(trained_fraud, tmp_path):
    path = tmp_path / "other.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("create table mine (a)")
    database.close()
    before = path.read_bytes()
    result = detect(TOMORROW, "--model", trained_fraud, "--state", path)
    assert result.returncode == 1 and "the database of another program" in result.stderr
    assert path.read_bytes() == before


def test_labels_of_unknown_transactions_are_refused(trained_fraud, tmp_path, table):
    labels = table("id,fraud\nnobody,1\n")
    result = detect(TOMORROW, "--model", trained_fraud, "--state", tmp_path / "state", "--labels", labels)
    assert result.returncode == 1 and "none of its 1 labeled ids ('nobody' ...) is in" in result.stderr


def test_the_table_to_be_scored_is_not_overwritten(trained_fraud, table):
    path = table(TOMORROW.read_text())
    result = detect(path, "--model", trained_fraud, "--out", path)
    assert result.returncode == 2 and path.read_text() == TOMORROW.read_text()


@pytest.mark.parametrize("source", [None, 5, np.zeros(3), object()])
def test_a_source_that_is_not_a_table_is_refused(trained_fraud, source):
    with pytest.raises(DataError, match="not a table; .* a path, a frame"):
        library.load(trained_fraud).predict(source)


def test_a_row_may_be_a_dict(trained_fraud):
    model, row = library.load(trained_fraud), pl.read_csv(TOMORROW).row(0, named=True)
    assert model.predict(row)[0].probability == model.predict(pl.read_csv(TOMORROW).head(1))[0].probability
