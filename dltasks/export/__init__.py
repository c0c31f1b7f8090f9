"""From a Keras network to a .tflite or a SavedModel, compared with the network."""
