"""What a .tflite is made of: its inputs and outputs, the operations it needs, its size, what it says of itself."""

from collections import Counter
from typing import Any

import numpy as np

from dltasks.errors import ModelError
from dltasks.litert import metadata
from dltasks.litert.runtime import Runtime


def model_summary(model: bytes) -> dict[str, Any]:
    """Plain values: "bytes", "signatures" with the "inputs" and "outputs" of each, "operations" with how often each
    stands in it, and its standard "metadata". Raises ModelError.
    """
    runtime = Runtime(model)
    try:
        told: dict[str, Any] = metadata.read_metadata(model)
    except ModelError as error:
        told = {"damaged": str(error)}
    return {
        "bytes": len(model),
        "signatures": {
            name or "": {
                side: list(map(_tensor, each.items())) for side, each in _sides(runtime, name).items()
            }
            for name in runtime.signatures or (None,)
        },
        "operations": _operations(model),
        "metadata": told,
    }


def _sides(runtime: Runtime, signature: str | None) -> dict[str, dict]:
    return {"inputs": runtime.input_details(signature), "outputs": runtime.output_details(signature)}


def _tensor(named: tuple[str, dict]) -> dict[str, Any]:
    name, detail = named
    scale, zero = detail["quantization"]
    found = {
        "name": name,
        "dtype": np.dtype(detail["dtype"]).name,
        "shape": [int(size) for size in detail["shape_signature"]],
    }
    return found | ({"scale": round(float(scale), 8), "zero": int(zero)} if scale else {})


def _operations(model: bytes) -> dict[str, int]:
    from ai_edge_litert import schema_py_generated as schema

    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    network = schema.Model.GetRootAs(model, 0)
    found: Counter[str] = Counter()
    for i in range(network.SubgraphsLength()):
        graph = network.Subgraphs(i)
        for j in range(graph.OperatorsLength()):
            code = network.OperatorCodes(graph.Operators(j).OpcodeIndex())
            number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
            custom = (code.CustomCode() or b"").decode("utf-8", "replace")
            found[custom or names.get(number, str(number))] += 1
    return dict(found.most_common())


def summary_rows(told: dict[str, Any]):
    """Pairs of what and value, for people."""
    for signature, sides in told["signatures"].items():
        for side, tensors in sides.items():
            for each in tensors:
                shape = ", ".join("any" if size < 0 else str(size) for size in each["shape"])
                quantised = f", {each['scale']:g} * (value - {each['zero']})" if "scale" in each else ""
                where = f" of {signature}" if len(told["signatures"]) > 1 else ""
                yield f"{side[:-1]}{where}", f"{each['name']}: {each['dtype']} ({shape}){quantised}"
    yield "operations", ", ".join(f"{name} {count}" for name, count in told["operations"].items())
    yield "size", f"{told['bytes']:,} bytes"
    for name in ("name", "description", "version", "author", "license", "damaged"):
        if name in told["metadata"]:
            yield f"metadata {name}", told["metadata"][name]
