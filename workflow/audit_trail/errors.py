"""The errors of an audit, each one line for the user, and text that no terminal obeys."""


class AuditError(Exception):
    """What the user has to mend: the message names the file, what is wrong and what was expected.

    Messages quote names that somebody else has chosen, so that each is made printable.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class BadFileError(AuditError):
    """A file that cannot be taken as it is.

    Attributes:
        reason: what is wrong with it, without its name: "is a symbolic link, ...".
        kind: "missing", "link", "unreadable" (the system does not let us), or "bytes" for all else.
    """

    def __init__(self, path: object, reason: str, kind: str = "bytes") -> None:
        super().__init__(f"{path}: {reason}")
        self.reason, self.kind = printable(reason), kind


def printable(text: str) -> str:
    """Return a text with everything escaped that a terminal might obey, line ends included."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
