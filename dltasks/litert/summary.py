"""Summary of a .tflite file: its inputs and outputs, operations, size and metadata."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from dltasks.errors import ModelError
from dltasks.litert.metadata import read_metadata
from dltasks.litert.runtime import Details, Runtime


def model_summary(model: bytes) -> dict[str, Any]:
    """Summarize a .tflite file.

    Args:
        model: Content of the file.

    Returns:
        Plain values: "bytes"; "signatures", by name, with their "inputs" and "outputs"; "operations", with
        the number of occurrences of each; and the standard "metadata".

    Raises:
        ModelError: LiteRT can't load the file.
    """
    runtime = Runtime(model)
    try:
        metadata = read_metadata(model)
    except ModelError as error:
        metadata = {"damaged": str(error)}
    return {
        "bytes": len(model),
        "signatures": {
            signature or "": {
                "inputs": _summarize_tensors(runtime.input_details(signature)),
                "outputs": _summarize_tensors(runtime.output_details(signature)),
            }
            for signature in runtime.signatures or (None,)
        },
        "operations": _count_operations(model),
        "metadata": metadata,
    }


def _summarize_tensors(details: Details) -> list[dict[str, Any]]:
    return [_summarize_tensor(name, detail) for name, detail in details.items()]


def _summarize_tensor(name: str, detail: dict[str, Any]) -> dict[str, Any]:
    scale, zero_point = detail["quantization"]
    summary = {
        "name": name,
        "dtype": np.dtype(detail["dtype"]).name,
        "shape": [int(size) for size in detail["shape_signature"]],
    }
    return summary | ({"scale": round(float(scale), 8), "zero": int(zero_point)} if scale else {})


def _count_operations(model: bytes) -> dict[str, int]:
    from ai_edge_litert import schema_py_generated as schema

    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    network = schema.Model.GetRootAs(model, 0)
    counts: Counter[str] = Counter()
    for i in range(network.SubgraphsLength()):
        subgraph = network.Subgraphs(i)
        for j in range(subgraph.OperatorsLength()):
            code = network.OperatorCodes(subgraph.Operators(j).OpcodeIndex())
            number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
            custom = (code.CustomCode() or b"").decode("utf-8", "replace")
            counts[custom or names.get(number, str(number))] += 1
    return dict(counts.most_common())


def summary_rows(summary: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """A model summary as pairs of name and value, for people."""
    for signature, sides in summary["signatures"].items():
        suffix = f" of {signature}" if len(summary["signatures"]) > 1 else ""
        for side, tensors in sides.items():
            for tensor in tensors:
                yield f"{side[:-1]}{suffix}", _describe_tensor(tensor)
    yield "operations", ", ".join(f"{name} {count}" for name, count in summary["operations"].items())
    yield "size", f"{summary['bytes']:,} bytes"
    for name in ("name", "description", "version", "author", "license", "damaged"):
        if name in summary["metadata"]:
            yield f"metadata {name}", summary["metadata"][name]


def _describe_tensor(tensor: dict[str, Any]) -> str:
    shape = ", ".join("any" if size < 0 else str(size) for size in tensor["shape"])
    scaling = f", {tensor['scale']:g} * (value - {tensor['zero']})" if "scale" in tensor else ""
    return f"{tensor['name']}: {tensor['dtype']} ({shape}){scaling}"
