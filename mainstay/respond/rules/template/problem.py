"""What is wrong with a template, and where."""


class TemplateProblem(ValueError):
    """A template cannot be read. `at` is the place in its text, counted from 0."""

    def __init__(self, detail: str, at: int) -> None:
        super().__init__(detail)
        self.detail = detail
        self.at = at

    def place(self, text: str) -> tuple[int, int]:
        """Return line and column in `text`, counted from 1."""
        before = text[: self.at]
        return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


class RenderProblem(ValueError):
    """A template cannot be rendered with the data it got."""
