"""Transactions: tables as people have them, windows without leaks, division by time, scores, reasons, the state on disk."""

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
from dltasks.tasks.fraud import budget, reading, reasons, split, times
from dltasks.tasks.fraud.config import FraudConfig
from dltasks.tasks.fraud.features import Recipe
from dltasks.tasks.fraud.layout import Layout, guessed
from dltasks.tasks.fraud.metrics import Checking, Outcomes
from dltasks.tasks.fraud.task import FraudTask
from dltasks.tasks.fraud.times import DAY, Clock, clock_of

SAMPLES = ROOT / "samples" / "fraud"
TRANSACTIONS, TOMORROW = SAMPLES / "transactions.csv", SAMPLES / "tomorrow.csv"
HANDBOOK = ROOT.parent / "shared" / "data" / "fraud_handbook_sim"

HEADER = "id,time,customer,terminal,amount,fraud\n"
ROWS = (
    "1,2026-01-01 10:00:00,a,x,10,0\n"
    "2,2026-01-02 09:00:00,a,x,30,1\n"
    "3,2026-01-02 10:00:00,b,x,5,0\n"
    "4,2026-01-20 03:00:00,a,x,80,0\n"
)


@pytest.fixture
def table(tmp_path):
    """Writes a CSV and gives its path."""

    def write(text: str, name: str = "table.csv") -> Path:
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


def layout_of(time: str, **more) -> Layout:
    customer, terminal = ("customer",), ("terminal",)
    return Layout(
        label="fraud",
        time=time,
        amount="amount",
        entities=customer + terminal,
        card="customer",
        amount_by=customer,
        fraud_rate_by=terminal,
        numbers=("amount",),
        **more,
    )


def recipe(**changed) -> Recipe:
    layout = layout_of("time", id="id")
    given = {"lengths": (DAY, 7 * DAY, 30 * DAY), "label_delay": 7 * DAY} | changed
    return Recipe(layout, Clock(date_order="iso"), **given)


def features(path, **changed) -> pl.DataFrame:
    """The features of a table by name, in the order of its rows."""
    made = recipe(**changed)
    frame = reading.typed(tables.read_table(path), made.layout, made.clock, None, None).frame
    return pl.DataFrame(made.numbers(frame), schema=[each.name for each in made.features])


def test_windows_hold_the_past_of_an_entity_and_this_transaction(table):
    found = features(table(HEADER + ROWS))
    assert found["customer count 1-day"].to_list() == [1, 2, 1, 1]
    assert found["customer count 30-day"].to_list() == [1, 2, 1, 3]
    assert found["customer sum 30-day"].to_list() == [10, 40, 5, 120]
    assert found["customer mean 30-day"].to_list() == [10, 20, 5, 40]
    assert found["customer deviation 7-day"].to_list() == [0, 10, 0, 0]
    assert found["customer ratio 30-day"].to_list() == [1, 3, 1, 4]
    assert found["customer since"].to_list() == pytest.approx([30, 23 / 24, 30, 17.75])
    assert found["night"].to_list() == [0, 0, 0, 1]
    assert found["weekend"].to_list() == [0, 0, 0, 0]


def test_a_label_is_used_only_after_its_delay(table):
    found = features(table(HEADER + ROWS))
    assert found["terminal known 30-day"].to_list() == [0, 0, 0, 3]
    assert found["terminal rate 30-day"].to_list() == pytest.approx([0, 0, 0, 1 / 3])
    assert found["terminal rate 1-day"].to_list() == [0, 0, 0, 0]
    late = features(table(HEADER + ROWS), label_delay=19 * DAY)
    assert late["terminal known 30-day"].to_list() == [0, 0, 0, 0]


def test_runs_of_frauds_are_told_of_what_was_known_last(table):
    days = "\n".join(f"{i},2026-01-{i:02} 12:00:00,c{i},x,10,{int(i in (2, 4, 5, 6))}" for i in range(1, 21))
    found = features(table(HEADER + days + "\n"))
    assert found["terminal run"].to_list() == [0] * 8 + [1, 0, 1, 2, 3] + [0] * 7
    assert found["terminal run days"][12] == 9 and found["terminal run days"][0] == 67
    assert found["terminal fraud days"][13] == 8
    assert found["terminal last 3"][12] == 1 and found["terminal last 10"][12] == pytest.approx(4 / 6)


def test_what_comes_later_changes_no_feature(table):
    random = np.random.default_rng(0)
    frame = pl.read_csv(TRANSACTIONS).head(1500)
    before = features(table(frame.head(1000).select(HEADER.strip().split(",")).write_csv()))
    later = frame.with_columns(
        amount=pl.when(pl.int_range(pl.len()) < 1000)
        .then("amount")
        .otherwise(pl.lit(random.uniform(1, 900))),
        fraud=pl.when(pl.int_range(pl.len()) < 1000).then("fraud").otherwise(1),
    )
    after = features(table(later.select(HEADER.strip().split(",")).write_csv()))
    assert after.head(1000).equals(before)


