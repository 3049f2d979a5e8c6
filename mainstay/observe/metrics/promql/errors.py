"""What can be wrong with a query."""


class QueryError(ValueError):
    """The query cannot be parsed or evaluated. The message says what is wrong, where, and how to mend it.

    `position` is the offset in characters into the query's text, or None where it is not known.
    """

    def __init__(self, message: str, position: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.position = position


class QueryTooExpensive(QueryError):
    """The query would read or make more samples than the limits allow. `samples` is the estimate."""

    def __init__(self, message: str, samples: int) -> None:
        super().__init__(message)
        self.samples = samples
