"""Evaluation: metrics, and scores with confidence intervals."""
