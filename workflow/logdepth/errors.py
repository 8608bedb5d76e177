"""The errors that are the user's to mend: shown as one line, without a traceback."""


class UserError(Exception):
    """Bad input; the message names the file, the key and what would be right."""
