"""Labels that the rest of a table speaks against: confident learning with boosted trees that did not see them."""

import numpy as np
import polars as pl

SEED = 0
FOLDS = 3

MOST = 60_000
"""Rows that are looked at, with as many of the frauds as there are up to half of these."""

FEWEST = 20
"""Of either label, below which nothing can be said."""

KNOWN = 0.5
"""Average precision below which frauds can't be told from the columns, and so no label be doubted."""


def doubtful(columns: pl.DataFrame, fraud: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Positions of rows that are called genuine and look like frauds, and of those that are called fraud and look genuine.

    columns: numbers, and texts of few values. fraud: bool (rows,). A label is doubted if the probability of the other one
    is at least what rows of that label have on average (Northcutt, Jiang and Chuang, 2021, Confident Learning), by trees
    trained on other rows. None where frauds can't be told well enough, or there are too few.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import average_precision_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from threadpoolctl import threadpool_limits

    rows = _some(fraud)
    true = fraud[rows]
    if min(true.sum(), (~true).sum()) < FEWEST:
        return None
    coded = [each if each.dtype.is_numeric() else each.rank("dense") for each in columns[rows]]
    values = np.stack([each.cast(pl.Float64).to_numpy() for each in coded], axis=1)
    values[~np.isfinite(values)] = np.nan
    trees = HistGradientBoostingClassifier(
        max_iter=80, max_leaf_nodes=15, early_stopping=False, random_state=SEED
    )
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=SEED)
    # Threads of OpenMP wait for one another far longer than so few rows take where cores are shared.
    with threadpool_limits(1):
        given = cross_val_predict(trees, values, true, cv=folds, method="predict_proba")[:, 1]
    if average_precision_score(true, given) < KNOWN:
        return None
    missed = ~true & (given >= max(0.5, given[true].mean()))
    wrong = true & (1 - given >= max(0.5, (1 - given[~true]).mean()))
    return rows[missed], rows[wrong]


def _some(fraud: np.ndarray) -> np.ndarray:
    """Ascending positions of at most MOST rows."""
    random = np.random.default_rng(SEED)
    frauds = random.permutation(np.flatnonzero(fraud))[: MOST // 2]
    others = random.permutation(np.flatnonzero(~fraud))[: MOST - len(frauds)]
    return np.sort(np.concatenate([frauds, others]))