def test_labels_younger_than_the_delay_change_no_feature(table):
    frame = pl.read_csv(TRANSACTIONS, try_parse_dates=True).head(1500)
    last = frame["time"].max()
    young = pl.col("time") > last - pl.duration(days=7)
    columns = HEADER.strip().split(",")
    whole, hidden = (
        frame.select(columns),
        frame.with_columns(fraud=pl.when(young).then(0).otherwise("fraud")).select(columns),
    )
    assert features(table(whole.write_csv())).equals(features(table(hidden.write_csv())))


def test_rows_need_no_order_and_keep_theirs(table):
    frame = pl.read_csv(TRANSACTIONS).head(800).select(HEADER.strip().split(","))
    order = np.random.default_rng(1).permutation(800)
    assert features(table(frame[order].write_csv())).equals(features(table(frame.write_csv()))[order])


@pytest.mark.skipif(
    not HANDBOOK.exists(), reason="there is no ../shared with the Fraud Detection Handbook's data"
)
def test_features_equal_those_of_the_handbook():
    """But for two transactions, which share customer and second with another: the handbook's sorting turns them around."""
    frame = pl.read_parquet(HANDBOOK / "transactions.parquet").drop("split", "scenario")
    frame = frame.with_columns(
        pl.lit("t").cast(pl.Categorical).alias(tables.FILE_COLUMN),
        pl.int_range(pl.len()).alias(tables.ROW_COLUMN),
    )
    layout = layout_of("seconds")
    made = Recipe(layout, Clock(origin="2018-04-01"), (DAY, 7 * DAY, 30 * DAY), 7 * DAY)
    numbers = made.numbers(reading.typed(frame, layout, made.clock, None, None).frame)
    ours = pl.DataFrame(numbers, schema=[each.name for each in made.features]).with_columns(frame["tx_id"])
    theirs = pl.read_parquet(HANDBOOK / "reference_features_2018-07-25_2018-08-14.parquet").join(
        ours, on="tx_id"
    )
    names = {"tx_during_weekend": "weekend", "tx_during_night": "night"}
    for days in (1, 7, 30):
        names |= {
            f"customer_id_nb_tx_{days}day_window": f"customer count {days}-day",
            f"customer_id_avg_amount_{days}day_window": f"customer mean {days}-day",
            f"terminal_id_nb_tx_{days}day_window": f"terminal known {days}-day",
            f"terminal_id_risk_{days}day_window": f"terminal rate {days}-day",
        }
    assert len(names) == 14 and theirs.height == 201_295
    wrong = set()
    for one, other in names.items():
        differ = (theirs[one].cast(pl.Float64) - theirs[other]).abs() > 1e-5 * (1 + theirs[one].abs())
        wrong |= set(theirs["tx_id"].filter(differ).to_list())
    assert len(wrong) <= 2


def config(**settings) -> FraudConfig:
    return FraudConfig(**{"label_delay": "2d", "windows": "1d,7d"} | settings)


def test_columns_are_guessed_from_names_and_types_and_can_be_named():
    frame = pl.DataFrame(
        {
            "TRANSACTION_ID": [1, 2, 3],
            "TX_DATETIME": [datetime(2026, 1, each) for each in (1, 2, 3)],
            "CUSTOMER_ID": [5, 5, 6],
            "TERMINAL_ID": [7, 8, 7],
            "TX_AMOUNT": [1.0, 2.0, 3.0],
            "merchant_category": ["a", "b", "a"],
            "TX_FRAUD": [0, 1, 0],
        }
    )
    found = guessed(tables.read_table(frame), FraudConfig(), "table")
    assert found.label == "TX_FRAUD" and found.time == "TX_DATETIME" and found.amount == "TX_AMOUNT"
    assert found.entities == ("CUSTOMER_ID", "TERMINAL_ID") and found.card == "CUSTOMER_ID"
    assert found.fraud_rate_by == ("TERMINAL_ID",) and found.id == "TRANSACTION_ID"
    assert found.numbers == ("TX_AMOUNT",) and found.categories == ("merchant_category",)
    named = guessed(
        tables.read_table(frame), FraudConfig(entity=("TERMINAL_ID",), number=("CUSTOMER_ID",)), "table"
    )
    assert named.entities == ("TERMINAL_ID",) and "CUSTOMER_ID" in named.numbers


