"""A .tflite that dltasks did not write: what is known of it, and what a task makes of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dltasks.litert.metadata import LABELS
from dltasks.litert.runtime import Convert, Runtime


@dataclass(frozen=True)
class ThirdPartyModel:
    """runtime: the file. told: its standard metadata, empty where it has none. inside: the files in its zip. labels, mean, std:
    as the user named them, or None; (value - mean) / std is what its input takes."""

    runtime: Runtime
    metadata: dict[str, Any]
    files: dict[str, bytes]
    labels: Sequence[str] | None = None
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None

    def tensor(self, side: str) -> dict[str, Any]:
        """What its metadata says of its first "input" or "output"."""
        graphs = self.metadata.get("subgraph_metadata") or [{}]
        return (graphs[0].get(f"{side}_tensor_metadata") or [{}])[0]

    def label_names(self) -> list[str] | None:
        """The labels that the user named, that its metadata names, or that stand in the only text file in it."""
        if self.labels:
            return list(self.labels)
        files = [
            each for each in self.tensor("output").get("associated_files", ()) if each.get("type") == LABELS
        ]
        names = [each["name"] for each in files if each.get("name") in self.files]
        names += [each for each in self.files if each.endswith(".txt")]
        return self.files[names[0]].decode("utf-8", "replace").splitlines() if names else None

    def scaling(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Mean and standard deviation that its input is scaled by; None where nobody says."""
        mean, std = self.mean, self.std
        if mean is None and std is None:
            units = self.tensor("input").get("process_units", ())
            found = [each["properties"] for each in units if each.get("kind") == "NormalizationOptions"]
            mean, std = (found[0].get("mean"), found[0].get("std")) if found else (None, None)
        if not mean and not std:
            return None
        return np.asarray(mean or [0.0], np.float32), np.asarray(std or [1.0], np.float32)


@dataclass(frozen=True)
class Adapter:
    """A task for a stranger's file. names: the task's, by the file's own. given, answered: what changes the inputs and
    the outputs of these names."""

    task: Any
    names: dict[str, str]
    preprocess: dict[str, Convert]
    postprocess: dict[str, Convert]
