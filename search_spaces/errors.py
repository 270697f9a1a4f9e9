"""The one error class for bad input from outside. Knows nothing of who raises it."""


class InputError(ValueError):
    """What a user gave cannot be used; the message names the file, the field, what was given, what is allowed.

    The command line prints the message without a traceback and exits with status 2.
    """


class MissingExtraError(InputError):
    """An optional dependency is absent; the message names the extra to install."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs {package}, which is not installed; install it with `pip install 'vidseg-nas[{extra}]'`"
        )
