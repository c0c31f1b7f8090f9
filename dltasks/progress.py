"""Where long work tells how it goes."""


class Progress:
    """Says nothing; who wants to hear overrides both."""

    def line(self, text: str) -> None:
        """Something worth a line."""

    def step(self, text: str, done: int, total: int) -> None:
        """How far the work named `text` is."""
