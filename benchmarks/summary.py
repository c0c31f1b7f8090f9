"""Summaries beside baselines: SciTLDR, other domains, arXiv headlines, speed and memory, ten texts to read.

    python benchmarks/summary.py ../shared/data [--only scitldr|domains|choosing|headlines|speed|read]
        [--sentences MODEL] [--headlines MODEL]

SciTLDR: abstracts of the official dev split, one sentence, the maximum over the references. Domains: texts/
beside this file, those with odd numbers, as settings were chosen on the others ("choosing"). Headlines: the
titles of the test split, of May 2026. None of these were trained on. Intervals are 95 %, bootstrapped over
texts.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from measure import COMMAND, ROOT, measure_process, median, run_interleaved, write_results

import dltasks
from dltasks.parallel import parallel_map
from dltasks.tasks.summary import baselines, metrics
from dltasks.tasks.summary.documents import Document
from dltasks.tasks.summary.examples import Reference

TEXTS = Path(__file__).parent / "texts"
SENTENCES = {"news": 2, "articles": 3}
"""Number of sentences of a summary in each domain."""

ROUGE_COLUMNS = ("ROUGE-1", "ROUGE-2", "ROUGE-L")
BOOK_SIZES = (250_000, 500_000, 1_000_000)

Texts = tuple[list[Document], list[tuple[str, ...]]]
"""Documents, and the reference summaries of each."""


def predict(model: Any, documents: list[Document], **length: Any) -> list:
    """The model's predictions, on all cores."""
    task = replace(model.task, **length)
    return list(parallel_map(lambda document: task.predict([document], model.runtime.run)[0], documents))


def score(name: str, model: Any, texts: Texts, **length: Any) -> None:
    """Print and save ROUGE of the model and of the baselines."""
    documents, references = texts
    task = replace(model.task, **length)
    labels = [Reference(summaries) for summaries in references]
    evaluation = metrics.evaluate(task, predict(model, documents, **length), labels)
    rouge = [value for key, value in evaluation.scores.items() if key.startswith("rouge")]
    rows = {model.name: [format_percent(value) for value in rouge]}
    rows |= {row[0]: list(row[1:]) for row in evaluation.tables[0].rows}
    write_results(
        f"summary_{name}",
        {"texts": len(documents), "rows": rows, "scores": evaluation.to_json()["scores"]},
        [(method, *cells) for method, cells in rows.items()],
        (f"{name}, {len(documents)} texts", *ROUGE_COLUMNS),
    )
    for key, value in evaluation.scores.items():
        if not key.startswith("rouge"):
            print(f"{key}: {value}")


def format_percent(score: Any) -> str:
    return f"{100 * score.value:.1f} [{100 * score.low:.1f}, {100 * score.high:.1f}]"


def scitldr(data: Path) -> Texts:
    """The official dev split."""
    rows = pl.read_parquet(data / "text_scitldr_a/dev.parquet").to_dicts()
    return [Document(row["source"], row["id"]) for row in rows], [tuple(row["targets"]) for row in rows]


def arxiv(data: Path) -> Texts:
    """The test split: papers first listed in May 2026."""
    rows = pl.read_parquet(data / "text_arxiv_titles/pairs.parquet").filter(pl.col.split == "test").to_dicts()
    return [Document(row["abstract"], row["id"]) for row in rows], [(row["title"],) for row in rows]


def domain(name: str, odd: bool = True) -> Texts:
    """Texts of another domain with odd numbers, or the others, which settings were chosen on."""
    rows = [json.loads(line) for line in (TEXTS / f"{name}.jsonl").read_text().splitlines()]
    rows = [row for row in rows if int(row["id"][-3:]) % 2 == odd]
    return [Document(row["text"], row["id"]) for row in rows], [tuple(row["summaries"]) for row in rows]


