"""Tests that press Ctrl-C begin as in a terminal, also when the whole was started in the
background: there Ctrl-C and closed terminals are ignored, by all that the tests start as well."""

import signal


def as_in_a_terminal() -> None:
    """Give Ctrl-C and a closed terminal their usual meaning back, in this process and its own.

    >>> as_in_a_terminal()
    >>> signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    False
    """
    usual = {"SIGINT": signal.default_int_handler, "SIGHUP": signal.SIG_DFL}
    for name, handler in usual.items():
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, handler)
