"""Being asked to stop: a flag that training looks at, and a second Ctrl-C that does not wait."""

import os
import signal
from types import FrameType
from typing import Self


class Stop:
    """Inside the `with`, SIGTERM, SIGHUP and Ctrl-C set a flag; a second Ctrl-C ends at once.

    Calling it says whether somebody asked: `train.fit(…, asked_to_stop=stop)`. A rank whose
    torchrun is gone takes that as a request too: nobody would ever collect it.

    >>> with Stop() as stop:
    ...     signal.raise_signal(signal.SIGTERM)
    ...     stop()
    True
    """

    # SIGHUP: the terminal was closed. Windows has none.
    SIGNALS = tuple(
        getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name)
    )

    def __init__(self):
        self.asked: signal.Signals | None = None
        self._before: dict[signal.Signals, object] = {}
        self._parent = os.getppid() if "TORCHELASTIC_RUN_ID" in os.environ else None

    def __call__(self) -> bool:
        orphan = self._parent is not None and os.getppid() != self._parent
        return orphan or self.asked is not None

    def __enter__(self) -> Self:
        for number in self.SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:  # `nohup` asks for that
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.asked = signal.Signals(number)
        for other in self._before:
            # One request may come by several roads: to the whole group, and through torchrun.
            signal.signal(other, signal.SIG_IGN)
        if signal.SIGINT in self._before:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # whoever types it again will not wait
