"""The Fraud Detection Handbook's protocols: the network against its peers on the same features, and how fast it scores.

    python benchmarks/fraud.py ../shared/data/fraud_handbook_sim [--seeds 5] [--only A] [OPTIONS OF dltasks train fraud]

Protocol A trains on 2018-07-25 to 31, waits 7 days, and judges 2018-08-08 to 14, without cards known as defrauded. Protocol B
(prequential) does so for four weeks one after the other, of which A's is the last. Nothing was chosen on these weeks; what
was chosen was on the four before (--only choosing).
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path

from measured import COMMAND, measured, progress

import dltasks
from dltasks.bundle.storage import read_manifest

FOLDS = {
    "A": [date(2018, 7, 25)],
    "B": [date(2018, 7, 4) + timedelta(weeks=each) for each in range(4)],
    "choosing": [date(2018, 6, 6) + timedelta(weeks=each) for each in range(4)],
}
SCORES = ("average_precision", "roc_auc", "card_precision")
WEEK, TWO_WEEKS, THREE_WEEKS = (timedelta(days=each) for each in (6, 14, 20))


def trained(data: Path, start: date, seed: int, out: Path, more: list[str]) -> dict:
    """The record of a bundle trained on the week that starts so."""
    window = {
        "train-from": start,
        "train-to": start + WEEK,
        "test-from": start + TWO_WEEKS,
        "test-to": start + THREE_WEEKS,
    }
    options = [f"--{name}={value}" for name, value in window.items()]
    command = [
        COMMAND,
        "train",
        "fraud",
        str(data / "transactions.parquet"),
        "--out",
        str(out),
        "--seed",
        str(seed),
    ]
    # The peers do not depend on the seed.
    command += [
        "--time-origin=2018-04-01",
        "--ignore=scenario",
        *options,
        *(["--no-baselines"] if seed else []),
        *more,
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "2"}
    ran = subprocess.run(command, capture_output=True, text=True, env=environment)
    if ran.returncode:
        sys.exit(ran.stderr)
    return read_manifest(out)


def found(record: dict) -> dict[str, dict[str, float]]:
    """Scores of the network and of each peer."""
    rows = {"network": {each: record["evaluation"]["scores"][each]["value"] for each in SCORES}}
    for table in record["evaluation"]["tables"]:
        if table["title"].startswith("Others"):
            for name, *values in table["rows"]:
                rows[name] = dict(zip(SCORES, (float(each.split()[0]) for each in values), strict=True))
    return rows


def protocol(name: str, data: Path, seeds: int, folder: Path, jobs: int, more: list[str]) -> dict:
    """Scores by method and fold, over the seeds."""
    runs = [(start, seed) for start in FOLDS[name] for seed in range(seeds)]
    with ThreadPoolExecutor(jobs) as pool:
        records = list(
            pool.map(lambda run: trained(data, *run, folder / f"{name}-{run[0]}-{run[1]}", more), runs)
        )
    by_fold: dict[str, dict[str, list[dict]]] = {}
    for (start, _), record in zip(runs, records, strict=True):
        for method, scores in found(record).items():
            by_fold.setdefault(method, {}).setdefault(str(start), []).append(scores)
    rows, result = [], {}
    for method, folds in by_fold.items():
        result[method] = folds
        cells = []
        for score in SCORES:
            means = [statistics.mean(each[score] for each in one) for one in folds.values()]
            spread = statistics.mean(
                statistics.pstdev([each[score] for each in one]) for one in folds.values()
            )
            cells.append(f"{statistics.mean(means):.4f} ± {spread:.4f}")
        each = " ".join(
            f"{statistics.mean(s['average_precision'] for s in one):.3f}" for one in folds.values()
        )
        rows.append((method, *cells, each))
    counts = {
        str(start): record["evaluation"]["count"] for (start, _), record in zip(runs, records, strict=True)
    }
    columns = ("method", *(each.replace("_", " ") for each in SCORES), "average precision of each week")
    progress(f"fraud_{name}", {"seeds": seeds, "transactions": counts, "methods": result}, rows, columns)
    print(
        f"protocol {name}: mean over weeks and {seeds} seeds, ± standard deviation over seeds; {counts} transactions"
    )
    return result


def speed(data: Path, bundle: Path, folder: Path) -> None:
    """A million transactions from Parquet to Parquet on two cores, and one at a time beside the trees."""
    import numpy as np
    import polars as pl

    table = folder / "million.parquet"
    pl.read_parquet(data / "transactions.parquet").head(1_000_000).drop(
        "fraud", "scenario", "split"
    ).write_parquet(table)
    two = sorted(os.sched_getaffinity(0))[:2]
    scored = [
        COMMAND,
        "detect-fraud",
        str(table),
        "--model",
        str(bundle),
        "--no-reasons",
        "--out",
        str(folder / "s.parquet"),
    ]
    runs = [measured(["taskset", "-c", ",".join(map(str, two)), *scored]) for _ in range(3)]
    model = dltasks.load(bundle)
    width = len(model.task.usual)
    row = np.random.default_rng(0).normal(size=(1, width)).astype(np.float32)
    times = {"network": per_call(lambda: model.runtime.run({"numbers": row}))}
    times |= {name: per_call(lambda f=f: f(row)) for name, f in trees(width)}
    million = statistics.median(each.wall for each in runs)
    rows = [("a million transactions, two cores", f"{million:.1f} s, {max(r.memory for r in runs):.0f} MB")]
    rows += [(f"one transaction, {name}", f"{1e3 * value:.3f} ms") for name, value in times.items()]
    progress("fraud_speed", {"million_seconds": million, "single_seconds": times}, rows, ("what", "time"))


def trees(width: int):
    """Single-row predictions of the gradient boosters that are installed, of as many trees as the peers have."""
    import numpy as np

    random = np.random.default_rng(0)
    known = random.normal(size=(20_000, width)).astype(np.float32)
    fraud = (known[:, 0] + random.normal(size=20_000) > 3).astype(int)
    try:
        from xgboost import XGBClassifier

        yield (
            "XGBoost",
            XGBClassifier(n_estimators=150, max_depth=5, n_jobs=1).fit(known, fraud).predict_proba,
        )
    except ImportError:
        pass
    try:
        from lightgbm import LGBMClassifier

        yield (
            "LightGBM",
            LGBMClassifier(n_estimators=150, num_leaves=31, n_jobs=1, verbose=-1)
            .fit(known, fraud)
            .predict_proba,
        )
    except ImportError:
        pass


def per_call(function, rounds: int = 300) -> float:
    """Median seconds of a call."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        function()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", choices=(*FOLDS, "speed"))
    parser.add_argument("--jobs", type=int, default=max(1, (os.cpu_count() or 1) // 2))
    given, more = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for each in ("A", "B") if given.only is None else (given.only,) if given.only in FOLDS else ():
            protocol(each, given.data, given.seeds, folder, given.jobs, more)
        if given.only in (None, "speed"):
            bundle = folder / "speed"
            trained(given.data, date(2018, 7, 11), 0, bundle, ["--epochs=1", "--no-baselines"])
            speed(given.data, bundle, folder)


if __name__ == "__main__":
    main()
