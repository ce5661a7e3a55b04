"""Whether this process is on its way out."""


class Drain:
    """Set once, when the process is told to stop; new work is turned away politely from then on."""

    def __init__(self) -> None:
        self.active = False

    def start(self) -> None:
        """Begin to drain: readiness answers 503, and answers ask clients to open another connection."""
        self.active = True
