"""Groups of labels: "Egyptian cat 37 %, tiger cat 37 %, tabby cat 18 %" is a cat, 92 %."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from dltasks.tasks.classification import Label


class LabelGroups:
    """The groups of a model's labels, such as those of WordNet.

    Attributes:
        names: Names of the groups.
        members: float32 (groups, labels), 1 where a label belongs to a group and 0 elsewhere.
    """

    def __init__(self, labels: Sequence[str], groups: Mapping[str, Sequence[str]]):
        index = {label: i for i, label in enumerate(labels)}
        self.names = tuple(groups)
        self.members = np.zeros((len(groups), len(labels)), np.float32)
        for row, members in enumerate(groups.values()):
            self.members[row, [index[label] for label in members]] = 1
        sizes = self.members.sum(axis=1)
        self._information = 1 - np.log(sizes) / math.log(max(2, len(labels)))

    def common_group(self, probabilities: np.ndarray) -> Label | None:
        """The group that says more about the input than its most probable label does, or None.

        What an answer says is its probability times its information, which is 1 for a label and 0 for the
        group of all labels: a rare group weighs more than a large one (Deng et al., "Hedging Your Bets",
        2012). Only groups of the most probable label count.

        probabilities: float32 (labels,).
        """
        top = int(probabilities.argmax())
        rows = np.flatnonzero(self.members[:, top])
        if not len(rows):
            return None
        sums = self.members[rows] @ probabilities
        values = sums * self._information[rows]
        best = int(values.argmax())
        if values[best] <= probabilities[top]:
            return None
        return Label(self.names[rows[best]], min(1.0, float(sums[best])))
