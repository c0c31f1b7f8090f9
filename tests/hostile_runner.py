"""Hostile files put through dltasks, many in one process that may take a gigabyte more than it begins with.

python tests/hostile_runner.py --count 20000 --seed 1            all kinds, that many cases in all
python tests/hostile_runner.py photo/17/0                        one case again, here
"""

import argparse
import faulthandler
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

if __package__ is None:
    sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

import hostile
import hostile_bundles

SECONDS = 10
"""How long a case may take before its process is ended."""

BYTES = 1 << 30
"""How much memory a case may take beyond what its process began with."""


@dataclass
class Outcome:
    """What became of cases: how many ended in which way, and the failures by name."""

    counts: Counter = field(default_factory=Counter)
    failures: dict[str, str] = field(default_factory=dict)
    slow: list[tuple[float, str]] = field(default_factory=list)

    @property
    def total(self) -> int:
        return sum(self.counts.values())


# --- the parent


def run(kind: str, numbers: range, folder: Path, seed: int = 0) -> Outcome:
    """The cases of these numbers in processes of their own; one that dies or hangs costs only its case."""
    outcome, left = Outcome(), numbers
    while len(left):
        left = _watched(kind, left, folder, seed, outcome)
    return outcome


def _watched(kind: str, numbers: range, folder: Path, seed: int, outcome: Outcome) -> range:
    """Run until the process ends; gives the numbers that are left."""
    command = [
        sys.executable,
        __file__,
        "--worker",
        kind,
        str(numbers.start),
        str(numbers.stop),
        str(numbers.step),
    ]
    place = Path(tempfile.mkdtemp(prefix=f"{kind}-", dir=folder))
    with open(place / "errors", "w+b") as errors:
        process = subprocess.Popen(
            [*command, "--seed", str(seed), "--folder", str(place)],
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=place,
            env={**os.environ, "PYTHONPATH": str(hostile.ROOT)},
        )
        current, began = None, time.monotonic()
        for line in _lines(process):
            word, _, rest = line.partition(" ")
            if word == "begin":
                current, began = rest, time.monotonic()
            elif word == "end":
                outcome.counts[rest] += 1
                outcome.slow.append((time.monotonic() - began, current))
                current = None
            elif word == "fail":
                outcome.failures[current] = rest.replace("\\n", "\n")
        process.stdout.close()
        code = process.wait()
        errors.seek(0)
        said = errors.read().decode("utf-8", "replace")[-3000:]
    if current is None:
        if code:
            raise AssertionError(f"the process of {kind} ended with {code}: {said}")
        return numbers[len(numbers) :]
    outcome.counts["ended"] += 1
    outcome.failures[current] = (
        f"its process ended with {code} (took {time.monotonic() - began:.1f} s): {said}"
    )
    return numbers[numbers.index(int(current.split("/")[1])) + 1 :]  # fmt: skip


def _lines(process):
    """Lines of a process; one that is silent for SECONDS is made to say where it is, and ended."""
    kept, patience = b"", 60
    while True:
        ready, _, _ = select.select([process.stdout], [], [], patience)
        if not ready:
            process.send_signal(signal.SIGABRT)
            time.sleep(0.5)
            process.kill()
            return
        got = os.read(process.stdout.fileno(), 1 << 16)
        if not got:
            return
        patience = SECONDS
        *whole, kept = (kept + got).split(b"\n")
        yield from (each.decode("utf-8", "replace") for each in whole)


# --- the process that tries them


def work(kind: str, numbers: range, seed: int, folder: Path) -> None:
    """Try each; what is found goes to standard output as it was when the process began."""
    faulthandler.enable()
    told = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    for name in ("target", "elsewhere", "home"):
        (folder / name).mkdir()
    (folder / "secret.txt").write_text("secret")
    os.environ["HOME"] = os.environ["XDG_CACHE_HOME"] = str(folder / "home")
    os.chdir(folder / "elsewhere")
    attempt = ATTEMPTS[kind]()
    limit = _limited()
    outside = _listing(folder, leave="target")
    for number in numbers:
        case = hostile.make(kind, number, seed)
        print("begin", str(case).encode("utf-8", "replace").decode().replace("\n", " "), file=told)
        how, why = tried(attempt, case, folder / "target")
        if _listing(folder, leave="target") != outside:
            how, why = (
                "failed",
                f"written outside: {sorted(set(_listing(folder, leave='target')) - set(outside))}",
            )
        if (peak := _peak()) > limit:
            how, why = "failed", f"took {(peak - limit + BYTES) / 1e9:.2f} GB"
            limit = max(limit, peak)
        if why:
            print("fail", why.replace("\n", "\\n"), file=told)
        print("end", how, file=told)  # fmt: skip


