"""The bundle: a trained network on disk, with everything needed to predict and to evaluate."""
