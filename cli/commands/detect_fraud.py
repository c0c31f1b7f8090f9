"""Which of these transactions look like fraud, and why."""

import math
import os
import sys

import click

from dltasks.cli import options
from dltasks.cli.grouping import GroupedCommand, option


@click.command(cls=GroupedCommand)
@click.argument("tables", nargs=-1, required=True, metavar="TABLE...", type=click.Path())
@options.model("cards")
@option(
    "--history",
    group="History",
    type=click.Path(),
    multiple=True,
    metavar="TABLE",
    help="Earlier transactions; may be given again.",
)
@option(
    "--state",
    group="History",
    type=click.Path(dir_okay=False),
    help="File that keeps what was scored, so that no --history is needed.",
)
@option(
    "--labels",
    "known",
    group="History",
    type=click.Path(),
    metavar="TABLE",
    help="Ids and labels of transactions in the --state that became known.",
)
@option(
    "-o",
    "--out",
    group=options.OUTPUT,
    type=click.Path(dir_okay=False),
    help="Write the table with its answers, .parquet or .csv.",
)
@option(
    "--budget",
    group="Alerts",
    metavar="N/day",
    help="Alert on the riskiest N cards an hour, a day or a week: on one transaction of each.",
)
@option(
    "--threshold",
    group="Alerts",
    type=click.FloatRange(0, 1),
    help="Alert from this probability on; the model's own if not given.",
)
@option("--alerts", "only_alerts", group="Alerts", is_flag=True, help="Print alerts only.")
@option(
    "--reasons/--no-reasons",
    "explained",
    group="Alerts",
    default=True,
    help="Say why; takes most of the time.",
)
@options.threads
@options.json_output
@option("--csv", "as_csv", group=options.OUTPUT, is_flag=True, help="CSV: one row a transaction.")
def command(
    tables,
    model,
    history,
    state,
    known,
    out,
    budget,
    threshold,
    only_alerts,
    explained,
    threads,
    as_json,
    as_csv,
):
    """Score the transactions of each TABLE (CSV, Parquet, .gz, a folder of them, or - for CSV on standard input): the
    probability of fraud, whether it is an alert, and what raised it most. All tables given together are one.

    Windows over a customer's past need that past: in the table itself, with --history, or from what was scored before
    with --state.

    \b
    dltasks detect-fraud samples/fraud/tomorrow.csv --history samples/fraud/transactions.csv --alerts
    dltasks detect-fraud --model runs/fraud today.parquet --state fraud.sqlite --budget 100/day --out scored.parquet
    """
    if as_json and as_csv:
        raise click.UsageError("--json or --csv, not both")
    if budget and threshold is not None:
        raise click.UsageError("--budget or --threshold, not both")
    if known and not state:
        raise click.UsageError("--labels tells a --state what became of its transactions; name the --state")
    if out and not out.endswith((".parquet", ".csv")):
        raise click.UsageError(f"--out {out}: wanted a name that ends in .parquet or .csv")
    if out and any(
        os.path.exists(out) and os.path.samefile(out, each) for each in tables if os.path.exists(each)
    ):
        raise click.UsageError(f"--out {out}: that is a table to be scored; choose another name")
    if threshold is not None and math.isnan(threshold):
        raise click.UsageError("--threshold nan: wanted 0 to 1")
    from dltasks.tasks.fraud import scoring

    bundle = scoring.loaded(model or "cards", threshold, explained)
    limit = scoring.budget_of(budget)
    sources = [sys.stdin.buffer.read() if each == "-" else each for each in tables]
    form = "json" if as_json else "csv" if as_csv else "lines"

    def told(scored):
        if out:
            scored.write(out)
        else:
            scored.show(form, only_alerts)
        scored.summarise()

    if state:
        failed = scoring.with_state(
            bundle, sources, state, list(history) or None, known, limit, threads, told
        )
    else:
        failed = scoring.with_history(bundle, sources, list(history) or None, limit, threads, told)
    sys.exit(1 if failed else 0)
