"""Pages of the documentation: their code blocks as steps to run, their data, their links."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import data_summary
import drawings
import numpy as np
import soundfile
import sounds
from conftest import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
"""Pages whose code blocks run."""

FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)

BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.DOTALL | re.MULTILINE)

INSTALLATION = re.compile(r"(python3 -m venv|pip install|git clone|cd) |\. \.venv/|pytest$")
"""Steps that the tests do not repeat."""

PLAIN_COMMAND = re.compile(r"dltasks [^|&;*$`()~]*")
"""A command without anything of the shell but redirections."""

PREPARATIONS = {
    "runs/flowers": "dltasks train image flowers/ --out runs/flowers",
    "flowers.tflite": "dltasks export runs/flowers --out flowers.tflite",
    "runs/words": "dltasks train speech words/ --out runs/words",
    "words.tflite": "dltasks export runs/words --out words.tflite",
    "runs/fraud": "dltasks train fraud samples/fraud/transactions.csv --label fraud --out runs/fraud",
    "runs/extract": "dltasks train summary pairs.jsonl --out runs/extract",
}
"""Commands for the models that a page uses without writing them itself."""

Step = tuple[str, str]
"""A kind, "command", "shell" or "python", and the text."""


def steps(page: Path) -> list[Step]:
    """The steps of a page in order, each model written before it is used, training shortened."""
    available: set[str] = set()
    prepared: list[Step] = []
    for kind, text in _steps_as_written(page):
        prepared += [("command", command) for command in _prepare(text, available)]
        prepared.append((kind, text))
    return [(kind, shorten(text) if kind == "command" else text) for kind, text in prepared]


def commands(page: Path) -> list[str]:
    """The `dltasks` commands in the blocks of a page, as written."""
    return [text for kind, text in _steps_as_written(page) if kind != "python"]


def _steps_as_written(page: Path) -> Iterator[Step]:
    for language, block in BLOCK.findall(page.read_text(encoding="utf-8")):
        if language == "python":
            yield "python", block
            continue
        for line in block.replace("\\\n", "").splitlines():
            parts = [part.strip() for part in line.split(" && ")]
            for part in parts:
                if part and not part.startswith("#") and not INSTALLATION.match(part):
                    yield "command" if PLAIN_COMMAND.fullmatch(part) else "shell", part


def _prepare(text: str, available: set[str]) -> Iterator[str]:
    """Commands that write the models in `text` which are not available yet; updates `available`."""
    for target, command in PREPARATIONS.items():
        pattern = rf"(?<![\w/.-]){re.escape(target)}(?![\w.-])"
        if target in available or not re.search(pattern, text):
            continue
        available.add(target)
        if not re.search(rf"""(--out |-o |out="|export\("){re.escape(target)}(?![\w.-])""", text):
            yield from _prepare(command.removesuffix(target), available)
            yield command


def shorten(command: str) -> str:
    """The command; a training run only long enough to predict something."""
    if not command.startswith("dltasks train ") or "--help" in command:
        return command
    epochs = 3 if re.search("image|flowers", command) else 12
    return f"{command} --epochs {epochs}"


def write_data(folder: Path) -> None:
    """Write the files that the examples name."""
    drawings.folder(folder / "flowers", 12)
    shutil.copy(folder / "flowers/disc/000.jpg", folder / "flowers/disc/copy.jpg")
    drawings.folder(folder / "more-flowers", 4, first=100)
    drawings.folder(folder / "holiday", 2)
    drawings.draw("disc", 7).save(folder / "photo.jpg")
    (folder / "list.txt").write_text("photo.jpg\nholiday/disc/000.jpg\n")
    sounds.folder(folder / "words", 24)
    sounds.folder(folder / "more-words", 4, first=100)
    whistles = [sounds.whistle("rise", seed, seconds=2.0) for seed in range(5)]
    soundfile.write(folder / "long.wav", np.concatenate(whistles), sounds.RATE)
    for name, count in (("pairs", 60), ("more-pairs", 20)):
        data_summary.make(folder / name, count).rename(folder / f"{name}.jsonl")
    shutil.copy(ROOT / "samples/summary/lighthouse.md", folder / "article.md")
    (folder / "samples").symlink_to(ROOT / "samples")


def links(page: Path) -> list[str]:
    """The targets of the links and images of a page that are not on the web."""
    text = re.sub(r"`[^`\n]*`", "", FENCED.sub("", page.read_text(encoding="utf-8")))
    targets = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|href)="([^"]+)"', text)
    return [target for target in targets if not re.match(r"[a-z]+:", target)]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ +(.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