def test_parts_are_divided_by_time_with_the_delay_between():
    given = config(
        train_from="2026-01-20",
        train_to="2026-02-08",
        test_from="2026-02-16",
        test_to="2026-02-22",
        label_delay="7d",
    )
    found = FraudTask().load_examples(TRANSACTIONS, given)
    moments = found.inputs.table.moments[found.inputs.places]
    days = {name: moments[found.splits == name] // DAY for name in ("train", "val", "test")}
    first = datetime(2026, 1, 20).toordinal() - datetime(1970, 1, 1).toordinal()
    assert (
        days["train"].min() == days["val"].min() == first
        and max(days["train"].max(), days["val"].max()) == first + 19
    )
    assert days["test"].min() == first + 27 and days["test"].max() == first + 33
    cards = {name: set(found.labels.card[found.splits == name]) for name in ("train", "val")}
    assert not cards["train"] & cards["val"]


@pytest.mark.parametrize(("test_from", "flatters"), [("2026-02-12", True), ("2026-02-16", False)])
def test_labels_that_were_not_known_when_the_test_begins_are_told_of(test_from, flatters):
    given = config(train_to="2026-02-08", test_from=test_from, label_delay="7d")
    found = FraudTask().load_examples(TRANSACTIONS, given)
    assert any("the scores flatter" in each for each in found.notes) == flatters


def test_cards_known_as_defrauded_are_left_out_of_a_test_day():
    clock = Clock(origin="1970-01-01")
    moments = np.array([0, 1, 9, 16, 17, 17]) * DAY + DAY // 2
    outcomes = Outcomes(
        np.float32([1, 0, 1, 0, 0, 0]), moments // DAY, np.array([0, 1, 2, 2, 2, 1]), np.zeros(6)
    )
    spans = split.Spans(0, 5 * DAY, 12 * DAY, 20 * DAY)
    splits, left = split.without_known(
        split.by_time(moments, spans), moments, outcomes, clock, spans, 7 * DAY
    )
    # The fraud of day 9 is known when day 17 begins, but not yet when day 16 does.
    assert splits.tolist() == ["train", "train", "", "test", "", "test"] and left == 1


def test_a_table_without_time_is_divided_at_random_and_says_so(table):
    rows = "".join(f"{i},{i % 7},{'ab'[i % 2]},{int(i % 10 == 0)}\n" for i in range(400))
    found = FraudTask().load_examples(table("size,age,region,claim\n" + rows), FraudConfig(label="claim"))
    assert [int(found.labels.fraud[found.splits == "test"].sum()), int((found.splits == "test").sum())] == [
        8,
        80,
    ]
    assert any("divided at random" in each for each in found.notes)
    assert found.inputs.table.learned["layout"]["numbers"] == ("size", "age")
    assert found.inputs.table.learned["layout"]["entities"] == ()


def test_a_column_that_tells_the_label_is_left_out(table):
    rows = "".join(f"{i},{2 * int(i % 10 == 0)},{int(i % 10 == 0)}\n" for i in range(300))
    path = table("size,scenario,fraud\n" + rows)
    found = FraudTask().load_examples(path, FraudConfig())
    assert "scenario" not in found.inputs.table.learned["layout"]["numbers"]
    assert any("'scenario' left out: alone it tells the label" in each for each in found.notes)
    kept = FraudTask().load_examples(path, FraudConfig(number=("scenario",)))
    assert "scenario" in kept.inputs.table.learned["layout"]["numbers"]


def test_missing_numbers_have_their_own_indicator_and_strange_categories_a_place(table):
    rows = "".join(f"{'' if i % 5 == 0 else i},{'ab'[i % 2]},{int(i % 10 == 3)}\n" for i in range(300))
    path = table("size,region,fraud\n" + rows)
    found = FraudTask().load_examples(path, FraudConfig())
    task = FraudTask().adapt(found, FraudConfig())
    assert [each.name for each in task.recipe.features] == ["size", "size missing"]
    odd = next(task.read([table("size,region\n,z\n7,a\n", "odd.csv")]))
    inputs, _ = task.encode(odd.inputs)
    assert inputs["numbers"][:, 1].tolist() == [1, 0] and inputs["codes"].tolist() == [[0], [1]]
    assert inputs["numbers"][0, 0] == pytest.approx(task.fills["size"])


@pytest.mark.parametrize(
    ("text", "settings", "message"),
    [
        ("", {}, "empty; wanted a header and rows"),
        (HEADER, {}, "a header and no rows"),
        (HEADER + ROWS, {"entity": ("custmer",)}, "no column 'custmer'; did you mean 'customer'?"),
        (
            HEADER + ROWS.replace("30,1", "much,1"),
            {"amount": "amount"},
            "row 2: amount is 'much'; wanted a number",
        ),
        (HEADER + ROWS.replace("30,1", "inf,1"), {}, "row 2: amount is infinite; wanted a number"),
        (HEADER + ROWS.replace("30,1", ",1"), {}, "row 2: amount is missing; wanted a number"),
        (HEADER + ROWS.replace("2026-01-02 09:00:00", "soon"), {}, "row 2: time is 'soon'; wanted a time"),
        (
            HEADER + ROWS.replace("2026-01-20", "2126-01-20"),
            {},
            "row 4: time is 2126-01-20 03:00:00, which is still to come",
        ),
        (HEADER + ROWS.replace("4,2026", "3,2026"), {}, "row 4: id 3 came already in"),
        (
            HEADER + ROWS.replace(",0\n", ",2\n"),
            {},
            "fraud is 1, 2: name the one that says fraud with --positive",
        ),
        (HEADER + ROWS.replace("80,0", "80,2"), {}, "fraud has 3 values (0, 1, 2)"),
        (HEADER + ROWS.replace(",1\n", ",0\n"), {"label_delay": "1d", "test_split": 0.1}, "one class only"),
        (HEADER + ROWS.replace("a,x,30", 'a,"x,30'), {}, "row 2: a quote is not closed"),
        (HEADER + ROWS.replace("a,x,30", "a,x,y,30"), {}, "row 2: 7 values where the header has 6"),
        (HEADER.replace("fraud", "what") + ROWS, {}, "which column says what was fraud?"),
        (
            "time,fraud\n03/04/2026,0\n05/06/2026,1\n",
            {},
            "--date-order day-first or --date-order month-first",
        ),
        (HEADER + ROWS, {"train_from": "2027-01-01"}, "no time is left to train on"),
    ],
)
def test_what_makes_no_sense_is_named_in_one_line(table, text, settings, message):
    with pytest.raises((DataError, ConfigError)) as error:
        FraudTask().load_examples(table(text), FraudConfig(**settings))
    assert message in str(error.value) and "\n" not in str(error.value)


def test_tables_of_many_files_and_kinds_are_one(tmp_path):
    frame = pl.read_csv(TRANSACTIONS)
    frame.head(10).write_csv(tmp_path / "a.csv")
    frame[10:20].write_parquet(tmp_path / "b.parquet")
    (tmp_path / "c.csv.gz").write_bytes(gzip.compress(frame[20:30].write_csv(separator=";").encode()))
    found = tables.read_table(tmp_path)
    assert found.drop(tables.FILE_COLUMN, tables.ROW_COLUMN).equals(frame.head(30))
    assert found[tables.ROW_COLUMN].to_list() == [*range(1, 11)] * 3
    assert found[tables.FILE_COLUMN][25].endswith("c.csv.gz")
    assert tables.read_table(str(tmp_path / "*.csv")).height == 10


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (["2018-04-01 10:00:00", "2018-04-02T23:00:00.5"], datetime(2018, 4, 1, 10)),
        (["2018-04-01T10:00:00Z", "2018-04-02 23:00:00+02:00"], datetime(2018, 4, 1, 10)),
        (["01/04/2018 10:00", "13/04/2018 10:00"], datetime(2018, 4, 1, 10)),
        (["04/01/2018 10:00 AM", "04/13/2018 01:00 PM"], datetime(2018, 4, 1, 10)),
        ([1_522_576_800, 1_522_576_801], datetime(2018, 4, 1, 10)),
        ([1_522_576_800_000, 1_522_576_801_000], datetime(2018, 4, 1, 10)),
    ],
)
def test_times_are_read_in_many_forms(values, wanted):
    column = pl.Series("time", values)
    clock = clock_of(column, FraudConfig(), "table")
    moments = clock.moments(column)
    assert clock.dated and moments.null_count() == 0 and clock.wall(moments)[0] == wanted


