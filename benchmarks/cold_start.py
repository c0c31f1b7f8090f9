"""One photo, a whole process: `dltasks classify` compared with a minimal program and with Keras.

    python benchmarks/cold_start.py [--rounds 15]

Target: at most 1.5 times the wall time of the minimal program, a tenth of that of Keras, and a sixth of its
memory.
"""

import argparse
import sys

from measure import COMMAND, ROOT, median, run_interleaved, write_results

PHOTO, MODEL = ROOT / "samples/image/coffee.jpg", ROOT / "models/objects"

MINIMAL = f"""
import numpy as np
from PIL import Image
from ai_edge_litert.interpreter import Interpreter
interpreter = Interpreter({str(MODEL / "model.tflite")!r}, num_threads=1)
interpreter.allocate_tensors()
inputs, outputs = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
side = inputs["shape"][1]
photo = Image.open({str(PHOTO)!r}).convert("RGB").resize((side, side), Image.BILINEAR)
interpreter.set_tensor(inputs["index"], np.asarray(photo)[None])
interpreter.invoke()
print(interpreter.get_tensor(outputs["index"]).argmax())
"""

KERAS = f"""
import keras
import numpy as np
from PIL import Image
model = keras.saving.load_model({str(MODEL / "model.keras")!r}, compile=False)
side = model.input["pixels"].shape[1]
photo = Image.open({str(PHOTO)!r}).convert("RGB").resize((side, side), Image.BILINEAR)
print(model.predict({{"pixels": np.asarray(photo)[None]}}, verbose=0)["probabilities"].argmax())
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    processes = run_interleaved(
        {
            "dltasks classify": [COMMAND, "classify", str(PHOTO)],
            "minimal: numpy, Pillow, LiteRT": [sys.executable, "-c", MINIMAL],
            "Keras in TensorFlow": [sys.executable, "-c", KERAS],
        },
        parser.parse_args().rounds,
    )
    ours, minimal, keras = processes.values()
    ratios = {
        "wall_of_minimal": median(ours, "wall") / median(minimal, "wall"),
        "times_faster_than_keras": median(keras, "wall") / median(ours, "wall"),
        "keras_memory_of_ours": median(keras, "memory") / median(ours, "memory"),
    }
    rows = [
        (
            name,
            f"{1000 * median(measured, 'wall'):.0f}",
            f"{1000 * median(measured, 'processor'):.0f}",
            f"{median(measured, 'memory'):.0f}",
        )
        for name, measured in processes.items()
    ]
    rows += [(f"ratio: {name.replace('_', ' ')}", f"{value:.2f}", "", "") for name, value in ratios.items()]
    medians = {
        name: {field: median(measured, field) for field in ("wall", "processor", "memory")}
        for name, measured in processes.items()
    }
    columns = ("", "wall, ms", "processor, ms", "memory, MB")
    write_results("cold_start", {"medians": medians, "ratios": ratios}, rows, columns)


if __name__ == "__main__":
    main()
