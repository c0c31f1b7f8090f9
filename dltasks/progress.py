"""Progress of long work, as its caller wants to see it."""


class Progress:
    """Receives messages and progress; does nothing by default. Subclasses override both methods."""

    def log(self, text: str) -> None:
        """Report a line of text."""

    def update(self, text: str, done: int, total: int) -> None:
        """Report that `done` of `total` steps of the work named `text` are done."""
