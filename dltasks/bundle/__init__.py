"""The bundle: a trained network on disk, with all it needs to predict and to be evaluated."""
