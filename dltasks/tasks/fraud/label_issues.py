"""Labels that contradict the other columns: confident learning with boosted trees that did not see them."""

import numpy as np
import polars as pl

SEED = 0
FOLDS = 3

MAX_ROWS = 60_000
"""Maximum number of rows examined, up to half of them frauds."""

MIN_CLASS_ROWS = 20
"""Minimum number of rows of either label."""

MIN_AVERAGE_PRECISION = 0.5
"""Minimum average precision of the trees for a label to be doubted."""


def find_label_issues(columns: pl.DataFrame, is_fraud: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Indices of rows labeled genuine that look like fraud, and of those labeled fraud that look genuine.

    columns: numbers, and texts of few values. is_fraud: bool (rows,). A label is an issue if the probability
    of the other one is at least what rows of that label have on average (Northcutt, Jiang and Chuang, 2021,
    Confident Learning), by trees trained on other rows. None where there are too few rows, or frauds cannot
    be predicted well enough.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import average_precision_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from threadpoolctl import threadpool_limits

    rows = _sample_rows(is_fraud)
    labels = is_fraud[rows]
    if min(labels.sum(), (~labels).sum()) < MIN_CLASS_ROWS:
        return None
    numbers = [column if column.dtype.is_numeric() else column.rank("dense") for column in columns[rows]]
    values = np.stack([column.cast(pl.Float64).to_numpy() for column in numbers], axis=1)
    values[~np.isfinite(values)] = np.nan
    trees = HistGradientBoostingClassifier(
        max_iter=80, max_leaf_nodes=15, early_stopping=False, random_state=SEED
    )
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=SEED)
    # On shared cores, OpenMP's threads wait for one another far longer than so few rows take.
    with threadpool_limits(1):
        probabilities = cross_val_predict(trees, values, labels, cv=folds, method="predict_proba")[:, 1]
    if average_precision_score(labels, probabilities) < MIN_AVERAGE_PRECISION:
        return None
    like_fraud = ~labels & (probabilities >= max(0.5, probabilities[labels].mean()))
    like_genuine = labels & (1 - probabilities >= max(0.5, (1 - probabilities[~labels]).mean()))
    return rows[like_fraud], rows[like_genuine]


def _sample_rows(is_fraud: np.ndarray) -> np.ndarray:
    """Ascending indices of at most MAX_ROWS rows."""
    random = np.random.default_rng(SEED)
    frauds = random.permutation(np.flatnonzero(is_fraud))[: MAX_ROWS // 2]
    others = random.permutation(np.flatnonzero(~is_fraud))[: MAX_ROWS - len(frauds)]
    return np.sort(np.concatenate([frauds, others]))
