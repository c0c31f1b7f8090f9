"""Measure how fast a model is on this machine."""

import json
from pathlib import Path

import click

from dltasks.cli import options, output

COLUMNS = ("model", "size", "threads", "load", "median", "95th percentile", "a second, in batches", "memory")


@click.command(short_help="Measure how fast a model is here.")
@click.argument("model")
@click.option("--data", help="Real inputs to run on; golden vectors if not given.")
@click.option("--compare", metavar="OTHER", help="A second model, measured in turns with the first.")
@click.option(
    "--all-quantizations",
    is_flag=True,
    help="Also each level of quantisation, written anew from the bundle's network (needs the train extra and --data).",
)
@click.option("--png", type=click.Path(dir_okay=False), help="Draw it (needs the train extra).")
@options.JSON
def command(model, data, compare, all_quantizations, png, as_json):
    """Measure MODEL: the time to load it, the latency of one input (median and 95th percentile) with 1, 2 and all threads,
    inputs a second in batches, peak memory and size; each in a process of its own. Reading and encoding inputs is not in it.

    \b
    dltasks benchmark objects
    dltasks benchmark flowers.tflite --compare runs/flowers --json
    """
    from dltasks import benchmark
    from dltasks.errors import DltasksError
    from dltasks.files import atomic_path, check_writable, os_errors_as

    if png:
        check_writable(Path(png), DltasksError, "--png")
    if all_quantizations:
        benchmark.check_has_network(model)
    subjects = [benchmark.create_case(each, data) for each in (model, compare) if each]
    if len(subjects) == 2 and subjects[0].name == subjects[1].name:
        subjects = [_named(each, name) for each, name in zip(subjects, (model, compare), strict=True)]
    rows = []
    for threads in benchmark.thread_counts():
        rows += benchmark.run_interleaved(subjects, threads).items()
    if all_quantizations:
        written = benchmark.quantized_cases(model, data)
        rows += benchmark.run_interleaved(written, 1).items()
    if png:
        with os_errors_as(DltasksError, png), atomic_path(Path(png)) as path:
            path.write_bytes(benchmark.plot(f"{model} on this machine", rows))
        click.echo(f"written: {png}", err=True)
    ratio = rows[0][1].median / rows[1][1].median if compare else None
    if as_json:
        found = [{"model": name, **each.to_json()} for name, each in rows]
        click.echo(json.dumps({"runs": found, "ratio": ratio and round(ratio, 4)}, ensure_ascii=False))
        return
    output.table("", COLUMNS, [_row(*each) for each in rows])
    if compare:
        click.echo(f"{rows[0][0]} takes {ratio:.2f} of the time of {rows[1][0]}, one thread", err=True)


def _named(subject, name: str):
    from dataclasses import replace

    return replace(subject, name=name)


def _row(name: str, speed) -> tuple[str, ...]:
    return (
        name,
        f"{speed.bytes / 1e6:.2f} MB",
        str(speed.threads),
        f"{speed.load:.0f} ms",
        f"{speed.median:.3g} ms",
        f"{speed.percentile_95:.3g} ms",
        f"{speed.throughput:,.0f}",
        f"{speed.memory:.0f} MB",
    )
