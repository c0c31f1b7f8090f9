"""The model card of a bundle, rendered from its manifest."""

from typing import Any


def render_card(name: str, manifest: dict[str, Any]) -> str:
    """The model card in Markdown.

    Args:
        name: Name of the model.
        manifest: Content of its bundle.json.
    """
    sections = (
        _introduction(name, manifest),
        _intended_uses(manifest),
        _training_data(manifest),
        _training_procedure(manifest),
        _evaluation(manifest),
    )
    return "\n\n".join(sections) + "\n"


def _introduction(name: str, manifest: dict[str, Any]) -> str:
    parity = manifest["parity"]
    made = "converted" if "origin" in manifest else "trained"
    return (
        f"# {name}\n\n"
        f"A network for the task `{manifest['task']}`, {made} with dltasks "
        f"{manifest['versions']['dltasks']}: {manifest['parameters']:,} parameters, "
        f"{parity['bytes'] / 1e6:.2f} MB as model.tflite (quantization: {parity['quantize']}). "
        f"A prediction takes {parity['latency']:.2g} ms on one thread of the machine it was exported on."
    )


def _intended_uses(manifest: dict[str, Any]) -> str:
    return (
        "## Intended uses and limitations\n\n"
        "The model is meant for inputs like those of its training data. For any other input its prediction "
        "is wrong, sometimes with a high probability. Do not let it decide alone where a mistake could harm "
        "someone.\n\n"
        f"{manifest['limitations'].strip()}"
    ).rstrip()


def _training_data(manifest: dict[str, Any]) -> str:
    sizes, data = manifest["training"]["examples"], manifest["data"]
    description = manifest["data_description"].strip() or "The origin and license of the data were not given."
    if "origin" in manifest:
        return f"## Training data\n\n{description}"
    return (
        f"## Training data\n\n{description}\n\n"
        f"{sizes['train']} training, {sizes['val']} validation and {sizes['test']} test examples, from "
        f"{data['files']} file{'s' * (data['files'] != 1)} of {data['bytes']} bytes in total "
        f"(sha256 `{data['sha256']}`)."
    )


def _training_procedure(manifest: dict[str, Any]) -> str:
    if "origin" in manifest:
        return (
            "## Training procedure\n\n"
            f"The weights are those of {_origin(manifest['origin'])} They were not trained further."
        )
    start = f" It started from the weights of {_origin(manifest['start'])}" if "start" in manifest else ""
    training, config = manifest["training"], manifest["config"]
    settings = ", ".join(
        f"{name} {_setting(value)}" for name, value in config.items() if value not in (None, [], ())
    )
    interrupted = " The run was interrupted." if training["interrupted"] else ""
    return (
        "## Training procedure\n\n"
        f"{training['epochs']} epochs in {training['seconds'] / 60:.0f} minutes; epoch "
        f"{training['best_epoch']} had the best validation score.{interrupted}{start} "
        f"Training config: {settings}. "
        "To train with the same config, pass this folder to `dltasks train --config-from`."
    )


def _origin(origin: dict[str, str]) -> str:
    """Weights that others made, as the end of a sentence."""
    return f"{origin['name']} (source: {origin['source']}; license: {origin['license']})."


def _setting(value: Any) -> str:
    return " and ".join(value) if isinstance(value, list | tuple) else str(value)


def _evaluation(manifest: dict[str, Any]) -> str:
    evaluation, parity = manifest["evaluation"], manifest["parity"]
    if not evaluation and "origin" in manifest:
        measured = manifest["origin"].get("evaluation", "Not evaluated.")
        return f"## Evaluation\n\n{measured}\n\n{_parity(parity)}"
    if not evaluation:
        return (
            "## Evaluation\n\n"
            "Not evaluated, as there was no test split. `dltasks evaluate` scores the model on your own data."
        )
    rows = "\n".join(
        f"| {name.replace('_', ' ')} | {score['value']:.4f} | {score['low']:.4f} to {score['high']:.4f} "
        f"| {score['count']} |"
        for name, score in evaluation["scores"].items()
    )
    return (
        "## Evaluation\n\n"
        f"Evaluated on {manifest['protocol']}.\n\n"
        f"| score | value | 95 % interval | examples |\n|---|---|---|---|\n{rows}\n\n"
        "95 % intervals: Wilson for proportions, Poisson for hourly rates, bias-corrected bootstrap "
        "otherwise.\n\n"
        f"{_parity(parity)}{_stream_parity(manifest)}"
        f"{''.join(map(_table, evaluation.get('tables', ())))}"
    )


def _parity(parity: dict[str, Any]) -> str:
    return (
        f"The top-1 prediction of model.tflite equals the Keras network's on {parity['agreement']:.1%} of "
        f"{parity['count']} examples; their outputs differ by at most {parity['max_difference']:.2g}."
    )


def _stream_parity(manifest: dict[str, Any]) -> str:
    parity = manifest.get("stream_parity")
    if not parity:
        return ""
    return (
        f" stream.tflite, which takes a stream in chunks, agrees on {parity['agreement']:.1%} of "
        f"{parity['count']} examples, with a difference of at most {parity['max_difference']:.2g}, and takes "
        f"{parity['latency']:.2f} ms per chunk."
    )


def _table(table: dict[str, Any]) -> str:
    lines = [table["columns"], ["---"] * len(table["columns"]), *table["rows"]]
    return f"\n\n### {table['title']}\n\n" + "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
