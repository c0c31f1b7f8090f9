"""Export a Keras network as a .tflite or a SavedModel, compared with the network."""
