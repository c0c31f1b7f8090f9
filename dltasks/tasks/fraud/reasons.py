"""Why a transaction was called risky: what raised its log-odds most above those of a usual one, in plain words."""

from collections.abc import Callable

import numpy as np

from dltasks.tasks.fraud.features import Recipe

ORDERS = 2
"""Pairs of orders, one the other backwards, in which what is particular to a transaction is put in."""

LEAST = 0.1
"""Natural log-odds below which nothing is called a reason."""

MOST = 3
"""Reasons given."""

PAST = "past"


def reasons(
    recipe: Recipe, usual: np.ndarray, spread: np.ndarray, inputs: dict[str, np.ndarray], run: Callable
) -> list[tuple[str, ...]]:
    """At most MOST phrases for each row of `inputs`, the strongest first.

    usual, spread: (features,), a usual transaction and how far such go; `run` gives probabilities of inputs.
    Contributions are Shapley values of groups of features that tell of the same thing, estimated over antithetic orders
    (Castro, Gomez and Tejada, 2009; Mitchell et al., 2022).
    """
    groups = _groups(recipe, PAST in inputs)
    found = contributions(groups, usual, inputs, run)
    names = list(groups)
    told = []
    for row, raised in enumerate(found):
        best = [i for i in np.argsort(-raised, kind="stable")[:MOST] if raised[i] >= LEAST]
        told.append(
            tuple(_phrase(recipe, names[i], groups[names[i]], usual, spread, inputs, row) for i in best)
        )
    return told


def contributions(
    groups: dict[str, list[int]], usual: np.ndarray, inputs: dict[str, np.ndarray], run: Callable
) -> np.ndarray:
    """Natural log-odds (count, groups) that each group adds."""
    count = len(next(iter(inputs.values())))
    start = _emptied(inputs, usual)
    from_, to = log_odds(run(_first(start))), log_odds(run(inputs))
    found = np.zeros((count, len(groups)))
    random = np.random.default_rng(0)
    orders = [random.permutation(len(groups)) for _ in range(ORDERS)]
    orders += [each[::-1] for each in orders]
    names = list(groups)
    for order in orders:
        current = {name: values.copy() for name, values in start.items()}
        before = np.full(count, from_[0])
        for step, group in enumerate(order):
            _put(current, inputs, names[group], groups[names[group]], len(usual))
            after = to if step == len(order) - 1 else log_odds(run(current))
            found[:, group] += after - before
            before = after
    return found / len(orders)


def log_odds(probabilities: np.ndarray) -> np.ndarray:
    """Natural, float64, of probabilities held within 1e-7 of 0 and 1."""
    clipped = np.clip(np.asarray(probabilities, np.float64).reshape(-1), 1e-7, 1 - 1e-7)
    return np.log(clipped / (1 - clipped))


def _groups(recipe: Recipe, with_past: bool) -> dict[str, list[int]]:
    """Columns of each kin of features; categories count on from the numbers."""
    found: dict[str, list[int]] = {}
    for i, each in enumerate(recipe.features):
        found.setdefault(each.kin, []).append(i)
    for i, name in enumerate(recipe.vocabularies):
        found[name] = [len(recipe.features) + i]
    return found | ({PAST: []} if with_past else {})


def _emptied(inputs: dict[str, np.ndarray], usual: np.ndarray) -> dict[str, np.ndarray]:
    """As many usual transactions: usual numbers, unknown categories, nothing before."""
    return {
        name: np.tile(usual, (len(values), 1)) if name == "numbers" else np.zeros_like(values)
        for name, values in inputs.items()
    }


def _first(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: values[:1] for name, values in inputs.items()}


def _put(
    current: dict[str, np.ndarray],
    inputs: dict[str, np.ndarray],
    name: str,
    columns: list[int],
    width: int,
) -> None:
    """Tell `current` what `inputs` say in these columns; the first `width` are numbers."""
    if name == PAST:
        current |= {each: inputs[each] for each in (PAST, "there")}
        return
    for column in columns:
        if column < width:
            current["numbers"][:, column] = inputs["numbers"][:, column]
        else:
            current["codes"][:, column - width] = inputs["codes"][:, column - width]


def _phrase(recipe: Recipe, name: str, columns: list[int], usual, spread, inputs, row: int) -> str:
    """Of the group's features the one that lies farthest from the usual."""
    if name == PAST:
        return f"what this {recipe.layout.card} did before"
    if name in recipe.vocabularies:
        code = int(inputs["codes"][row, columns[0] - len(recipe.features)])
        return f"{name} is {recipe.vocabularies[name][code - 1] if code else 'one never seen in training'}"
    told = [each for each in columns if recipe.features[each].phrase]
    values = inputs["numbers"][row, told]
    farthest = int(np.argmax(np.abs(values - usual[told]) / spread[told]))
    return recipe.features[told[farthest]].phrase.format(float(values[farthest]))
