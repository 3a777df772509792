"""The one exception that tells a user that the input is at fault."""


class InputError(Exception):
    """What was expected, what was got, in which file and item: one clear line.

    The command line prints it as it is and exits with 1.
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(str(message).split()))
