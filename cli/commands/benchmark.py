"""Measure the latency, throughput and memory of a model on this machine."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from dltasks.cli import options, output
from dltasks.cli.grouping import GroupedCommand, option
from dltasks.cli.names import ModelName

COLUMNS = ("model", "size", "threads", "load", "median", "95th percentile", "per second, batched", "memory")


@click.command(cls=GroupedCommand)
@options.model_argument
@option(
    "--data", group=options.INPUT, type=click.Path(), help="Real inputs to run (default: golden vectors)."
)
@option(
    "--compare",
    group=options.MODEL,
    type=ModelName(),
    help="A second model, its runs interleaved with the first's.",
)
@option(
    "--all-quantizations",
    group=options.MODEL,
    is_flag=True,
    help="Also every quantization mode, exported from the bundle (needs the train extra and --data).",
)
@option(
    "--png",
    group=options.OUTPUT,
    type=click.Path(dir_okay=False),
    help="Write a plot (needs the train extra).",
)
@options.json_output
def command(
    model: str, data: str | None, compare: str | None, all_quantizations: bool, png: str | None, as_json: bool
) -> None:
    """Measure MODEL: load time, latency of one input (median and 95th percentile) with 1, 2 and all
    threads, inputs per second in batches, peak memory and size, each in a process of its own. Reading and
    encoding of inputs is not included.

    \b
    dltasks benchmark objects
    dltasks benchmark flowers.tflite --compare runs/flowers --json
    """
    from dltasks import benchmark
    from dltasks.errors import DltasksError
    from dltasks.files import check_writable

    if png:
        check_writable(Path(png), DltasksError, "--png")
        benchmark.check_can_plot()
    if all_quantizations:
        benchmark.check_has_network(model)
    cases = _cases(model, compare, data)
    results: list[tuple[str, Any]] = []
    for threads in benchmark.thread_counts():
        results += benchmark.run_interleaved(cases, threads).items()
    if all_quantizations:
        results += benchmark.run_interleaved(benchmark.quantized_cases(model, data), 1).items()
    if png:
        _write_plot(png, benchmark.plot(f"{model} on this machine", results))
    ratio = results[0][1].median / results[1][1].median if compare else None
    if as_json:
        runs = [{"model": name, **result.to_json()} for name, result in results]
        output.print_json({"runs": runs, "ratio": ratio and round(ratio, 4)})
        return
    output.print_table("", COLUMNS, [_row(name, result) for name, result in results])
    if compare:
        message = f"{results[0][0]} takes {ratio:.2f} times as long as {results[1][0]}, with one thread"
        click.echo(message, err=True)


def _cases(model: str, compare: str | None, data: str | None) -> list[Any]:
    """The models to measure, by their paths where both have the same name."""
    from dltasks import benchmark

    paths = [path for path in (model, compare) if path]
    cases = [benchmark.create_case(path, data) for path in paths]
    if len(cases) == 2 and cases[0].name == cases[1].name:
        return [replace(case, name=path) for case, path in zip(cases, paths, strict=True)]
    return cases


def _write_plot(path: str, content: bytes) -> None:
    """Raises DltasksError where the file can't be written."""
    from dltasks.errors import DltasksError
    from dltasks.files import atomic_path, os_errors_as

    with os_errors_as(DltasksError, path), atomic_path(Path(path)) as temporary:
        temporary.write_bytes(content)
    click.echo(f"written: {path}", err=True)


def _row(name: str, result: Any) -> tuple[str, ...]:
    return (
        name,
        f"{result.bytes / 1e6:.2f} MB",
        str(result.threads),
        f"{result.load:.0f} ms",
        f"{result.median:.3g} ms",
        f"{result.percentile_95:.3g} ms",
        f"{result.throughput:,.0f}",
        f"{result.memory:.0f} MB",
    )
