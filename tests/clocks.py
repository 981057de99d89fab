"""Time in tests: a clock that goes on only when the test moves it."""


class Clock:
    """Seconds, for what takes a clock."""

    def __init__(self, now_s: float = 1000.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s
