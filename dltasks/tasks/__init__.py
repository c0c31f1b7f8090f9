"""The tasks, one folder each; dltasks.registry lists them."""
