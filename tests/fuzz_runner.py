"""Runs fuzzed files through dltasks, many in a process that may take one more gigabyte than it starts with.

python tests/fuzz_runner.py --count 20000 --seed 1            all kinds, that many cases in all
python tests/fuzz_runner.py photo/17/0                        one case again, here
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

import fuzz
import fuzz_bundles

MAX_SECONDS = 10
"""Maximum seconds of a case before its process is ended."""

MAX_BYTES = 1 << 30
"""Maximum memory of a case beyond that of its process at the start."""

STATUS = Path("/proc/self/status")


@dataclass
class Outcome:
    """Counts of cases by how they ended, failures by name, and seconds of each case."""

    counts: Counter = field(default_factory=Counter)
    failures: dict[str, str] = field(default_factory=dict)
    seconds: list[tuple[float, str]] = field(default_factory=list)

    @property
    def total(self) -> int:
        return sum(self.counts.values())


# --- the parent


def run(kind: str, numbers: range, folder: Path, seed: int = 0) -> Outcome:
    """Run the cases of these numbers in processes of their own; one that crashes or hangs fails alone."""
    outcome, remaining = Outcome(), numbers
    while len(remaining):
        remaining = _run_process(kind, remaining, folder, seed, outcome)
    return outcome


def _run_process(kind: str, numbers: range, folder: Path, seed: int, outcome: Outcome) -> range:
    """Run a process to its end and return the remaining numbers."""
    command = [
        sys.executable,
        __file__,
        "--worker",
        kind,
        str(numbers.start),
        str(numbers.stop),
        str(numbers.step),
    ]
    directory = Path(tempfile.mkdtemp(prefix=f"{kind}-", dir=folder))
    with open(directory / "errors", "w+b") as errors:
        process = subprocess.Popen(
            [*command, "--seed", str(seed), "--folder", str(directory)],
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=directory,
            env={**os.environ, "PYTHONPATH": str(fuzz.ROOT)},
        )
        current, started = None, time.monotonic()
        for line in _lines(process):
            word, _, rest = line.partition(" ")
            if word == "begin":
                current, started = rest, time.monotonic()
            elif word == "end":
                outcome.counts[rest] += 1
                outcome.seconds.append((time.monotonic() - started, current))
                current = None
            elif word == "fail":
                outcome.failures[current] = rest.replace("\\n", "\n")
        process.stdout.close()
        code = process.wait()
        errors.seek(0)
        stderr = errors.read().decode("utf-8", "replace")[-3000:]
    if current is None:
        if code:
            raise AssertionError(f"the process of {kind} ended with {code}: {stderr}")
        return numbers[len(numbers) :]
    outcome.counts["ended"] += 1
    outcome.failures[current] = (
        f"its process ended with {code} (took {time.monotonic() - started:.1f} s): {stderr}"
    )
    return numbers[numbers.index(int(current.split("/")[1])) + 1 :]


def _lines(process):
    """Lines of a process; one silent for MAX_SECONDS prints its stack and is killed."""
    rest, timeout = b"", 60
    while True:
        ready, _, _ = select.select([process.stdout], [], [], timeout)
        if not ready:
            process.send_signal(signal.SIGABRT)
            time.sleep(0.5)
            process.kill()
            return
        content = os.read(process.stdout.fileno(), 1 << 16)
        if not content:
            return
        timeout = MAX_SECONDS
        *lines, rest = (rest + content).split(b"\n")
        yield from (line.decode("utf-8", "replace") for line in lines)


# --- the process that tries them


def work(kind: str, numbers: range, seed: int, folder: Path) -> None:
    """Try the cases of these numbers; results go to the original standard output."""
    faulthandler.enable()
    results = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    for name in ("target", "elsewhere", "home"):
        (folder / name).mkdir()
    (folder / "secret.txt").write_text("secret")
    os.environ["HOME"] = os.environ["XDG_CACHE_HOME"] = str(folder / "home")
    os.chdir(folder / "elsewhere")
    attempt = ATTEMPTS[kind]()
    limit = _limit_memory()
    outside = _listing(folder, skip="target")
    for number in numbers:
        case = fuzz.make(kind, number, seed)
        print("begin", str(case).encode("utf-8", "replace").decode().replace("\n", " "), file=results)
        ending, failure = attempt_case(attempt, case, folder / "target")
        if _listing(folder, skip="target") != outside:
            written = sorted(set(_listing(folder, skip="target")) - set(outside))
            ending, failure = "failed", f"written outside: {written}"
        if (peak := _peak()) > limit:
            ending, failure = "failed", f"took {(peak - limit + MAX_BYTES) / 1e9:.2f} GB"
            limit = max(limit, peak)
        if failure:
            print("fail", failure.replace("\n", "\\n"), file=results)
        print("end", ending, file=results)


def attempt_case(attempt, case: fuzz.Case, target: Path) -> tuple[str, str]:
    """How a case ended (answered, refused, failed), and the failure."""
    from dltasks.errors import DltasksError

    folder = target / case.base if case.base else target
    if case.base and not folder.exists():
        fuzz_bundles.write_bundle(case.base, folder)
    originals = {
        name: (folder / name).read_bytes() for name in case.files if case.base and (folder / name).is_file()
    }
    for name, content in case.files.items():
        (folder / name).unlink(missing_ok=True)
        if isinstance(content, Path):
            (folder / name).symlink_to(content)
        else:
            (folder / name).write_bytes(content)
    before = _listing(target)
    try:
        refused = attempt(folder if case.base else folder / next(iter(case.files)), case)
        ending = "refused" if refused else "answered", ""
    except DltasksError as error:
        ending = ("failed", f"not one line: {error}") if "\n" in str(error).strip() else ("refused", "")
        if "breaks down" in str(error):
            ending = "refused as LiteRT crashes", ""
        if memory := _memory_error(error):
            ending = "failed", f"out of memory: {memory!r}"
    except BaseException:  # noqa: BLE001 - any exception is a failure
        ending = "failed", traceback.format_exc()[-2500:]
    if _listing(target) != before:
        ending = "failed", f"written next to it: {sorted(set(_listing(target)) ^ set(before))}"
    for name in case.files:
        (folder / name).unlink()
    for name, content in originals.items():
        (folder / name).write_bytes(content)
    return ending


def _memory_error(error) -> BaseException | None:
    while error is not None and not isinstance(error, MemoryError):
        error = error.__cause__ or error.__context__
    return error


def _listing(folder: Path, skip: str = "") -> list[tuple[str, int]]:
    entries = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != skip or parent != str(folder)]
        entries += [(str(Path(parent, name)), 0) for name in folders]
        for name in names:
            path = Path(parent, name)
            if name != "errors":
                entries.append((str(path), path.lstat().st_size))
    return sorted(entries)


def _status(name: str) -> int:
    with open(STATUS) as file:
        return next((int(line.split()[1]) << 10 for line in file if line.startswith(name)), 0)


def _limit_memory() -> int:
    """Limit the data segment to MAX_BYTES more than now; return the maximum resident memory.

    Unlimited where the system does not report memory (not Linux).
    """
    if not STATUS.exists():
        return sys.maxsize
    import resource

    most = _status("VmData") + MAX_BYTES
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    return _status("VmRSS") + MAX_BYTES


def _peak() -> int:
    return _status("VmHWM") if STATUS.exists() else 0


# --- attempts


def _all_failed(pairs) -> bool:
    """Whether no input was answered; each error must be one line."""
    from dltasks.errors import DltasksError

    answered = 0
    for _, answer in pairs:
        if isinstance(answer, DltasksError):
            if memory := _memory_error(answer):
                raise memory
            if "\n" in str(answer):
                raise AssertionError(f"not one line: {answer}")
        else:
            answer.to_json(), answer.display_rows(), answer.note(), answer.csv_rows()
            answered += 1
    return not answered


def _refusals(*functions) -> bool:
    """Whether the first of these refuses its input; none may fail in another way."""
    from dltasks.errors import DltasksError

    refusals = []
    for function in functions:
        try:
            refusals.append(bool(function()))
        except DltasksError as error:
            if "\n" in str(error).strip():
                raise AssertionError(f"not one line: {error}") from error
            if memory := _memory_error(error):
                raise memory from error
            refusals.append(True)
    return refusals[0]


def _photos():
    import dltasks

    model = dltasks.load("objects")
    list(model.iter_predictions([fuzz.SAMPLES / "image/cat.jpg"], 1))

    def attempt(path: Path, case) -> bool:
        content = case.files[path.name]
        source = content if int(case.name.split("/")[1]) % 2 else path
        return _all_failed(model.iter_predictions([source], 1))

    return attempt


def _sounds():
    import dltasks
    from dltasks.tasks.speech import audio, audio_files

    model = dltasks.load("commands")
    list(model.iter_predictions([fuzz.SAMPLES / "speech/left.flac"], 1))

    def attempt(path: Path, case) -> bool:
        content = case.files[path.name]
        odd = int(case.name.split("/")[1]) % 2
        return _refusals(
            lambda: _all_failed(model.iter_predictions([content if odd else path], 1)),
            lambda: len(audio.load(path, 16_000, 16_000)) != 16_000,
            lambda: audio_files.read_header(path)[0] < 0,
        )

    return attempt


def _tables():
    import dltasks
    from dltasks import registry
    from dltasks.data import tables
    from dltasks.tasks.fraud.config import FraudConfig

    model, texts = dltasks.load("cards"), dltasks.load("sentences")
    good = fuzz.SAMPLES / "fraud/tomorrow.csv"
    list(model.iter_predictions([good], 1))
    image, fraud = registry.find_task("image")(), registry.find_task("fraud")()
    model.task.load_examples(fuzz.SAMPLES / "fraud/transactions.csv")

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
    for name in ("abstract.txt", "page.html", "lighthouse.md", "latin.txt"):
        path = Path(name)
        path.write_bytes(fuzz.good_texts()[name])
        list(models[0].iter_predictions([path], 1))
        list(models[1].iter_predictions([path], 1))
        path.unlink()

    def attempt(path: Path, case) -> bool:
        return _all_failed(models[int(case.name.split("/")[1]) % 8 == 7].iter_predictions([path], 1))

    return attempt


def _networks():
    import dltasks

    photo = fuzz.SAMPLES / "image/cat.jpg"
    sample = {
        "commands": fuzz.SAMPLES / "speech/left.flac",
        "cards": fuzz.SAMPLES / "fraud/tomorrow.csv",
    }
    list(dltasks.load("objects").iter_predictions([photo], 1))
    list(dltasks.load("commands").iter_predictions([sample["commands"]], 1))

    def attempt(path: Path, case) -> bool:
        known = {}
        if path.stem in ("bare", "commands"):
            labels = fuzz_bundles.NAMES if path.stem == "bare" else [str(i) for i in range(12)]
            known = {"labels": labels, "mean": [0.0], "std": [255.0]}
        model = dltasks.load(path, **known)
        return _all_failed(model.iter_predictions([sample.get(path.stem, photo)], 1))

    return attempt


def _bundles():
    """All readers of a bundle: predict, verify, show, listen, train from its config."""
    import contextlib
    import io

    import dltasks
    from dltasks.bundle import card
    from dltasks.bundle.verify import verify as verify_bundle
    from dltasks.cli import config_options
    from dltasks.cli.commands import show, verify
    from dltasks.litert import golden
    from dltasks.tasks.speech import streams

    inputs = {
        "image": fuzz.SAMPLES / "image/cat.jpg",
        "fraud": fuzz.SAMPLES / "fraud/tomorrow.csv",
        "speech": fuzz.SAMPLES / "speech/left.flac",
        "summary": fuzz.SAMPLES / "summary/abstract.txt",
    }
    for name in fuzz_bundles.BASES[1:]:
        model = dltasks.load(name)
        list(model.iter_predictions([inputs[model.manifest["task"]]], 1))
        verify_bundle(name)

    def command(module, *arguments):
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            try:
                module.command.main([str(argument) for argument in arguments], standalone_mode=False)
            except SystemExit as error:
                return bool(error.code)
        return False

    def answered(path: Path) -> bool:
        model = dltasks.load(path)
        task = model.manifest["task"]
        if task == "speech":
            import numpy as np

            list(streams.listen(model, [np.zeros(16_000, np.float32)]))
        card.render_card(model.name, model.manifest)
        model.read_asset(golden.GOLDEN_FILE)
        return _all_failed(model.iter_predictions([inputs[task]], 1))

    def attempt(path: Path, case) -> bool:
        return _refusals(
            lambda: answered(path),
            lambda: not verify_bundle(path).passed,
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
    "manifest": _bundles,
    "bundle": _bundles,
    "file": _bundles,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("case", nargs="*")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", default=",".join(fuzz.KINDS))
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--worker", nargs=4)
    options = parser.parse_args()
    if options.worker:
        kind, *numbers = options.worker
        work(kind, range(*map(int, numbers)), options.seed, options.folder)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        return _run_kinds(options, Path(folder))


def _run_kinds(options, folder: Path) -> int:
    kinds = options.kinds.split(",")
    runs = [(kind, range(options.count // len(kinds)), options.seed) for kind in kinds]
    if options.case:
        cases = [case.split()[0].split("/") for case in options.case]
        runs = [(kind, range(int(number), int(number) + 1), int(seed)) for kind, number, seed in cases]
    failures = 0
    for kind, numbers, seed in runs:
        started = time.monotonic()
        outcome = run(kind, numbers, folder, seed)
        print(f"{kind}: {outcome.total} cases in {time.monotonic() - started:.0f} s: {dict(outcome.counts)}")
        for seconds, name in sorted(outcome.seconds, reverse=True)[:6]:
            if seconds > 1:
                print(f"  {seconds:.1f} s: {name}")
        for name, failure in outcome.failures.items():
            print(f"  {name}\n    " + failure.strip().replace("\n", "\n    "))
        failures += len(outcome.failures)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
