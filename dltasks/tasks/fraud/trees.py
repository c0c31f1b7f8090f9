"""Boosted trees as a layer of the network: grown in numpy, asked with operations that LiteRT has built in."""

from dataclasses import dataclass

import keras
import numpy as np
from keras import layers, ops

DEPTH = 5
"""Questions that a tree asks."""

PACE = 7.5
"""Sum of all trees' learning rates: more trees take smaller steps."""

HIGHEST = 0.3
"""Learning rate of few trees."""

ROWS, COLUMNS = 0.7, 0.4
"""Shares of transactions and of numbers that a tree sees."""

WIDEST = 48
"""Numbers that a tree sees at most."""

LEAST = 3.0
"""Curvature of the log loss on each side of a split, at least."""

SHRINKAGE = 1.0
"""Curvature that is added to that of a leaf, so that few transactions do not say much."""

MOST = 100_000
"""Transactions that trees are grown on at most."""

QUANTILES = np.concatenate([np.linspace(0, 1, 33)[1:-1], [0.98, 0.99, 0.995, 0.998, 0.999]])
"""Of a number, where trees may ask: evenly, and often where it is high."""

LEAVES, FEWEST = 16, 8
"""Of the small tree that finds where else they may ask: leaves, and transactions in each."""


@dataclass(frozen=True)
class Grown:
    """Trees of DEPTH questions each. columns: int32 (DEPTH, trees), the number that is asked for. thresholds: float32
    (DEPTH, trees), what it is asked to exceed. values: float32 (trees, 2**DEPTH), log-odds of the leaves; the first question
    tells the halves apart.
    """

    columns: np.ndarray
    thresholds: np.ndarray
    values: np.ndarray


def grow(numbers: np.ndarray, fraud: np.ndarray, count: int, seed: int) -> Grown:
    """`count` boosted trees that tell frauds: numbers float32 (rows, features), fraud bool (rows,).

    Each asks the same questions on all of its paths (oblivious trees: Prokhorenkova et al., 2018, CatBoost), which makes
    them steadier than others where frauds are few, and a leaf the number that its answers spell. Newton steps on the
    log loss, on some rows and columns each (Friedman, 2002; Chen and Guestrin, 2016). They start from even odds: from the
    share of frauds, small leaves of nothing but frauds would have too little curvature to split off.
    """
    random = np.random.default_rng(seed)
    if len(fraud) > MOST:
        rows = np.sort(random.choice(len(fraud), MOST, replace=False))
        numbers, fraud = numbers[rows], fraud[rows]
    edges = [thresholds(values, fraud) for values in numbers.T]
    codes = np.stack([np.searchsorted(*each) for each in zip(edges, numbers.T, strict=True)], axis=1)
    drawn = min(WIDEST, max(1, round(COLUMNS * len(edges))))
    rate, odds, trees = min(HIGHEST, PACE / count), np.zeros(len(fraud)), []
    for _ in range(count):
        given = 1 / (1 + np.exp(-odds))
        slopes, curvatures = fraud - given, given * (1 - given)
        rows = np.flatnonzero(random.random(len(fraud)) < ROWS)
        columns = np.sort(random.choice(len(edges), drawn, replace=False))
        asked = _questions(codes[np.ix_(rows, columns)], slopes[rows], curvatures[rows])
        splits = [(columns[column], code) for column, code in asked]
        leaf = _leaf(codes, splits)
        sums = [np.bincount(leaf[rows], each[rows], 2 ** len(splits)) for each in (slopes, curvatures)]
        values = np.float32(rate * sums[0] / (sums[1] + SHRINKAGE))
        odds += values[leaf]
        trees.append((splits, values))
    return _written(trees, edges)


