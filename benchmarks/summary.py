"""Summaries against others: SciTLDR, texts of other domains, headlines of arXiv, speed, memory, and ten to read.

    python benchmarks/summary.py ../shared/data [--only scitldr|domains|headlines|speed|read] [--sentences MODEL]
        [--headlines MODEL]

SciTLDR: abstracts of the official dev part, one sentence, the best over the references. Domains: texts/ beside this file,
those with odd numbers, as settings were chosen on the others. Headlines: the titles of the test part of May 2026. None of these
were trained on. Intervals are 95 %, bootstrapped over texts.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
from measured import COMMAND, ROOT, in_turn, measured, median, progress

import dltasks
from dltasks.parallel import parallel_map
from dltasks.tasks.summary import metrics
from dltasks.tasks.summary.data import Truth
from dltasks.tasks.summary.documents import Document

TEXTS = Path(__file__).parent / "texts"
SENTENCES = {"news": 2, "articles": 3}
KINDS = ("ROUGE-1", "ROUGE-2", "ROUGE-L")


def answered(model, texts: list[Document], **asked) -> list:
    """The model's answers, on all cores."""
    task = replace(model.task, **asked)
    return list(parallel_map(lambda each: task.predict([each], model.runtime.run)[0], texts))


def judged(name: str, model, texts: list[Document], references: list[tuple[str, ...]], **asked) -> dict:
    """ROUGE of ours and of the others, and what is printed of it."""
    task = replace(model.task, **asked)
    found = metrics.evaluate(task, answered(model, texts, **asked), [Truth(each) for each in references])
    rows = {model.name: [_percent(each) for key, each in found.scores.items() if key.startswith("rouge")]}
    rows |= {row[0]: list(row[1:]) for row in found.tables[0].rows}
    progress(
        f"summary_{name}",
        {"texts": len(texts), "rows": rows, "scores": found.to_json()["scores"]},
        [(method, *cells) for method, cells in rows.items()],
        (f"{name}, {len(texts)} texts", *KINDS),
    )
    for key, each in found.scores.items():
        if not key.startswith("rouge"):
            print(f"{key}: {each}")
    return rows


def _percent(score) -> str:
    return f"{100 * score.value:.1f} [{100 * score.low:.1f}, {100 * score.high:.1f}]"


def scitldr(data: Path) -> tuple[list[Document], list[tuple[str, ...]]]:
    """The official dev part."""
    rows = pl.read_parquet(data / "text_scitldr_a/dev.parquet").to_dicts()
    return [Document(each["source"], each["id"]) for each in rows], [tuple(each["targets"]) for each in rows]


def arxiv(data: Path) -> tuple[list[Document], list[tuple[str, ...]]]:
    """The test part: papers first listed in May 2026."""
    rows = pl.read_parquet(data / "text_arxiv_titles/pairs.parquet").filter(pl.col.split == "test").to_dicts()
    return [Document(each["abstract"], each["id"]) for each in rows], [(each["title"],) for each in rows]


def domain(name: str, odd: bool = True) -> tuple[list[Document], list[tuple[str, ...]]]:
    """Texts of another domain; those with odd numbers, or the others, that settings were chosen on."""
    rows = [json.loads(line) for line in (TEXTS / f"{name}.jsonl").read_text().splitlines()]
    rows = [each for each in rows if int(each["id"][-3:]) % 2 == odd]
    return [Document(each["text"], each["id"]) for each in rows], [tuple(each["summaries"]) for each in rows]


def speed(model, data: Path) -> None:
    """Time of a text beside sumy's, of a process beside a photo's, and of a book of a million characters."""
    texts = [each for each in scitldr(data)[0] if len(each) >= 4][:200]
    texts += domain("news")[0]
    rows, result = [], {}
    for name, some in (("abstracts", texts[:200]), ("news", texts[200:])):
        ways: dict[str, Callable] = {
            model.name: lambda each: model.task.predict([Document(each.text)], model.runtime.run)
        }
        ways |= {
            peer: lambda each, p=peer: metrics.graph(p, Document(each.text), 3) for peer in metrics.GRAPHS
        }
        times = {way: [] for way in ways}
        for each in some:
            for way, function in ways.items():
                began = time.perf_counter()
                function(each)
                times[way].append(1000 * (time.perf_counter() - began))
        found = {way: statistics.median(each) for way, each in times.items()}
        result[name] = found
        count = round(np.mean([len(each) for each in some]))
        rows += [
            (
                f"{name} of {count} sentences: {way}",
                f"{each:.1f} ms",
                f"{each / found['TextRank']:.2f} of TextRank's",
            )
            for way, each in found.items()
        ]
    commands = {
        "summarize": [COMMAND, "summarize", str(ROOT / "samples/summary/abstract.txt")],
        "headline": [COMMAND, "summarize", "--style=headline", str(ROOT / "samples/summary/abstract.txt")],
        "classify": [COMMAND, "classify", str(ROOT / "samples/image/coffee.jpg")],
    }
    cold = {name: 1000 * median(each, "wall") for name, each in in_turn(commands, 9).items()}
    result["process_ms"] = cold
    rows += [
        (f"process: {name}", f"{each:.0f} ms", f"{each / cold['classify']:.2f} of a photo's")
        for name, each in cold.items()
    ]
    book = " ".join(each.text for each in domain("articles")[0] + domain("news")[0]) * 9
    for size in (250_000, 500_000, 1_000_000):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "book.txt"
            path.write_text(book[:size])
            run = measured([COMMAND, "summarize", str(path), "--sentences", "10", "--json"])
        result[f"book_{size}"] = {"seconds": run.wall, "megabytes": run.memory}
        rows.append((f"a text of {size:,} characters", f"{run.wall:.1f} s", f"{run.memory:.0f} MB"))
    progress("summary_speed", result, rows, ("what", "", ""))


def read(model, headline, data: Path) -> None:
    """Print ten texts with what was made of them."""
    texts = [*domain("news")[0][:4], *domain("articles")[0][:1], *scitldr(data)[0][:3], *arxiv(data)[0][:2]]
    for each in texts:
        summary, line = answered(model, [each], sentences=2)[0], answered(headline, [each])[0]
        print(
            f"## {each.name}\n\n{each.text}\n\n**Summary:** {summary.summary}\n\n**Headline:** {line.summary}\n"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", choices=("scitldr", "domains", "choosing", "headlines", "speed", "read"))
    parser.add_argument("--sentences", default="sentences", help="The extractive model.")
    parser.add_argument("--headlines", default="headlines", help="The one that writes headlines.")
    given = parser.parse_args()
    model = dltasks.load(given.sentences)
    if given.only in (None, "scitldr"):
        judged("scitldr", model, *scitldr(given.data), sentences=1)
    if given.only in (None, "domains", "choosing"):
        for name, count in SENTENCES.items():
            odd = given.only != "choosing"
            judged(name if odd else f"{name}_choosing", model, *domain(name, odd), sentences=count)
    if given.only in (None, "headlines"):
        judged("headlines", dltasks.load(given.headlines), *arxiv(given.data))
    if given.only in (None, "speed"):
        speed(model, given.data)
    if given.only in (None, "read"):
        read(model, dltasks.load(given.headlines), given.data)


if __name__ == "__main__":
    main()
