"""How good predictions are: metrics, and scores with their intervals."""
