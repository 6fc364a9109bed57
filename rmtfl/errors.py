"""The two ways a request can fail, and the exit status each one carries.

`BadInput` is the user's to mend: its message names the key, the value and what would be accepted.
`ToleranceNotMet` is ours to admit: the numerics could not reach the accuracy asked for, so no number is given.

`AcrossTables` and `KeyOfTable` never reach a user: checks of a study's tables raise them, and `rmtfl.study` makes a
`BadInput` of them.
"""


class RmtflError(Exception):
    """Base of the errors that rmtfl reports as one clear message."""

    exit_status = 1


class BadInput(RmtflError, ValueError):
    """A value that cannot be used: the message names the key, the value and what would be accepted."""

    exit_status = 2


class ToleranceNotMet(RmtflError, ArithmeticError):
    """The asked tolerance is out of reach: the message says what was reached and what to do about it."""

    exit_status = 3


class AcrossTables(ValueError):
    """A check of one table of a study against another has failed: it names the key itself.

    Attributes:
        key: dotted.
        value: that it has.
    """

    def __init__(self, key: str, value: object, reason: str) -> None:
        super().__init__(reason)
        self.key, self.value = key, value


class KeyOfTable(ValueError):
    """A key of a table is missing, or should not be there: the table's own check names it.

    Attributes:
        key: within the table.
        reason: what is wrong with it, and what would be accepted.
    """

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"key {key!r}: {reason}")
        self.key, self.reason = key, reason
