"""Boosted trees as a layer of the network: grown in numpy, evaluated with operations built into LiteRT."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers, ops

DEPTH = 5
"""Number of splits on a path of a tree."""

TOTAL_LEARNING_RATE = 7.5
"""Sum of the learning rates of all trees: more trees take smaller steps."""

MAX_LEARNING_RATE = 0.3
"""Maximum learning rate of one tree."""

ROW_FRACTION, COLUMN_FRACTION = 0.7, 0.4
"""Fractions of transactions and of features that a tree sees."""

MAX_TREE_COLUMNS = 48
"""Maximum number of features that a tree sees."""

MIN_CURVATURE = 3.0
"""Minimum curvature of the log loss on each side of a split."""

REGULARIZATION = 1.0
"""Curvature added to that of a leaf, which shrinks the values of leaves with few transactions."""

MAX_ROWS = 100_000
"""Maximum number of transactions that trees are grown on."""

QUANTILES = np.concatenate([np.linspace(0, 1, 33)[1:-1], [0.98, 0.99, 0.995, 0.998, 0.999]])
"""Quantiles of a feature that are candidate thresholds: evenly spaced, and denser where it is high."""

MAX_THRESHOLD_LEAVES, MIN_THRESHOLD_ROWS = 16, 8
"""Leaves, and transactions in each, of the small tree that gives the other candidate thresholds."""

Split = tuple[int, int]
"""A column, and the number of its thresholds that a value must exceed."""


@dataclass(frozen=True)
class ObliviousTrees:
    """Trees with the same split at all nodes of a level.

    Attributes:
        columns: int32 (DEPTH, trees), the feature of each split.
        thresholds: float32 (DEPTH, trees), which it must exceed.
        values: float32 (trees, 2**DEPTH), log-odds of the leaves; the first split tells the halves apart.
    """

    columns: np.ndarray
    thresholds: np.ndarray
    values: np.ndarray


def grow_trees(features: np.ndarray, is_fraud: np.ndarray, count: int, seed: int) -> ObliviousTrees:
    """`count` boosted trees that predict fraud: features float32 (rows, features), is_fraud bool (rows,).

    Oblivious trees (Prokhorenkova et al., 2018, CatBoost) are steadier than others where frauds are few, and
    the index of a leaf is the binary number of its splits. Newton steps on the log loss, on a sample of rows
    and columns for each tree (Friedman, 2002; Chen and Guestrin, 2016). They start from even odds: from the
    fraud rate, small leaves of nothing but frauds would have too little curvature to split off.
    """
    random = np.random.default_rng(seed)
    if len(is_fraud) > MAX_ROWS:
        rows = np.sort(random.choice(len(is_fraud), MAX_ROWS, replace=False))
        features, is_fraud = features[rows], is_fraud[rows]
    edges = [candidate_thresholds(values, is_fraud) for values in features.T]
    bins = np.stack([np.searchsorted(*pair) for pair in zip(edges, features.T, strict=True)], axis=1)
    sampled = min(MAX_TREE_COLUMNS, max(1, round(COLUMN_FRACTION * len(edges))))
    rate = min(MAX_LEARNING_RATE, TOTAL_LEARNING_RATE / count)
    odds, trees = np.zeros(len(is_fraud)), []
    for _ in range(count):
        probabilities = 1 / (1 + np.exp(-odds))
        slopes, curvatures = is_fraud - probabilities, probabilities * (1 - probabilities)
        rows = np.flatnonzero(random.random(len(is_fraud)) < ROW_FRACTION)
        columns = np.sort(random.choice(len(edges), sampled, replace=False))
        best = _choose_splits(bins[np.ix_(rows, columns)], slopes[rows], curvatures[rows])
        splits = [(int(columns[column]), threshold) for column, threshold in best]
        leaves = _leaf_indices(bins, splits)
        slope_sums, curvature_sums = (
            np.bincount(leaves[rows], terms[rows], 2 ** len(splits)) for terms in (slopes, curvatures)
        )
        values = np.asarray(rate * slope_sums / (curvature_sums + REGULARIZATION), np.float32)
        odds += values[leaves]
        trees.append((splits, values))
    return _pack_trees(trees, edges)


def _pack_trees(trees: list[tuple[list[Split], np.ndarray]], edges: list[np.ndarray]) -> ObliviousTrees:
    """Trees as splits and values of the leaves, in arrays."""
    columns = np.zeros((DEPTH, len(trees)), np.int32)
    thresholds = np.zeros((DEPTH, len(trees)), np.float32)
    for tree, (splits, _) in enumerate(trees):
        for level, (column, bin) in enumerate(splits):
            columns[level, tree], thresholds[level, tree] = column, edges[column][bin - 1]
    # Levels without a split have the same values on both sides.
    values = [np.repeat(leaf_values, 2**DEPTH // len(leaf_values)) for _, leaf_values in trees]
    return ObliviousTrees(columns, thresholds, np.stack(values))


def candidate_thresholds(values: np.ndarray, is_fraud: np.ndarray) -> np.ndarray:
    """Ascending float32 thresholds of a feature: quantiles, and where the fraud rate changes most."""
    from sklearn.tree import DecisionTreeClassifier

    tree = DecisionTreeClassifier(
        max_leaf_nodes=MAX_THRESHOLD_LEAVES,
        min_samples_leaf=MIN_THRESHOLD_ROWS,
        criterion="entropy",
        random_state=0,
    )
    tree = tree.fit(values[:, None], is_fraud).tree_
    candidates = [*tree.threshold[tree.feature >= 0], *np.quantile(values, QUANTILES)]
    thresholds = np.unique(np.asarray(candidates, np.float32))
    return thresholds[(thresholds >= values.min()) & (thresholds < values.max())]


def _choose_splits(bins: np.ndarray, slopes: np.ndarray, curvatures: np.ndarray) -> list[Split]:
    """At most DEPTH splits, the best first. bins: (rows, columns), thresholds below each value."""
    count, width = bins.shape[1], int(bins.max(initial=0)) + 1
    keys = bins + width * np.arange(count)
    weights = [np.repeat(terms, count) for terms in (slopes, curvatures)]
    leaves, splits = np.zeros(len(bins), np.int64), []
    for level in range(DEPTH):
        shape = (2**level, count, width)
        cells = (leaves[:, None] * (count * width) + keys).ravel()
        sums = (np.bincount(cells, terms, int(np.prod(shape))).reshape(shape) for terms in weights)
        gains = _split_gains(*sums)
        column, bin = np.unravel_index(gains.argmax(), gains.shape)
        if gains[column, bin] <= 0:
            break
        splits.append((int(column), int(bin)))
        leaves = 2 * leaves + (bins[:, column] >= bin)
    return splits


def _split_gains(slopes: np.ndarray, curvatures: np.ndarray) -> np.ndarray:
    """Gain of each split over all leaves, (columns, bins), from sums (leaves, columns, bins)."""
    above, curvature_above = (sums[..., ::-1].cumsum(-1)[..., ::-1] for sums in (slopes, curvatures))
    total, curvature = above[..., :1], curvature_above[..., :1]
    below, curvature_below = total - above, curvature - curvature_above
    gains = above**2 / (curvature_above + REGULARIZATION) + below**2 / (curvature_below + REGULARIZATION)
    gains -= total**2 / (curvature + REGULARIZATION)
    return np.where(np.minimum(curvature_above, curvature_below) >= MIN_CURVATURE, gains, 0.0).sum(axis=0)


def _leaf_indices(bins: np.ndarray, splits: Iterable[Split]) -> np.ndarray:
    leaves = np.zeros(len(bins), np.int64)
    for column, bin in splits:
        leaves = 2 * leaves + (bins[:, column] >= bin)
    return leaves


@keras.saving.register_keras_serializable("dltasks.fraud")
class BoostedTrees(layers.Layer):
    """Features (batch, features) to the log-odds (batch, 1) of `count` trees; 0 before they are grown.

    The results of a tree's splits are the bits of a leaf's index (Popov, Morozov and Babenko, 2019, Neural
    Oblivious Decision Ensembles).
    """

    def __init__(self, count: int, **options: Any):
        super().__init__(**options)
        self.count = count

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"count": self.count}

    def build(self, shape: Any) -> None:
        def constant(name: str, shape: tuple[int, ...], dtype: str = "float32") -> Any:
            return self.add_weight(shape=shape, dtype=dtype, initializer="zeros", trainable=False, name=name)

        self.columns = constant("columns", (DEPTH, self.count), "int32")
        self.thresholds = constant("thresholds", (DEPTH, self.count))
        self.values = constant("values", (self.count, 2**DEPTH))

    def adapt(self, features: np.ndarray, is_fraud: np.ndarray, seed: int) -> None:
        """Grow the trees: features (rows, features), is_fraud bool (rows,)."""
        trees = grow_trees(features, is_fraud, self.count, seed)
        self.columns.assign(trees.columns)
        self.thresholds.assign(trees.thresholds)
        self.values.assign(trees.values)

    def call(self, features: Any) -> Any:
        # LiteRT copies whole rows much faster than single numbers.
        rows = ops.transpose(features)  # (features, batch)
        leaves: Any = 0.0
        for level in range(DEPTH):
            excess = ops.take(rows, self.columns[level], axis=0) - self.thresholds[level][:, None]
            # 1 above the threshold, 0 elsewhere; LiteRT's comparisons are slower.
            leaves = 2.0 * leaves + ops.ceil(ops.clip(excess, 0.0, 1.0))  # (trees, batch)
        first_leaves = 2.0**DEPTH * np.arange(self.count, dtype="float32")[:, None]
        indices = ops.cast(leaves + first_leaves, "int32")
        values = ops.take(ops.reshape(self.values, (-1,)), indices, axis=0)
        return ops.sum(values, axis=0)[:, None]

    def compute_output_shape(self, shape: Any) -> tuple[Any, ...]:
        return (shape[0], 1)
