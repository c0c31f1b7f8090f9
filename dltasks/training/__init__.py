"""Train a task's network on a data set, and write a bundle."""
