"""Where long work tells how it goes."""


class Progress:
    """Says nothing; who wants to hear overrides both."""

    def log(self, text: str) -> None:
        """Something worth a line."""

    def update(self, text: str, done: int, total: int) -> None:
        """How far the work named `text` is."""
