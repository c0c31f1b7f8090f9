"""LiteRT: named arrays in, named arrays out; batches over cores."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from dltasks.errors import ModelError
from dltasks.frameworks import suppress_native_output

Convert = Callable[[np.ndarray], np.ndarray]


MAX_BATCH = 256
"""Rows that an interpreter gets at once: what lies between the layers for more leaves the processor's cache."""


class Runtime:
    """A .tflite. Each thread that runs it gets an interpreter of its own.

    Four threads in one interpreter are 1.3 times as fast as one; four interpreters 3.4 times.
    inputs, outputs: details of each tensor by name, as the interpreter gives them; of the first signature, where the
    file has several. signatures: their names, none where there is but one.
    """

    def __init__(
        self,
        model: bytes,
        renamed: dict[str, str] | None = None,
        given: dict[str, Convert] | None = None,
        answered: dict[str, Convert] | None = None,
        threads: int = 1,
    ):
        self._threads = threads
        self._model = model
        self._renamed, self._given, self._answered = renamed or {}, given or {}, answered or {}
        self._local = threading.local()
        # The first interpreter of a process announces its delegate on standard error.
        with suppress_native_output():
            interpreter = self._interpreter()
        found = list(interpreter.get_signature_list())
        self.signatures = tuple(found) if len(found) > 1 else ()
        self.inputs, self.outputs = (self._named(each) for each in _details(interpreter))
        row_by_row = any(tuple(each["shape_signature"][:1]) == (1,) for each in self.inputs.values())
        self._at_once = 1 if row_by_row else MAX_BATCH

    def with_adapters(
        self, names: dict[str, str], given: dict[str, Convert], answered: dict[str, Convert]
    ) -> "Runtime":
        """The same file with these names in place of its own; `given` changes inputs of these names, `answered` outputs."""
        return Runtime(self._model, names, given, answered)

    def shape_error(self, shapes: dict[str, tuple[int | None, ...]]) -> str:
        """What of these arrays the file neither takes nor gives so, in a few words; nothing where it does.

        shapes: of inputs and outputs by name, without the batch axis; None for an axis of any size.
        """
        sides = (
            side(each)
            for each in self.signatures or (None,)
            for side in (self.input_details, self.output_details)
        )
        found = [(name, detail) for side in sides for name, detail in side.items()]
        if missing := sorted(set(shapes) - {name for name, _ in found}):
            return f"it has no {missing[0]}"
        for name, detail in found:
            shape = tuple(int(size) for size in detail["shape_signature"][1:])
            wanted = shapes.get(name, shape)
            if len(shape) != len(wanted) or any(
                b not in (None, a) for a, b in zip(shape, wanted, strict=True)
            ):
                return f"{name} is {shape}, where {wanted} is wanted"
        return ""

    def streaming_shape_error(self, shapes: dict[str, tuple[int | None, ...]]) -> str:
        """As flaw, of a file that takes a step of its inputs and the state, and gives its outputs and the next state."""
        given = {name: tuple(each["shape"]) for name, each in self.inputs.items()}
        after = {name: tuple(each["shape"]) for name, each in self.outputs.items()}
        if state := [name for name in given if name not in shapes and given[name] != after.get(name)]:
            return f"the state {state[0]} does not come back as it went in"
        return self.shape_error(
            {name: shape if name in after else (None,) * len(shape) for name, shape in shapes.items()}
        )

    def input_details(self, signature: str | None = None) -> dict[str, dict]:
        """The inputs of a signature by name, as the interpreter tells of them."""
        return self._runner(signature).get_input_details() if self.signatures else self.inputs

    def output_details(self, signature: str | None = None) -> dict[str, dict]:
        """The outputs of a signature by name."""
        return self._runner(signature).get_output_details() if self.signatures else self.outputs

    def _named(self, details: dict[str, dict]) -> dict[str, dict]:
        return {self._renamed.get(name, name): each for name, each in details.items()}

    def _interpreter(self):
        interpreter = getattr(self._local, "interpreter", None)
        if interpreter is None:
            from ai_edge_litert.interpreter import Interpreter

            try:
                interpreter = Interpreter(model_content=self._model, num_threads=self._threads)
                interpreter.allocate_tensors()
            except (ValueError, RuntimeError) as error:
                raise ModelError(f"LiteRT can't run this .tflite: {_first_line(error)}") from error
            self._local.interpreter = interpreter
        return interpreter

    def run(self, inputs: dict[str, np.ndarray], signature: str | None = None) -> dict[str, np.ndarray]:
        """The named outputs for these named inputs, both with a batch axis.

        signature: must be said of a file that has several. A file made for a batch of one is run row by row.
        Quantised outputs are scaled back to float32. Raises ModelError.
        """
        with _litert_errors():
            return self._run(inputs, signature)

    def _run(self, inputs: dict[str, np.ndarray], signature: str | None) -> dict[str, np.ndarray]:
        if self.signatures:
            return self._runner(signature)(**inputs)
        count = len(next(iter(inputs.values())))
        if count <= self._at_once:
            return self._invoked(inputs)
        # As even as can be, so that the interpreter seldom makes room anew.
        pieces = np.array_split(np.arange(count), -(-count // self._at_once))
        found = [self._invoked({k: v[each[0] : each[-1] + 1] for k, v in inputs.items()}) for each in pieces]
        return {name: np.concatenate([piece[name] for piece in found]) for name in self.outputs}

    def _runner(self, signature: str | None):
        runners = self._local.__dict__.setdefault("runners", {})
        if signature not in runners:
            if signature not in self.signatures:
                raise ModelError(f"signature {signature!r}: this .tflite has {', '.join(self.signatures)}")
            runners[signature] = self._interpreter().get_signature_runner(signature)
        return runners[signature]

    def _invoked(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        interpreter = self._interpreter()
        inputs = {k: self._given[k](v) if k in self._given else v for k, v in inputs.items()}
        resized = False
        for name, values in inputs.items():
            detail = self.inputs[name]
            if getattr(self._local, "shapes", {}).get(name, tuple(detail["shape"])) != values.shape:
                interpreter.resize_tensor_input(detail["index"], values.shape)
                resized = True
        if resized:
            interpreter.allocate_tensors()
            self._local.shapes = {name: values.shape for name, values in inputs.items()}
        for name, values in inputs.items():
            interpreter.set_tensor(self.inputs[name]["index"], values)
        interpreter.invoke()
        found = {
            name: _dequantize(interpreter.get_tensor(detail["index"]), detail)
            for name, detail in self.outputs.items()
        }
        return {k: self._answered[k](v) if k in self._answered else v for k, v in found.items()}


def _details(interpreter) -> tuple[dict[str, dict], dict[str, dict]]:
    """Input and output tensors by the names of the signature; by their own where there is none."""
    inputs = {each["index"]: each for each in interpreter.get_input_details()}
    outputs = {each["index"]: each for each in interpreter.get_output_details()}
    if not interpreter.get_signature_list():
        return tuple({each["name"]: each for each in side.values()} for side in (inputs, outputs))
    runner = interpreter.get_signature_runner(next(iter(interpreter.get_signature_list())))
    if len(interpreter.get_signature_list()) > 1:
        return runner.get_input_details(), runner.get_output_details()
    return (
        {name: inputs[each["index"]] for name, each in runner.get_input_details().items()},
        {name: outputs[each["index"]] for name, each in runner.get_output_details().items()},
    )


@contextmanager
def _litert_errors() -> Iterator[None]:
    """What LiteRT raises of inputs that a network can't take, or of a network that makes no sense, as a ModelError."""
    try:
        yield
    except (ValueError, RuntimeError) as error:
        raise ModelError(
            f"LiteRT can't run this .tflite on what it is given: {_first_line(error)}"
        ) from error


def _dequantize(values: np.ndarray, detail: dict) -> np.ndarray:
    scale, zero = detail["quantization"]
    return ((values.astype(np.float32) - zero) * scale) if scale else values


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


Arrays = dict[str, np.ndarray]
Run = Callable[..., Arrays]
"""Runs named inputs through a network, or through one of its signatures where it has several: run(inputs, "encode")."""
