"""List the bundled models."""

from typing import Any

import click

from dltasks.cli import options, output
from dltasks.cli.grouping import GroupedCommand


@click.command(cls=GroupedCommand)
@options.json_output
def command(as_json: bool) -> None:
    """List the models that come with dltasks: task, test score and size.

    \b
    dltasks models
    dltasks models --json
    """
    from dltasks.bundle import storage

    manifests = {folder: storage.read_manifest(folder) for folder in _folders()}
    if as_json:
        for folder, manifest in manifests.items():
            output.print_json({"model": folder.name, **summarize_manifest(manifest)})
        return
    rows = [
        (
            folder.name,
            manifest["task"],
            _first_score(manifest),
            f"{manifest['parity']['bytes'] / 1e6:.1f} MB",
        )
        for folder, manifest in manifests.items()
    ]
    output.print_table("", ("model", "task", "test score, 95 % interval", "size"), rows)


def _folders() -> list[Any]:
    from dltasks.bundle import storage

    folders = map(storage.find_bundle, storage.bundled_names())
    return [folder for folder in folders if folder is not None]


def summarize_manifest(manifest: dict[str, Any]) -> dict[str, Any]:
    """Task, size in bytes, number of parameters and scores of a bundle."""
    evaluation = manifest.get("evaluation") or {}
    return {
        "task": manifest["task"],
        "bytes": manifest["parity"]["bytes"],
        "parameters": manifest["parameters"],
        "scores": evaluation.get("scores", {}),
    }


def _first_score(manifest: dict[str, Any]) -> str:
    for name, score in (manifest.get("evaluation") or {}).get("scores", {}).items():
        return f"{name.replace('_', ' ')} {score['value']:.3f} [{score['low']:.3f}, {score['high']:.3f}]"
    return "not measured"
