"""What every test may rely on, wherever it is started from."""

import signal


def pytest_configure() -> None:
    # A shell starts background jobs with SIGINT ignored, and children inherit that; tests of interruption need it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