def test_a_trained_model_takes_dates_in_another_order(table):
    given = FraudTask().load_examples(TRANSACTIONS, config())
    task = FraudTask().adapt(given, config())
    frame = pl.read_csv(TOMORROW, try_parse_dates=True)
    turned = frame.with_columns(pl.col("time").dt.strftime("%d/%m/%Y %H:%M:%S")).write_csv()
    one, other = (next(task.read([each])).inputs.table.moments for each in (TOMORROW, table(turned)))
    assert one.tolist() == other.tolist()


def test_a_time_in_numbers_without_an_origin_has_nights_and_no_weekends(table):
    rows = "".join(f"{3600 * i},{i % 9},{int(i % 10 == 0)}\n" for i in range(24 * 60))
    found = FraudTask().load_examples(table("seconds,amount,fraud\n" + rows), FraudConfig())
    task = FraudTask().adapt(found, FraudConfig())
    assert [each.name for each in task.recipe.features] == ["amount", "night"]
    assert found.inputs.table.numbers[:9, 1].tolist() == [1, 1, 1, 1, 1, 1, 1, 0, 0]
    assert any("is taken for midnight" in each for each in found.notes)


def test_a_time_without_a_zone_among_others_is_named(table):
    rows = ROWS.replace("2026-01-02 09:00:00", "2026-01-02T09:00:00Z")
    with pytest.raises(DataError, match="row 1: time is .*; wanted a time with a zone, as others have"):
        FraudTask().load_examples(table(HEADER + rows), FraudConfig())


def test_nights_are_those_of_the_zone():
    clock = clock_of(pl.Series(["2018-07-01T23:30:00Z"]), FraudConfig(timezone="Europe/Brussels"), "table")
    assert clock.wall(clock.moments(pl.Series(["2018-07-01T23:30:00Z"])))[0] == datetime(2018, 7, 2, 1, 30)
    assert clock.told_day(int(clock.days(np.array([clock.moment("2018-07-02")]))[0])) == "2018-07-02"


