"""The .tflite file: run, described, tried safely. No TensorFlow."""
