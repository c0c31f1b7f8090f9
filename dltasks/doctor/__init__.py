"""Inspect a data set before anything is trained on it, and fix it."""