def _written(trees: list[tuple[list[tuple[int, int]], np.ndarray]], edges: list[np.ndarray]) -> Grown:
    """Trees as splits, of a column and a code each, and values of the leaves."""
    columns = np.zeros((DEPTH, len(trees)), np.int32)
    asked = np.zeros((DEPTH, len(trees)), np.float32)
    for tree, (splits, _) in enumerate(trees):
        for level, (column, code) in enumerate(splits):
            columns[level, tree], asked[level, tree] = column, edges[column][code - 1]
    # Questions that were not needed change nothing.
    values = [np.repeat(each, 2**DEPTH // len(each)) for _, each in trees]
    return Grown(columns, asked, np.stack(values))


def thresholds(values: np.ndarray, fraud: np.ndarray) -> np.ndarray:
    """Ascending float32, where trees may ask for a number: at quantiles, and where the share of frauds changes most."""
    from sklearn.tree import DecisionTreeClassifier

    tree = DecisionTreeClassifier(
        max_leaf_nodes=LEAVES, min_samples_leaf=FEWEST, criterion="entropy", random_state=0
    )
    tree = tree.fit(values[:, None], fraud).tree_
    found = [*tree.threshold[tree.feature >= 0], *np.quantile(values, QUANTILES)]
    found = np.unique(np.float32(found))
    return found[(found >= values.min()) & (found < values.max())]


def _questions(codes: np.ndarray, slopes: np.ndarray, curvatures: np.ndarray) -> list[tuple[int, int]]:
    """Columns, and the codes they are asked to reach: DEPTH of them at most, the best first.

    codes: (rows, columns), how many thresholds lie below each number.
    """
    count, width = codes.shape[1], int(codes.max(initial=0)) + 1
    keys = codes + width * np.arange(count)
    weights = [np.repeat(each, count) for each in (slopes, curvatures)]
    leaf, found = np.zeros(len(codes), np.int64), []
    for level in range(DEPTH):
        shape = (2**level, count, width)
        places = (leaf[:, None] * (count * width) + keys).ravel()
        gains = _gains(*(np.bincount(places, each, np.prod(shape)).reshape(shape) for each in weights))
        column, code = np.unravel_index(gains.argmax(), gains.shape)
        if gains[column, code] <= 0:
            break
        found.append((int(column), int(code)))
        leaf = 2 * leaf + (codes[:, column] >= code)
    return found


def _gains(slopes: np.ndarray, curvatures: np.ndarray) -> np.ndarray:
    """What asking for each code of each column gains over all leaves, (columns, codes), of sums (leaves, columns, codes)."""
    up, weight_up = (each[..., ::-1].cumsum(-1)[..., ::-1] for each in (slopes, curvatures))
    all_, weight = up[..., :1], weight_up[..., :1]
    down, weight_down = all_ - up, weight - weight_up
    gains = up**2 / (weight_up + SHRINKAGE) + down**2 / (weight_down + SHRINKAGE)
    gains -= all_**2 / (weight + SHRINKAGE)
    return np.where(np.minimum(weight_up, weight_down) >= LEAST, gains, 0.0).sum(axis=0)


def _leaf(codes: np.ndarray, splits: list[tuple[int, int]]) -> np.ndarray:
    leaf = np.zeros(len(codes), np.int64)
    for column, code in splits:
        leaf = 2 * leaf + (codes[:, column] >= code)
    return leaf


@keras.saving.register_keras_serializable("dltasks.fraud")
class Trees(layers.Layer):
    """Numbers (batch, features) to the log-odds (batch, 1) that `count` grown trees say; 0 before they are grown.

    Answers are the bits of a leaf's number (Popov, Morozov and Babenko, 2019, Neural Oblivious Decision Ensembles).
    """

    def __init__(self, count: int, **options):
        super().__init__(**options)
        self.count = count

    def get_config(self):
        return super().get_config() | {"count": self.count}

    def build(self, shape):
        def constant(name, shape, dtype="float32"):
            return self.add_weight(shape=shape, dtype=dtype, initializer="zeros", trainable=False, name=name)

        self.columns = constant("columns", (DEPTH, self.count), "int32")
        self.thresholds = constant("thresholds", (DEPTH, self.count))
        self.values = constant("values", (self.count, 2**DEPTH))

    def adapt(self, numbers: np.ndarray, fraud: np.ndarray, seed: int) -> None:
        """Grow the trees: (rows, features) and bool (rows,)."""
        grown = grow(numbers, fraud, self.count, seed)
        self.columns.assign(grown.columns)
        self.thresholds.assign(grown.thresholds)
        self.values.assign(grown.values)

    def call(self, numbers):
        # LiteRT copies whole rows much faster than single numbers.
        rows = ops.transpose(numbers)  # (features, batch)
        leaf = 0.0
        for level in range(DEPTH):
            beyond = ops.take(rows, self.columns[level], axis=0) - self.thresholds[level][:, None]
            # 1 above the threshold, 0 elsewhere; LiteRT's comparisons are slower.
            leaf = 2.0 * leaf + ops.ceil(ops.clip(beyond, 0.0, 1.0))  # (trees, batch)
        first = 2.0**DEPTH * np.arange(self.count, dtype="float32")[:, None]
        places = ops.cast(leaf + first, "int32")
        values = ops.take(ops.reshape(self.values, (-1,)), places, axis=0)
        return ops.sum(values, axis=0)[:, None]

    def compute_output_shape(self, shape):
        return (shape[0], 1)
