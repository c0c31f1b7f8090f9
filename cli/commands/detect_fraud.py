"""Find fraud in tables of transactions, with reasons."""

import math
import sys
from pathlib import Path
from typing import Any

import click

from dltasks.cli import options
from dltasks.cli.grouping import GroupedCommand, option


@click.command(cls=GroupedCommand)
@click.argument("tables", nargs=-1, required=True, metavar="TABLE...", type=click.Path())
@options.model("cards")
@option(
    "--history",
    multiple=True,
    metavar="TABLE",
    help="Earlier transactions. Repeatable.",
    group="History",
    type=click.Path(),
)
@option(
    "--state",
    type=click.Path(dir_okay=False),
    help="File that records scored transactions, in place of --history; created if missing.",
    group="History",
)
@option(
    "--labels",
    metavar="TABLE",
    help="Ids and labels that became known, for transactions in the --state.",
    group="History",
    type=click.Path(),
)
@option(
    "-o",
    "--out",
    type=click.Path(dir_okay=False),
    help="Write the table with predictions added, as .parquet or .csv.",
    group=options.OUTPUT,
)
@option(
    "--budget",
    metavar="N/PERIOD",
    help="Alert on the N riskiest cards per hour, day or week (100/day), on one transaction of each.",
    group="Alerts",
)
@option(
    "--threshold",
    type=click.FloatRange(0, 1),
    help="Alert from this probability (default: the model's threshold).",
    group="Alerts",
)
@option("--alerts", "alerts_only", is_flag=True, help="Print only alerts.", group="Alerts")
@option(
    "--reasons/--no-reasons",
    default=True,
    help="Explain risky transactions; takes most of the time.",
    group="Alerts",
)
@options.threads
@options.json_output
@option("--csv", "as_csv", is_flag=True, help="CSV: one row per transaction.", group=options.OUTPUT)
def command(
    tables: tuple[str, ...],
    model: str,
    history: tuple[str, ...],
    state: str | None,
    labels: str | None,
    out: str | None,
    budget: str | None,
    threshold: float | None,
    alerts_only: bool,
    reasons: bool,
    threads: int | None,
    as_json: bool,
    as_csv: bool,
) -> None:
    """Score the transactions of each TABLE: probability of fraud, whether it is an alert, and the reasons.

    A TABLE is a CSV or Parquet file, which may be gzipped, a folder of them, or - for CSV on standard input.
    Several are read as one.

    The features describe the past of each customer. It comes from the table itself, from --history, or from
    earlier runs with the same --state.

    \b
    dltasks detect-fraud tomorrow.csv --history transactions.csv --alerts
    dltasks detect-fraud today.parquet -m runs/fraud --state fraud.sqlite --budget 9/day -o scored.csv
    """
    _check_usage(tables, state, labels, out, budget, threshold, as_json, as_csv)
    import dltasks
    from dltasks.tasks.fraud.budget import parse_budget
    from dltasks.tasks.fraud.scoring import ScoredTable, Scorer, configure

    format = "json" if as_json else "csv" if as_csv else "lines"

    def output(scored: ScoredTable) -> None:
        if out:
            scored.write(out)
        else:
            scored.print(format, alerts_only)
        scored.print_summary()

    loaded = configure(dltasks.load(model or "cards"), threshold, reasons)
    scorer = Scorer(loaded, parse_budget(budget) if budget else None, threads, output)
    sources: list[Any] = [sys.stdin.buffer.read() if table == "-" else table for table in tables]
    earlier = list(history) or None
    if state:
        has_problems = scorer.score_with_state(sources, state, earlier, labels)
    else:
        has_problems = scorer.score_with_history(sources, earlier)
    sys.exit(1 if has_problems else 0)


def _check_usage(
    tables: tuple[str, ...],
    state: str | None,
    labels: str | None,
    out: str | None,
    budget: str | None,
    threshold: float | None,
    as_json: bool,
    as_csv: bool,
) -> None:
    """Raises UsageError for options that exclude each other, or an output that cannot be written."""
    if as_json and as_csv:
        raise click.UsageError("--json or --csv, not both")
    if budget and threshold is not None:
        raise click.UsageError("--budget or --threshold, not both")
    if labels and not state:
        raise click.UsageError("--labels updates a --state; name the --state")
    if threshold is not None and math.isnan(threshold):
        raise click.UsageError("--threshold nan: expected 0 to 1")
    if out and not out.endswith((".parquet", ".csv")):
        raise click.UsageError(f"--out {out}: expected a name that ends in .parquet or .csv")
    if out and any(_is_same_file(Path(out), Path(table)) for table in tables):
        raise click.UsageError(f"--out {out}: this is a table to be scored; choose another name")


def _is_same_file(first: Path, second: Path) -> bool:
    return first.exists() and second.exists() and first.samefile(second)
