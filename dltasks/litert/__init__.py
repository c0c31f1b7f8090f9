"""The .tflite file: running, describing and checking it, without TensorFlow."""
