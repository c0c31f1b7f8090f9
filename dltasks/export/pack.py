"""Pack a .tflite that is a bundle in itself: standard metadata, and a zip of its other files at the end."""

import json
from typing import Any

from dltasks.bundle import card
from dltasks.bundle.storage import AUTHOR, CARD_FILE, MANIFEST_FILE, append_files
from dltasks.export.parity import PARITY_FILE, Parity
from dltasks.fields import save_assets
from dltasks.files import hash_bytes
from dltasks.litert import golden, metadata
from dltasks.litert.runtime import Arrays, Runtime
from dltasks.task import Task


def pack_tflite(
    name: str, model: bytes, manifest: dict[str, Any], task: Task, inputs: Arrays, parity: Parity
) -> bytes:
    """A .tflite with standard metadata, and with a zip of its manifest, assets, card and golden vectors.

    inputs: encoded inputs (count, ...) that the golden vectors are drawn from. No input is stored: golden
    vectors mix values of different examples.
    """
    model = metadata.add_metadata(
        model, _description(name, model, manifest), task.describe().tensors, [CARD_FILE, MANIFEST_FILE]
    )
    # The golden vectors run the very file that is written.
    files = save_assets(task) | {
        CARD_FILE: card.render_card(name, manifest).encode("utf-8"),
        golden.GOLDEN_FILE: golden.create_golden(Runtime(model), inputs),
        PARITY_FILE: json_bytes(parity.to_json()),
    }
    members = {member: _hash_entry(content) for member, content in files.items()}
    manifest = manifest | {"model": _hash_entry(model), "members": members}
    return append_files(model, {MANIFEST_FILE: json_bytes(manifest), **files})


def json_bytes(value: dict[str, Any]) -> bytes:
    """Compact JSON in UTF-8."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8")


def _description(name: str, model: bytes, manifest: dict[str, Any]) -> dict[str, str]:
    """The general fields of the standard metadata."""
    return {
        "name": name,
        "description": f"A network for the task {manifest['task']}; see {CARD_FILE} in the zip at the end.",
        "version": hash_bytes(model)[:12],
        "author": f"{AUTHOR} {manifest['versions']['dltasks']}",
        "license": f"that of the data; see {CARD_FILE}",
    }


def _hash_entry(content: bytes) -> dict[str, object]:
    return {"bytes": len(content), "sha256": hash_bytes(content)}
