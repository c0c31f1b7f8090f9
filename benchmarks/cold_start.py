"""One photo, a whole process: `dltasks classify` against the least that Python can do, and against Keras.

    python benchmarks/cold_start.py [--rounds 15]

Wanted: at most 1.5 times the floor's wall time, a tenth of Keras's, a sixth of its memory.
"""

import argparse
import sys

from measured import COMMAND, ROOT, in_turn, median, progress

PHOTO, MODEL = ROOT / "samples/image/coffee.jpg", ROOT / "models/objects"

FLOOR = f"""
import numpy as np
from PIL import Image
from ai_edge_litert.interpreter import Interpreter
interpreter = Interpreter({str(MODEL / "model.tflite")!r}, num_threads=1)
interpreter.allocate_tensors()
taken, given = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
side = taken["shape"][1]
photo = Image.open({str(PHOTO)!r}).convert("RGB").resize((side, side), Image.BILINEAR)
interpreter.set_tensor(taken["index"], np.asarray(photo)[None])
interpreter.invoke()
print(interpreter.get_tensor(given["index"]).argmax())
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
    found = in_turn(
        {
            "dltasks classify": [COMMAND, "classify", str(PHOTO)],
            "floor: numpy, Pillow, LiteRT": [sys.executable, "-c", FLOOR],
            "Keras in TensorFlow": [sys.executable, "-c", KERAS],
        },
        parser.parse_args().rounds,
    )
    ours, floor, keras = found.values()
    ratios = {
        "wall_of_floor": median(ours, "wall") / median(floor, "wall"),
        "times_faster_than_keras": median(keras, "wall") / median(ours, "wall"),
        "keras_memory_of_ours": median(keras, "memory") / median(ours, "memory"),
    }
    rows = [
        (
            name,
            f"{1000 * median(each, 'wall'):.0f}",
            f"{1000 * median(each, 'processor'):.0f}",
            f"{median(each, 'memory'):.0f}",
        )
        for name, each in found.items()
    ]
    rows += [(f"ratio: {name.replace('_', ' ')}", f"{value:.2f}", "", "") for name, value in ratios.items()]
    medians = {
        name: {what: median(each, what) for what in ("wall", "processor", "memory")}
        for name, each in found.items()
    }
    columns = ("", "wall, ms", "processor, ms", "memory, MB")
    progress("cold_start", {"medians": medians, "ratios": ratios}, rows, columns)


if __name__ == "__main__":
    main()
