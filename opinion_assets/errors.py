"""Errors that a user can act on. The command line prints their message as one line and exits with 2."""


class OpinionAssetsError(Exception):
    """Base of every error that is the input's, not the program's. The message is one line and names the culprit."""


class InputError(OpinionAssetsError):
    """A source, registry, journal or review file is malformed.

    Parameters: what is wrong; then where: the file, the row (1-based data row or line, or a key) and the field.
    """

    def __init__(
        self,
        problem: str,
        *,
        file: object | None = None,
        row: object | None = None,
        question: object | None = None,
        field: object | None = None,
    ) -> None:
        self.problem, self.file, self.row, self.question, self.field = problem, file, row, question, field
        where = [
            f"{name} {value!r}" if name in ("question", "field") else f"{name} {value}"
            for name, value in (("file", file), ("row", row), ("question", question), ("field", field))
            if value is not None
        ]
        super().__init__(f"{', '.join(where)}: {problem}" if where else problem)


class UnknownNameError(OpinionAssetsError):
    """A model version, country, condition, source or metric is not known; the message lists near or valid names."""


class BudgetError(OpinionAssetsError):
    """A request would pass the budget; what was bought is kept."""
