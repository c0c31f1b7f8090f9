"""List the bundled models."""

import json

import click

from dltasks.cli import options, output


@click.command(short_help="List the bundled models.")
@options.JSON
def command(as_json):
    """List the models that came with dltasks: task, how good, size.

    \b
    dltasks models
    """
    from dltasks.bundle import storage

    records = {name: storage.read_manifest(storage.find_bundle(name)) for name in storage.bundled_names()}
    if as_json:
        for name, record in records.items():
            click.echo(json.dumps({"model": name, **brief(record)}, ensure_ascii=False))
        return
    rows = [
        (name, r["task"], _score(r), f"{r['parity']['bytes'] / 1e6:.1f} MB") for name, r in records.items()
    ]
    output.table("", ("model", "task", "score on its test part, 95 % interval", "size"), rows)


def brief(record: dict) -> dict:
    """What matters most of a bundle's record."""
    test = record.get("evaluation") or {}
    return {
        "task": record["task"],
        "bytes": record["parity"]["bytes"],
        "parameters": record["parameters"],
        "scores": test.get("scores", {}),
    }


def _score(record: dict) -> str:
    for name, each in (record.get("evaluation") or {}).get("scores", {}).items():
        return f"{name.replace('_', ' ')} {each['value']:.3f} [{each['low']:.3f}, {each['high']:.3f}]"
    return "not measured"
