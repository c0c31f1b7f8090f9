"""Third-party .tflite files: their metadata, and how a task uses them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dltasks.litert.metadata import LABELS
from dltasks.litert.runtime import Convert, Runtime


@dataclass(frozen=True)
class ThirdPartyModel:
    """A .tflite file that dltasks did not write.

    Attributes:
        runtime: Runs the file.
        metadata: Its standard metadata; empty if it has none.
        files: The files in its zip, by name.
        labels: Names of its outputs as given by the user, or None.
        mean: Mean of its input values as given by the user, or None; one number or one per channel.
        std: Standard deviation, likewise: its input is (value - mean) / std.
    """

    runtime: Runtime
    metadata: dict[str, Any]
    files: dict[str, bytes]
    labels: Sequence[str] | None = None
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None

    def tensor_metadata(self, side: str) -> dict[str, Any]:
        """The metadata of its first "input" or "output"; empty if there is none."""
        subgraphs = self.metadata.get("subgraph_metadata") or [{}]
        return (subgraphs[0].get(f"{side}_tensor_metadata") or [{}])[0]

    def label_names(self) -> list[str] | None:
        """The labels from the user, else from the file named in the metadata, else from any text file."""
        if self.labels:
            return list(self.labels)
        associated = self.tensor_metadata("output").get("associated_files", ())
        names = [file.get("name") for file in associated if file.get("type") == LABELS]
        names = [name for name in names if name in self.files]
        names += [name for name in self.files if name.endswith(".txt")]
        return self.files[names[0]].decode("utf-8", "replace").splitlines() if names else None

    def scaling(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Mean and standard deviation of its input values, float32; None if unknown."""
        mean, std = self.mean, self.std
        if mean is None and std is None:
            units = self.tensor_metadata("input").get("process_units", ())
            options = [
                unit["properties"] for unit in units if unit.get("kind") == "NormalizationOptions"
            ] or [{}]
            mean, std = options[0].get("mean"), options[0].get("std")
        if not mean and not std:
            return None
        return np.asarray(mean or [0.0], np.float32), np.asarray(std or [1.0], np.float32)


@dataclass(frozen=True)
class Adapter:
    """How a task uses a third-party file.

    Attributes:
        task: The task.
        names: The task's names of inputs and outputs, by their names in the file.
        preprocess: Conversions of inputs, by the task's name.
        postprocess: Conversions of outputs, by the task's name.
    """

    task: Any
    names: dict[str, str]
    preprocess: dict[str, Convert]
    postprocess: dict[str, Convert]