def tried(attempt, case: hostile.Case, target: Path) -> tuple[str, str]:
    """How a case ended (answered, refused, failed), and why it failed."""
    from dltasks.errors import DltasksError

    place = target / case.base if case.base else target
    if case.base and not place.exists():
        hostile_bundles.lay(case.base, place)
    kept = {
        name: (place / name).read_bytes() for name in case.files if case.base and (place / name).is_file()
    }
    for name, content in case.files.items():
        (place / name).unlink(missing_ok=True)
        (place / name).symlink_to(content) if isinstance(content, Path) else (place / name).write_bytes(
            content
        )
    before = _listing(target)
    try:
        refused = attempt(place if case.base else place / next(iter(case.files)), case)
        how = "refused" if refused else "answered", ""
    except DltasksError as error:
        how = ("failed", f"not one line: {error}") if "\n" in str(error).strip() else ("refused", "")
        if "breaks down" in str(error):
            how = "refused as LiteRT breaks down", ""
        if memory := _of_memory(error):
            how = "failed", f"out of memory: {memory!r}"
    except BaseException:  # noqa: BLE001 - whatever it is, it is what is looked for
        how = "failed", traceback.format_exc()[-2500:]
    if _listing(target) != before:
        how = "failed", f"written beside it: {sorted(set(_listing(target)) ^ set(before))}"
    for name in case.files:
        (place / name).unlink()
    for name, content in kept.items():
        (place / name).write_bytes(content)
    return how  # fmt: skip


def _of_memory(error) -> BaseException | None:
    while error is not None and not isinstance(error, MemoryError):
        error = error.__cause__ or error.__context__
    return error


def _listing(folder: Path, leave: str = "") -> list[tuple[str, int]]:
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [each for each in folders if each != leave or parent != str(folder)]
        found += [(os.path.join(parent, each), 0) for each in folders]
        for each in names:
            path = os.path.join(parent, each)
            if each != "errors":
                found.append((path, os.lstat(path).st_size))
    return sorted(found)


def _status(name: str) -> int:
    with open("/proc/self/status") as file:
        return next((int(line.split()[1]) << 10 for line in file if line.startswith(name)), 0)


def _limited() -> int:
    """No more data segment (what is allocated) than now and BYTES; gives the resident memory that is too much.

    Only Linux tells how much it is.
    """
    if not os.path.exists("/proc/self/status"):
        return sys.maxsize
    import resource

    most = _status("VmData") + BYTES
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    return _status("VmRSS") + BYTES


def _peak() -> int:
    return _status("VmHWM") if os.path.exists("/proc/self/status") else 0


# --- what is tried


def _all_failed(pairs) -> bool:
    """Whether nothing was answered; each failure must be one line."""
    from dltasks.errors import DltasksError

    answered = 0
    for _, answer in pairs:
        if isinstance(answer, DltasksError):
            if memory := _of_memory(answer):
                raise memory
            if "\n" in str(answer):
                raise AssertionError(f"not one line: {answer}")
        else:
            answer.to_json(), answer.display_rows(), answer.note(), answer.csv_rows()
            answered += 1
    return not answered


def _refusals(*functions) -> bool:
    """Whether the first of these refuses; none may fail otherwise."""
    from dltasks.errors import DltasksError

    refused = []
    for function in functions:
        try:
            refused.append(bool(function()))
        except DltasksError as error:
            if "\n" in str(error).strip():
                raise AssertionError(f"not one line: {error}") from error
            if memory := _of_memory(error):
                raise memory from error
            refused.append(True)
    return refused[0]


def _photos():
    import dltasks

    model = dltasks.load("objects")
    list(model.iter_predictions([hostile.SAMPLES / "image/cat.jpg"], 1))

    def attempt(path: Path, case) -> bool:
        content = case.files[path.name]
        given = content if int(case.name.split("/")[1]) % 2 else path
        return _all_failed(model.iter_predictions([given], 1))

    return attempt


def _sounds():
    import dltasks
    from dltasks.tasks.speech import sound

    model = dltasks.load("commands")
    list(model.iter_predictions([hostile.SAMPLES / "speech/left.flac"], 1))

    def attempt(path: Path, case) -> bool:
        content = case.files[path.name]
        odd = int(case.name.split("/")[1]) % 2
        return _refusals(
            lambda: _all_failed(model.iter_predictions([content if odd else path], 1)),
            lambda: len(sound.load(path, 16_000, 16_000)) != 16_000,
            lambda: sound.header(path)[0] < 0,
        )

    return attempt


def _tables():
    import dltasks
    from dltasks import registry
    from dltasks.data import tables
    from dltasks.tasks.fraud.config import FraudConfig

    model, texts = dltasks.load("cards"), dltasks.load("sentences")
    good = hostile.SAMPLES / "fraud/tomorrow.csv"
    list(model.iter_predictions([good], 1))
    image, fraud = registry.find_task("image")(), registry.find_task("fraud")()
    model.task.load_examples(hostile.SAMPLES / "fraud/transactions.csv")

    def attempt(path: Path, case) -> bool:
        return _refusals(
            lambda: tables.read_table(path).height < 1,
            lambda: _all_failed(model.iter_predictions([path], 1)),
            lambda: model.task.load_examples(path) is None,
            lambda: fraud.load_examples(path, FraudConfig()) is None,
            lambda: texts.task.load_examples(path) is None,
            lambda: path.suffix == ".csv" and image.encode(image.load_examples(path).inputs) is None,
        )

    return attempt