def speed(model: Any, data: Path) -> None:
    """Print and save the time of a text beside sumy's, of a process beside a photo's, and of a book."""
    abstracts = [document for document in scitldr(data)[0] if len(document) >= 4][:200]
    rows: list[tuple[str, ...]] = []
    result: dict[str, Any] = {}
    for name, documents in (("abstracts", abstracts), ("news", domain("news")[0])):
        result[name] = times = median_times(model, documents)
        count = round(np.mean([len(document) for document in documents]))
        for method, milliseconds in times.items():
            ratio = f"{milliseconds / times['TextRank']:.2f} of TextRank's"
            rows.append((f"{name} of {count} sentences: {method}", f"{milliseconds:.1f} ms", ratio))
    result["process_ms"] = times = process_times()
    for name, milliseconds in times.items():
        ratio = f"{milliseconds / times['classify']:.2f} of a photo's"
        rows.append((f"process: {name}", f"{milliseconds:.0f} ms", ratio))
    book = " ".join(document.text for document in domain("articles")[0] + domain("news")[0]) * 9
    for size in BOOK_SIZES:
        run = summarize_book(book[:size])
        result[f"book_{size}"] = {"seconds": run.wall, "megabytes": run.memory}
        rows.append((f"a text of {size:,} characters", f"{run.wall:.1f} s", f"{run.memory:.0f} MB"))
    write_results("summary_speed", result, rows, ("what", "", ""))


def median_times(model: Any, documents: list[Document]) -> dict[str, float]:
    """Median milliseconds of a text by method; the methods take turns."""
    methods: dict[str, Callable[[Document], Any]] = {
        model.name: lambda document: model.task.predict([document], model.runtime.run)
    }
    for name in baselines.SUMY_METHODS:
        methods[name] = partial(baselines.summarize_with_sumy, name, count=3)
    times: dict[str, list[float]] = {name: [] for name in methods}
    for document in documents:
        for name, summarize in methods.items():
            # A new document each time: it caches its sentences.
            fresh = Document(document.text)
            start = time.perf_counter()
            summarize(fresh)
            times[name].append(1000 * (time.perf_counter() - start))
    return {name: statistics.median(values) for name, values in times.items()}


def process_times() -> dict[str, float]:
    """Median milliseconds of a whole process by command."""
    abstract = str(ROOT / "samples/summary/abstract.txt")
    commands = {
        "summarize": [COMMAND, "summarize", abstract],
        "headline": [COMMAND, "summarize", "--style=headline", abstract],
        "classify": [COMMAND, "classify", str(ROOT / "samples/image/coffee.jpg")],
    }
    return {name: 1000 * median(runs, "wall") for name, runs in run_interleaved(commands, 9).items()}


def summarize_book(text: str) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "book.txt"
        path.write_text(text)
        return measure_process([COMMAND, "summarize", str(path), "--sentences", "10", "--json"])


def read(model: Any, headline_model: Any, data: Path) -> None:
    """Print ten texts with their summaries and headlines."""
    documents = [
        *domain("news")[0][:4],
        *domain("articles")[0][:1],
        *scitldr(data)[0][:3],
        *arxiv(data)[0][:2],
    ]
    for document in documents:
        summary = predict(model, [document], sentences=2)[0].summary
        headline = predict(headline_model, [document])[0].summary
        print(
            f"## {document.name}\n\n{document.text}\n\n**Summary:** {summary}\n\n**Headline:** {headline}\n"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", choices=("scitldr", "domains", "choosing", "headlines", "speed", "read"))
    parser.add_argument("--sentences", default="sentences", help="Extractive model.")
    parser.add_argument("--headlines", default="headlines", help="Headline model.")
    arguments = parser.parse_args()
    model, only = dltasks.load(arguments.sentences), arguments.only
    if only in (None, "scitldr"):
        score("scitldr", model, scitldr(arguments.data), sentences=1)
    if only in (None, "domains", "choosing"):
        for name, count in SENTENCES.items():
            odd = only != "choosing"
            score(name if odd else f"{name}_choosing", model, domain(name, odd), sentences=count)
    if only in (None, "headlines"):
        score("headlines", dltasks.load(arguments.headlines), arxiv(arguments.data))
    if only in (None, "speed"):
        speed(model, arguments.data)
    if only in (None, "read"):
        read(model, dltasks.load(arguments.headlines), arguments.data)


if __name__ == "__main__":
    main()
