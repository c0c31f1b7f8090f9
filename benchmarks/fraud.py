"""The Fraud Detection Handbook's protocols: the network beside baselines on the same features, and speed.

    python benchmarks/fraud.py ../shared/data/fraud_handbook_sim [--seeds 5] [--only A] [TRAINING OPTIONS]

Protocol A trains on 2018-07-25 to 31, waits 7 days, and tests on 2018-08-08 to 14, without cards known as
defrauded. Protocol B (prequential) does so for four weeks one after the other; the last is A's. Nothing was
chosen on these weeks; settings were chosen on the four weeks before (--only tuning).
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from measure import COMMAND, measure_process, write_results

import dltasks
from dltasks.bundle.storage import read_manifest

FOLDS = {
    "A": [date(2018, 7, 25)],
    "B": [date(2018, 7, 4) + timedelta(weeks=week) for week in range(4)],
    "tuning": [date(2018, 6, 6) + timedelta(weeks=week) for week in range(4)],
}
"""First training days of each protocol."""
PERIODS = {"train-from": 0, "train-to": 6, "test-from": 14, "test-to": 20}
"""Days of the periods after the first training day."""
SCORES = ("average_precision", "roc_auc", "card_precision")

Scores = dict[str, float]


def train(data: Path, start: date, seed: int, out: Path, options: list[str]) -> dict[str, Any]:
    """The manifest of a bundle trained on the week from `start`."""
    dates = [f"--{name}={start + timedelta(days=days)}" for name, days in PERIODS.items()]
    command = [COMMAND, "train", "fraud", str(data / "transactions.parquet"), "--out", str(out)]
    command += [f"--seed={seed}", "--time-origin=2018-04-01", "--ignore=scenario", *dates]
    # The baselines do not depend on the seed.
    command += [*(["--no-baselines"] if seed else []), *options]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "2"}
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    if result.returncode:
        sys.exit(result.stderr)
    return read_manifest(out)


def scores_by_method(manifest: dict[str, Any]) -> dict[str, Scores]:
    """Scores of the network and of each baseline."""
    evaluation = manifest["evaluation"]
    scores = {"network": {name: evaluation["scores"][name]["value"] for name in SCORES}}
    for table in evaluation["tables"]:
        if table["title"].startswith("Baselines"):
            for method, *cells in table["rows"]:
                values = (float(cell.split()[0]) for cell in cells)
                scores[method] = dict(zip(SCORES, values, strict=True))
    return scores


def run_protocol(
    name: str, data: Path, seeds: int, folder: Path, jobs: int, options: list[str]
) -> dict[str, Any]:
    """Scores by method and fold, over the seeds."""
    runs = [(start, seed) for start in FOLDS[name] for seed in range(seeds)]
    with ThreadPoolExecutor(jobs) as pool:
        manifests = list(
            pool.map(lambda run: train(data, *run, folder / f"{name}-{run[0]}-{run[1]}", options), runs)
        )
    methods: dict[str, dict[str, list[Scores]]] = {}
    counts = {}
    for (start, _), manifest in zip(runs, manifests, strict=True):
        counts[str(start)] = manifest["evaluation"]["count"]
        for method, scores in scores_by_method(manifest).items():
            methods.setdefault(method, {}).setdefault(str(start), []).append(scores)
    rows = [(method, *summarize(list(folds.values()))) for method, folds in methods.items()]
    columns = ("method", *(score.replace("_", " ") for score in SCORES), "average precision of each week")
    write_results(
        f"fraud_{name}", {"seeds": seeds, "transactions": counts, "methods": methods}, rows, columns
    )
    print(
        f"protocol {name}: mean over weeks and {seeds} seeds, ± standard deviation over seeds; "
        f"{counts} transactions"
    )
    return methods


def summarize(folds: list[list[Scores]]) -> list[str]:
    """Mean and deviation of each score, and the average precision of each fold."""
    cells = []
    for score in SCORES:
        values = [[scores[score] for scores in fold] for fold in folds]
        mean = statistics.mean(map(statistics.mean, values))
        cells.append(f"{mean:.4f} ± {statistics.mean(map(statistics.pstdev, values)):.4f}")
    weeks = (statistics.mean(scores["average_precision"] for scores in fold) for fold in folds)
    return [*cells, " ".join(f"{mean:.3f}" for mean in weeks)]


def measure_speed(data: Path, bundle: Path, folder: Path) -> None:
    """A million transactions from Parquet to Parquet on two cores, and single ones beside boosted trees."""
    import numpy as np
    import polars as pl

    table = folder / "million.parquet"
    frame = pl.read_parquet(data / "transactions.parquet").head(1_000_000)
    frame.drop("fraud", "scenario", "split").write_parquet(table)
    cores = ",".join(map(str, sorted(os.sched_getaffinity(0))[:2]))
    command = ["taskset", "-c", cores, COMMAND, "detect-fraud", str(table), "--model", str(bundle)]
    command += ["--no-reasons", "--out", str(folder / "scored.parquet")]
    runs = [measure_process(command) for _ in range(3)]
    model = dltasks.load(bundle)
    width = len(model.task.baseline)
    row = np.random.default_rng(0).normal(size=(1, width)).astype(np.float32)
    times = {"network": time_call(lambda: model.runtime.run({"features": row}))}
    times |= {name: time_call(lambda predict=predict: predict(row)) for name, predict in boosters(width)}
    million, memory = statistics.median(run.wall for run in runs), max(run.memory for run in runs)
    rows = [("a million transactions, two cores", f"{million:.1f} s, {memory:.0f} MB")]
    rows += [(f"one transaction, {name}", f"{1e3 * seconds:.3f} ms") for name, seconds in times.items()]
    write_results(
        "fraud_speed", {"million_seconds": million, "single_seconds": times}, rows, ("what", "time")
    )


def boosters(width: int) -> Iterator[tuple[str, Callable[[Any], Any]]]:
    """Names and predictions of the installed gradient boosters, with as many trees as the baselines have."""
    import numpy as np

    random = np.random.default_rng(0)
    features = random.normal(size=(20_000, width)).astype(np.float32)
    is_fraud = (features[:, 0] + random.normal(size=20_000) > 3).astype(int)
    try:
        from xgboost import XGBClassifier

        model = XGBClassifier(n_estimators=150, max_depth=5, n_jobs=1)
        yield "XGBoost", model.fit(features, is_fraud).predict_proba
    except ImportError:
        pass
    try:
        from lightgbm import LGBMClassifier

        model = LGBMClassifier(n_estimators=150, num_leaves=31, n_jobs=1, verbose=-1)
        yield "LightGBM", model.fit(features, is_fraud).predict_proba
    except ImportError:
        pass


def time_call(function: Callable[[], Any], rounds: int = 300) -> float:
    """Median seconds of a call."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", choices=(*FOLDS, "speed"))
    parser.add_argument("--jobs", type=int, default=max(1, (os.cpu_count() or 1) // 2))
    arguments, options = parser.parse_known_args()
    selected = [arguments.only] if arguments.only else ["A", "B", "speed"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for protocol in FOLDS:
            if protocol in selected:
                run_protocol(protocol, arguments.data, arguments.seeds, folder, arguments.jobs, options)
        if "speed" in selected:
            bundle = folder / "speed"
            train(arguments.data, date(2018, 7, 11), 0, bundle, ["--epochs=1", "--no-baselines"])
            measure_speed(arguments.data, bundle, folder)


if __name__ == "__main__":
    main()
