"""Tests begin as in a terminal: what is started in the background ignores Ctrl-C, and so would
all that the tests start themselves."""

import signal


def pytest_configure() -> None:
    usual = {"SIGINT": signal.default_int_handler, "SIGHUP": signal.SIG_DFL}
    for name, handler in usual.items():
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, handler)
