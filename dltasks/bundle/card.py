"""The card of a bundle: what it is, how good, and what it is not for; written from what bundle.json records."""

from typing import Any


def render_card(name: str, record: dict[str, Any]) -> str:
    """Markdown."""
    parts = (_head(name, record), _scores(record), _data(record), _making(record), _limits(record))
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(name: str, record: dict[str, Any]) -> str:
    parity = record["parity"]
    return (
        f"# {name}\n\n"
        f"A network for the task `{record['task']}`, trained with dltasks {record['versions']['dltasks']}: "
        f"{record['parameters']:,} parameters, {parity['bytes'] / 1e6:.2f} MB as model.tflite "
        f"(quantisation: {parity['quantize']}), {parity['latency']:.2g} ms an input on one thread of the machine "
        "it was exported on."
    )


def _scores(record: dict[str, Any]) -> str:
    test = record["evaluation"]
    if not test:
        return "## How good\n\nNot measured: there was no test part. `dltasks evaluate` measures it on data of yours."
    rows = "\n".join(
        f"| {name.replace('_', ' ')} | {each['value']:.4f} | {each['low']:.4f} to {each['high']:.4f} | {each['count']} |"
        for name, each in test["scores"].items()
    )
    parity = record["parity"]
    return (
        "## How good\n\n"
        f"Measured on {record['protocol']}.\n\n"
        f"| score | value | 95 % interval | examples |\n|---|---|---|---|\n{rows}\n\n"
        "Intervals of shares are Wilson's, of rates an hour Poisson's, the others bootstrapped (500 rounds, less the "
        "bias). "
        f"Against the Keras network the file gives the same first answer on {parity['agreement']:.1%} of "
        f"{parity['count']} examples; the largest difference of a probability is {parity['max_difference']:.2g}."
        f"{_stream(record)}"
        f"{''.join(map(_table, test.get('tables', ())))}"
    )


def _table(table: dict[str, Any]) -> str:
    lines = [table["columns"], ["---"] * len(table["columns"]), *table["rows"]]
    return f"\n\n### {table['title']}\n\n" + "\n".join(f"| {' | '.join(each)} |" for each in lines)


def _stream(record: dict[str, Any]) -> str:
    parity = record.get("stream_parity")
    if not parity:
        return ""
    return (
        f" Its stream.tflite, which hears piece by piece, gives the same on {parity['agreement']:.1%} of "
        f"{parity['count']}, within {parity['max_difference']:.2g}, in {parity['latency']:.2f} ms a piece."
    )


def _data(record: dict[str, Any]) -> str:
    counts, data = record["training"]["examples"], record["data"]
    known = (
        f"{counts['train']} examples to train on, {counts['val']} to choose by, {counts['test']} to judge by; "
        f"{data['files']} file{'s' * (data['files'] != 1)} of {data['bytes']} bytes in all, sha256 `{data['sha256']}`."
    )
    about = (
        record["data_description"]
        or "Its owner has not said where the data comes from nor under which licence."
    )
    return f"## Trained on what\n\n{about.strip()}\n\n{known}"


def _making(record: dict[str, Any]) -> str:
    training, config = record["training"], record["config"]
    settings = ", ".join(
        f"{name} {_set(value)}" for name, value in config.items() if value not in (None, [], ())
    )
    cut = " The run was interrupted." if training["interrupted"] else ""
    return (
        "## How it was made\n\n"
        f"{training['epochs']} epochs in {training['seconds'] / 60:.0f} minutes; the best by validation was epoch "
        f"{training['best_epoch']}.{cut} Plan: {settings}. "
        "`dltasks train --config-from` this folder repeats it."
    )


def _set(value) -> str:
    return " and ".join(value) if isinstance(value, list | tuple) else str(value)


def _limits(record: dict[str, Any]) -> str:
    return (
        "## What it can't do\n\n"
        "It knows what its training data showed and nothing else: an input of any other kind gets a wrong answer, "
        "sometimes with a high probability. Do not let it decide alone where a mistake harms someone.\n\n"
        f"{record['limitations'].strip()}"
    )