def _texts():
    import dltasks

    models = [dltasks.load("sentences"), dltasks.load("headlines")]
    for each in ("abstract.txt", "page.html", "lighthouse.md", "latin.txt"):
        kept = Path(each)
        kept.write_bytes(hostile.good_texts()[each])
        list(models[0].iter_predictions([kept], 1))
        list(models[1].iter_predictions([kept], 1))
        kept.unlink()

    def attempt(path: Path, case) -> bool:
        return _all_failed(models[int(case.name.split("/")[1]) % 8 == 7].iter_predictions([path], 1))

    return attempt


def _networks():
    import dltasks

    photo = hostile.SAMPLES / "image/cat.jpg"
    sample = {
        "commands": hostile.SAMPLES / "speech/left.flac",
        "cards": hostile.SAMPLES / "fraud/tomorrow.csv",
    }
    list(dltasks.load("objects").iter_predictions([photo], 1))
    list(dltasks.load("commands").iter_predictions([sample["commands"]], 1))

    def attempt(path: Path, case) -> bool:
        known = {}
        if path.stem in ("bare", "commands"):
            labels = hostile_bundles.NAMES if path.stem == "bare" else [str(i) for i in range(12)]
            known = {"labels": labels, "mean": [0.0], "std": [255.0]}
        model = dltasks.load(path, **known)
        return _all_failed(model.iter_predictions([sample.get(path.stem, photo)], 1))

    return attempt


def _bundles():
    """All that reads a bundle: to answer, to verify, to show, to listen, to begin a training like it."""
    import contextlib
    import io

    import dltasks
    from dltasks.bundle import card
    from dltasks.bundle.verify import verify as verified
    from dltasks.cli import config_options
    from dltasks.cli.commands import show, verify
    from dltasks.litert import golden
    from dltasks.tasks.speech import streams

    inputs = {
        "image": hostile.SAMPLES / "image/cat.jpg",
        "fraud": hostile.SAMPLES / "fraud/tomorrow.csv",
        "speech": hostile.SAMPLES / "speech/left.flac",
        "summary": hostile.SAMPLES / "summary/abstract.txt",
    }
    for each in hostile_bundles.BASES[1:]:
        model = dltasks.load(each)
        list(model.iter_predictions([inputs[model.manifest["task"]]], 1))
        verified(each)

    def command(verb, *arguments):
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            try:
                verb.command.main([str(each) for each in arguments], standalone_mode=False)
            except SystemExit as error:
                return bool(error.code)
        return False

    def answered(path: Path) -> bool:
        model = dltasks.load(path)
        task = model.manifest["task"]
        if task == "speech":
            import numpy as np

            list(streams.listen(model, [np.zeros(task == "speech" and 16_000, np.float32)]))
        card.render_card(model.name, model.manifest)
        model.read_asset(golden.GOLDEN_FILE)
        return _all_failed(model.iter_predictions([inputs[task]], 1))

    def attempt(path: Path, case) -> bool:
        return _refusals(
            lambda: answered(path),
            lambda: not verified(path).good,
            lambda: command(show, path),
            lambda: command(show, path, "--json"),
            lambda: command(verify, path),
            lambda: (
                config_options.load_config(
                    config_options.task_of_bundle(["--config-from", str(path)]), None, str(path)
                )
                is None
            ),
        )

    return attempt


ATTEMPTS = {
    "photo": _photos,
    "sound": _sounds,
    "table": _tables,
    "text": _texts,
    "network": _networks,
    "record": _bundles,
    "bundle": _bundles,
    "file": _bundles,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("case", nargs="*")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", default=",".join(hostile.KINDS))
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--worker", nargs=4)
    given = parser.parse_args()
    if given.worker:
        kind, *numbers = given.worker
        work(kind, range(*map(int, numbers)), given.seed, given.folder)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        return _several(given, Path(folder))


def _several(given, folder: Path) -> int:
    failed = 0
    kinds = given.kinds.split(",")
    wanted = [(kind, range(given.count // len(kinds)), given.seed) for kind in kinds]
    if given.case:
        parts = [each.split()[0].split("/") for each in given.case]
        wanted = [(kind, range(int(number), int(number) + 1), int(seed)) for kind, number, seed in parts]
    for kind, numbers, seed in wanted:
        began = time.monotonic()
        found = run(kind, numbers, folder, seed)
        print(f"{kind}: {found.total} cases in {time.monotonic() - began:.0f} s: {dict(found.counts)}")
        for seconds, name in sorted(found.slow, reverse=True)[:6]:
            print(f"  {seconds:.1f} s: {name}" if seconds > 1 else "", end="\n" if seconds > 1 else "")
        for name, why in found.failures.items():
            print(f"  {name}\n    " + why.strip().replace("\n", "\n    "))
        failed += len(found.failures)
    return 1 if failed else 0  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