@pytest.mark.parametrize(
    ("text", "length"), [("7d", 7 * DAY), ("12h", DAY // 2), ("90 min", DAY // 16), ("1w", 7 * DAY)]
)
def test_lengths_of_time_are_read(text, length):
    assert times.duration(text, "--label-delay") == length


def test_average_precision_and_roc_auc_of_ties():
    scores, own = np.array([0.9, 0.8, 0.8, 0.3]), np.array([True, False, True, False])
    assert metrics.average_precision(scores, own) == pytest.approx(0.5 + 0.5 * 2 / 3)
    assert metrics.roc_auc(scores, own) == pytest.approx(0.875)
    twice = metrics.average_precision(np.repeat(scores, [1, 2, 3, 1]), np.repeat(own, [1, 2, 3, 1]))
    assert metrics.average_precision(scores, own, np.array([1.0, 2, 3, 1])) == pytest.approx(twice)


def test_scores_equal_those_of_scikit_learn():
    sklearn = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(0)
    own = random.random(2000) < 0.05
    scores = np.round(random.random(2000) + 0.5 * own, 2)
    assert metrics.average_precision(scores, own) == pytest.approx(
        sklearn.average_precision_score(own, scores)
    )
    assert metrics.roc_auc(scores, own) == pytest.approx(sklearn.roc_auc_score(own, scores))


def test_a_budget_checks_the_riskiest_cards_of_a_day_and_no_card_that_was_found_out():
    outcomes = Outcomes(
        np.float32([1, 0, 0, 1, 1]),
        np.array([0, 0, 0, 1, 1]),
        np.array([0, 1, 2, 0, 3]),
        np.array([10.0, 1, 1, 7, 20]),
    )
    checking = Checking(np.array([0.9, 0.8, 0.1, 0.95, 0.2]), outcomes)
    one, two = checking.days(1)
    assert (one["found"], one["saved"], one["checked"]) == (1, 10, 1)
    # Card 0 was found on the first day: the second day's check is card 3.
    assert (two["cards"], two["found"], two["saved"]) == (1, 1, 20)


def test_alerts_within_a_budget_are_the_riskiest_transactions_of_its_cards():
    task = FraudTask().adapt(found := FraudTask().load_examples(TRANSACTIONS, config()), config())
    rows = found.inputs
    shares = np.random.default_rng(0).random(len(rows))
    alerts = budget.alerts(rows, shares, 2, "day")
    day, card = rows.table.outcomes.day[rows.places], rows.table.outcomes.card[rows.places]
    for each in np.unique(day)[:5]:
        chosen = np.flatnonzero(alerts & (day == each))
        highest = sorted({c: shares[(day == each) & (card == c)].max() for c in card[day == each]}.values())[
            -2:
        ]
        assert sorted(shares[chosen]) == highest
    assert budget.parsed("100/day") == (100, "day") and task.budget == 100
    assert budget.parsed("5 per week") == (5, "week") and budget.parsed("7/h") == (7, "hour")
    with pytest.raises(ConfigError, match="100/day"):
        budget.parsed("many")


@pytest.fixture(scope="session")
def trained_fraud(tmp_path_factory):
    """A bundle of the sample's transactions that has learned something."""
    return train_once("fraud", "cards", tmp_path_factory, epochs=12, budget=5).bundle


def test_reasons_add_up_and_speak_plainly(trained_fraud):
    model = library.load(trained_fraud)
    rows = model.task.load_examples(TRANSACTIONS).inputs
    inputs, _ = model.task.encode(rows[-400:])
    run = lambda some: model.runtime.run(some)["probability"]
    groups = reasons._groups(model.task.recipe, False)
    usual = np.float32(model.task.usual)
    found = reasons.contributions(groups, usual, inputs, run)
    base = reasons.log_odds(run(reasons._emptied(reasons._first(inputs), usual)))
    assert found.sum(axis=1) == pytest.approx(reasons.log_odds(run(inputs)) - base, abs=1e-4)
    told = [each for answer in model.predict(TRANSACTIONS) if answer.alert for each in answer.reasons]
    assert any("times the customer's 7-day mean" in each for each in told)
    assert any("of this terminal" in each or "at this terminal" in each for each in told)


@pytest.mark.parametrize("amount_by", [("customer",), ("terminal",), ("customer", "terminal")])
def test_of_all_that_tells_the_same_something_can_be_said(spending):
    layout = replace(layout_of("time"), amount_by=spending)
    made = Recipe(layout, Clock(date_order="iso"), (DAY, 7 * DAY), 7 * DAY)
    kins = {each.kin for each in made.features}
    assert kins == {each.kin for each in made.features if each.phrase}


def detect(*arguments, **options):
    return dltasks("detect-fraud", *arguments, **options)


def answers(said) -> list[dict]:
    return [json.loads(line) for line in said.stdout.splitlines()]


def test_detect_fraud_answers_each_row_in_json(trained_fraud):
    said = detect(
        TOMORROW, "--model", trained_fraud, "--history", TRANSACTIONS, "--json", "--budget", "3/day"
    )
    assert said.returncode == 0, said.stderr
    found = answers(said)
    assert [each["row"] for each in found] == list(range(1, 108)) and found[0]["input"] == str(TOMORROW)
    assert sum(each["alert"] for each in found) == 3 and found[0]["id"] == "T05923"
    assert all(0 <= each["probability"] <= 1 and len(each["reasons"]) <= 3 for each in found)
    assert said.stderr.splitlines()[-1] == "107 transactions, 3 alerts"


def test_the_past_of_a_card_counts(trained_fraud):
    alone = answers(detect(TOMORROW, "--model", trained_fraud, "--json"))
    after = answers(detect(TOMORROW, "--model", trained_fraud, "--history", TRANSACTIONS, "--json"))
    assert [each["probability"] for each in alone] != [each["probability"] for each in after]


@pytest.mark.parametrize("name", ["scored.parquet", "scored.csv"])
def test_a_table_with_the_answers_is_written(trained_fraud, tmp_path, name):
    said = detect(TOMORROW, "--model", trained_fraud, "--history", TRANSACTIONS, "--out", tmp_path / name)
    assert said.returncode == 0 and said.stdout == "", said.stderr
    read = pl.read_parquet if name.endswith("parquet") else pl.read_csv
    found = read(tmp_path / name)
    assert found.columns == [
        *pl.read_csv(TOMORROW).columns,
        "probability",
        "alert",
        "reason_1",
        "reason_2",
        "reason_3",
    ]
    assert found["id"].to_list() == pl.read_csv(TOMORROW)["id"].to_list()


def test_rows_that_make_no_sense_are_named_and_the_rest_is_scored(trained_fraud, table):
    lines = TOMORROW.read_text().splitlines()
    lines[3] = lines[3].rpartition(",")[0] + ",much"
    lines[5] = lines[5].replace("2026-03-16", "2226-03-16")
    said = detect(table("\n".join(lines)), "--model", trained_fraud, "--json")
    assert said.returncode == 1
    found = answers(said)
    assert [each["row"] for each in found if "error" in each] == [3, 5] and len(found) == 107
    assert "row 3: amount is 'much'; wanted a number" in said.stderr
    assert "which is still to come" in said.stderr


def test_a_number_beyond_measure_costs_only_its_row(trained_fraud, table):
    lines = TOMORROW.read_text().splitlines(keepends=True)
    lines[4] = lines[4].rsplit(",", 1)[0] + ",1e300\n"
    named = lines[0].strip().split(",")[-1]
    said = dltasks("detect-fraud", table("".join(lines)), "--model", trained_fraud, "--json")
    assert said.returncode == 1 and f"row 4: {named} is " in said.stderr
    assert len(said.stdout.splitlines()) == len(lines) - 1


def test_a_table_without_a_column_of_the_training_is_refused(trained_fraud, table):
    frame = pl.read_csv(TOMORROW).rename({"terminal": "terminals"})
    said = detect(table(frame.write_csv()), "--model", trained_fraud)
    assert said.returncode == 1 and "no column 'terminal'; did you mean 'terminals'?" in said.stderr


def test_a_state_stands_for_yesterday(trained_fraud, tmp_path):
    frame = pl.read_csv(TRANSACTIONS)
    parts = {"one": frame.head(4000), "two": frame[4000:]}
    for name, part in parts.items():
        part.write_csv(tmp_path / f"{name}.csv")
    state = tmp_path / "state.sqlite"
    for name in parts:
        said = detect(
            tmp_path / f"{name}.csv", "--model", trained_fraud, "--state", state, "--no-reasons", "--alerts"
        )
        assert said.returncode == 0, said.stderr
    arguments = ("--model", trained_fraud, "--no-reasons", "--json")
    first = answers(detect(TOMORROW, *arguments, "--state", state))
    again = answers(detect(TOMORROW, *arguments, "--state", state))
    whole = answers(detect(TOMORROW, *arguments, "--history", TRANSACTIONS))
    assert first == again == whole
    with sqlite3.connect(state) as database:
        assert database.execute("select count(*) from files").fetchone() == (3,)
        rows, different = database.execute("select count(*), count(distinct id) from rows").fetchone()
    assert 2000 < rows == different < 6029


def test_a_crash_between_files_loses_and_doubles_nothing(trained_fraud, tmp_path):
    state = tmp_path / "state.sqlite"
    arguments = ("--model", trained_fraud, "--state", state, "--no-reasons")
    assert detect(TRANSACTIONS, *arguments, "--alerts").returncode == 0
    before = state.read_bytes()
    failed = detect(TOMORROW, *arguments, "--out", tmp_path / "state.sqlite" / "out.csv")
    assert failed.returncode == 1
    assert state.read_bytes() == before
    assert detect(TOMORROW, *arguments, "--json").returncode == 0


def test_labels_that_became_known_are_told_to_the_state(trained_fraud, tmp_path, table):
    state = tmp_path / "state.sqlite"
    frame = pl.read_csv(TRANSACTIONS)
    frame.drop("fraud").write_csv(tmp_path / "unlabelled.csv")
    arguments = ("--model", trained_fraud, "--state", state, "--no-reasons")
    assert detect(tmp_path / "unlabelled.csv", *arguments, "--alerts").returncode == 0
    known = table(frame.filter(pl.col("fraud") == 1).select("id", "fraud").write_csv(), "known.csv")
    said = detect(TOMORROW, *arguments, "--labels", known, "--json")
    assert said.returncode == 0 and f"transactions of {state} now have a label" in said.stderr
    whole = detect(TOMORROW, "--model", trained_fraud, "--history", TRANSACTIONS, "--no-reasons", "--json")
    assert answers(said) == answers(whole)


def test_a_file_that_is_no_state_is_refused(trained_fraud, tmp_path):
    (tmp_path / "state").write_text("not a database, " * 100)
    said = detect(TOMORROW, "--model", trained_fraud, "--state", tmp_path / "state")
    assert said.returncode == 1 and "file is not a database; wanted a state that --state wrote" in said.stderr


def test_a_frame_is_a_table_too(trained_fraud):
    model = library.load(trained_fraud)
    assert model.predict(pl.read_csv(TOMORROW)) == model.predict(TOMORROW)


def test_ties_of_a_moment_stand_in_the_order_of_their_rows(table):
    same = "".join(f"{i},2026-01-01 10:00:00,a,x,{i},0\n" for i in range(1, 5))
    assert features(table(HEADER + same))["customer count 1-day"].to_list() == [1, 2, 3, 4]


def test_a_network_over_the_last_transactions_trains_and_converts(tmp_path):
    model = library.train(
        "fraud",
        TRANSACTIONS,
        tmp_path / "run",
        network="sequence",
        history=3,
        epochs=1,
        windows="1d",
        baselines=False,
    )
    assert {name: tuple(each["shape_signature"]) for name, each in model.runtime.inputs.items()} == {
        "numbers": (-1, len(model.task.usual)),
        "codes": (-1, 1),
        "past": (-1, 3, len(model.task.usual)),
        "there": (-1, 3),
    }
    rows = model.task.load_examples(TRANSACTIONS).inputs
    first = rows.take(np.argsort(rows.table.moments)[:1])
    assert model.task.encode(first)[0]["there"].tolist() == [[0, 0, 1]]
    assert 0 <= model.predict(first)[0].probability <= 1


def test_a_network_without_labels_says_how_unusual_a_transaction_is(tmp_path, table):
    path = table(pl.read_csv(TRANSACTIONS).drop("fraud").write_csv())
    model = library.train("fraud", path, tmp_path / "run", unsupervised=True, epochs=5, windows="1d,7d")
    assert model.manifest["evaluation"]["scores"] == {}
    found = model.predict(
        pl.concat([pl.read_csv(path), pl.read_csv(TOMORROW).with_columns(amount=99_999.0).head(1)])
    )
    assert found[-1].probability is None and found[-1].alert and found[-1].unusualness == 1
    assert any("amount" in each for each in found[-1].reasons)
    assert np.mean([each.alert for each in found]) < 0.02


def test_probabilities_are_calibrated_on_what_was_not_trained_on():
    from dltasks.tasks.fraud.network import stacked

    random = np.random.default_rng(0)
    odds = random.normal(-3, 2, (50_000, 2))
    fraud = random.random(50_000) < 1 / (1 + np.exp(-(odds @ [0.3, 0.5] - 1)))
    slopes, offset = stacked(odds, fraud, (0.2, 0.8))
    assert [*slopes, offset] == pytest.approx([0.3, 0.5, -1], abs=0.05)
    assert (stacked(odds[:50], np.zeros(50), (0.2, 0.8))[0] > 0).all()


def transactions_like(count: int):
    """Numbers and frauds, which are high in the first number where the second is high too."""
    numbers = np.random.default_rng(0).lognormal(size=(count, 6)).astype(np.float32)
    return numbers, (numbers[:, 0] > 3) & (numbers[:, 1] > 1.5)


def test_trees_find_what_takes_two_questions():
    from dltasks.tasks.fraud.trees import grow

    numbers, fraud = transactions_like(4000)
    grown, again = (grow(numbers, fraud, 20, 0) for _ in range(2))
    assert all(np.array_equal(vars(grown)[each], vars(again)[each]) for each in vars(grown))
    asked = grown.columns[:2, np.argmax(np.ptp(grown.values, axis=1))]
    assert sorted(asked) == [0, 1]


def test_the_layer_answers_as_its_trees_do():
    import keras

    from dltasks.export.convert import to_tflite
    from dltasks.litert.runtime import Runtime
    from dltasks.tasks.fraud.trees import Trees

    numbers, fraud = transactions_like(1000)
    inputs = keras.Input((6,), name="numbers")
    layer = Trees(30)
    network = keras.Model([inputs], {"odds": layer(inputs)})
    layer.adapt(numbers, fraud, 0)
    columns, thresholds, values = (np.asarray(each) for each in layer.weights)
    # Some lie on a threshold, which is not above it.
    numbers[:30, columns[0]] = thresholds[0]
    wanted = np.zeros(1000)
    for tree in range(30):
        above = numbers[:, columns[:, tree]] > thresholds[:, tree]
        wanted += values[tree, above @ [16, 8, 4, 2, 1]]
    assert np.asarray(layer(numbers))[:, 0] == pytest.approx(wanted, abs=1e-5)
    answered = Runtime(to_tflite(network, "none", {})).run({"numbers": numbers})["odds"][:, 0]
    assert answered == pytest.approx(wanted, abs=1e-5)


def test_trees_of_next_to_nothing_say_the_share_of_frauds():
    from dltasks.tasks.fraud.trees import grow

    grown = grow(np.ones((30, 2), np.float32), np.arange(30) < 3, 100, 0)
    odds = grown.values[:, 0].sum()
    assert (grown.values == grown.values[:, :1]).all() and 1 / (1 + np.exp(-odds)) == pytest.approx(
        0.1, abs=0.1
    )


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


def test_a_table_of_categories_only_trains_and_answers(tmp_path, table):
    rows = "".join(f"{'red' if i % 5 == 0 else 'blue'},{'ab'[i % 2]},{int(i % 5 == 0)}\n" for i in range(200))
    model = library.train(
        "fraud",
        table("colour,shape,claim\n" + rows),
        tmp_path / "run",
        label="claim",
        category=["color_jitter"],
        epochs=30,
    )
    assert set(model.runtime.inputs) == {"codes"}
    red, blue = model.predict(pl.DataFrame({"color_jitter": ["red", "blue"], "shape": ["a", "a"]}))
    assert red.probability > blue.probability
    assert red.reasons == ("colour is red",)


def test_a_table_with_nothing_to_learn_from_is_refused(tmp_path, table):
    same = table("shape,claim\n" + "".join(f"a,{i % 2}\n" for i in range(60)))
    with pytest.raises(DataError, match="no column to learn from .'shape' left out"):
        library.train("fraud", same, tmp_path / "run", label="claim")
    two = table("shape,claim\n" + "".join(f"{'ab'[i % 2]},{i % 3 % 2}\n" for i in range(60)))
    with pytest.raises(DataError, match="--unsupervised rebuilds numbers"):
        library.train("fraud", two, tmp_path / "run", label="claim", unsupervised=True)


def test_a_card_may_be_compromised_too():
    made = recipe()
    made = replace(made, layout=replace(made.layout, fraud_rate_by=("customer", "terminal")))
    frame = reading.typed(tables.read_table(TRANSACTIONS), made.layout, made.clock, None, None).frame
    assert made.numbers(frame).shape == (frame.height, len(made.features))


def test_many_rows_are_answered_as_each_alone(trained_fraud):
    run, width = library.load(trained_fraud).runtime.run, len(library.load(trained_fraud).task.usual)
    inputs = {
        "numbers": np.random.default_rng(0).normal(size=(700, width)).astype(np.float32),
        "codes": np.zeros((700, 1), np.int32),
    }
    alone = [run({name: each[i : i + 1] for name, each in inputs.items()}) for i in (0, 350, 699)]
    together = run(inputs)["probability"]
    assert together.shape == (700, 1)
    assert together[[0, 350, 699], 0] == pytest.approx([each["probability"].item() for each in alone], 1e-5)


def test_pieces_reach_from_edge_to_edge_with_steps_at_the_inner_ones():
    from dltasks.tasks.fraud.network import pieces

    begins, widths = pieces(np.array([0.0, 100.0, 300.0]))
    assert begins.tolist() == [0, 100, 98.5] and widths.tolist() == [100, 200, 3]


def test_a_table_without_ids_is_scored(trained_fraud, table):
    path = table(pl.read_csv(TOMORROW).drop("id").write_csv())
    found = answers(detect(path, "--model", trained_fraud, "--json", "--no-reasons"))
    assert len(found) == 107 and "id" not in found[0]


def test_a_file_among_several_that_lacks_a_key_column_is_named(trained_fraud, tmp_path):
    frame = pl.read_csv(TOMORROW)
    frame.head(50).write_csv(tmp_path / "a.csv")
    frame[50:].drop("terminal").write_csv(tmp_path / "b.csv")
    said = detect(tmp_path, "--model", trained_fraud)
    assert said.returncode == 1 and "b.csv: no column 'terminal', or nothing in it" in said.stderr


def test_a_row_without_an_answer_keeps_its_place_in_the_written_table(trained_fraud, table, tmp_path):
    lines = TOMORROW.read_text().splitlines()
    lines[3] = lines[3].rpartition(",")[0] + ",much"
    said = detect(table("\n".join(lines)), "--model", trained_fraud, "--out", tmp_path / "scored.csv")
    found = pl.read_csv(tmp_path / "scored.csv")
    assert said.returncode == 1 and found["id"].to_list() == pl.read_csv(TOMORROW)["id"].to_list()
    assert found["probability"].is_null().arg_true().to_list() == [2]


def test_a_history_begins_a_state(trained_fraud, tmp_path):
    arguments = ("--model", trained_fraud, "--no-reasons", "--json", "--history", TRANSACTIONS)
    begun = answers(detect(TOMORROW, *arguments, "--state", tmp_path / "state.sqlite"))
    assert begun == answers(detect(TOMORROW, *arguments))


def test_a_database_of_something_else_is_left_alone(trained_fraud, tmp_path):
    with sqlite3.connect(tmp_path / "other.sqlite") as database:
        database.execute("create table mine (a)")
    database.close()
    before = (tmp_path / "other.sqlite").read_bytes()
    said = detect(TOMORROW, "--model", trained_fraud, "--state", tmp_path / "other.sqlite")
    assert said.returncode == 1 and "a database of something else" in said.stderr
    assert (tmp_path / "other.sqlite").read_bytes() == before


def test_labels_of_no_transaction_here_are_refused(trained_fraud, tmp_path, table):
    known = table("id,fraud\nnobody,1\n")
    said = detect(TOMORROW, "--model", trained_fraud, "--state", tmp_path / "state", "--labels", known)
    assert said.returncode == 1 and "none of its 1 labelled ids ('nobody' ...) is in" in said.stderr


def test_the_table_to_be_scored_is_not_written_over(trained_fraud, table):
    path = table(TOMORROW.read_text())
    said = detect(path, "--model", trained_fraud, "--out", path)
    assert said.returncode == 2 and path.read_text() == TOMORROW.read_text()


@pytest.mark.parametrize("wrong", [None, 5, np.zeros(3), object()])
def test_what_is_no_table_is_named(trained_fraud, wrong):
    with pytest.raises(DataError, match="not a table; wanted a path, a frame"):
        library.load(trained_fraud).predict(wrong)


def test_a_row_may_be_a_dict(trained_fraud):
    model, row = library.load(trained_fraud), pl.read_csv(TOMORROW).row(0, affected_items=True)
    assert model.predict(row)[0].probability == model.predict(pl.read_csv(TOMORROW).head(1))[0].probability
