"""The errors that are the user's to mend: shown as one line, without a traceback."""


class UserError(Exception):
    """Bad input; the message names the file, the key and what was expected."""


class ConfigError(UserError):
    """A configuration that cannot be used; the message names file, key and what was expected."""
