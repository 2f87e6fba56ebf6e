"""Being asked to stop: a flag that training looks at, and a second signal that does not wait."""

import signal
from types import FrameType
from typing import Self


class Stop:
    """Inside the `with`, SIGTERM and Ctrl-C set a flag; a second one ends the process at once.

    Calling it says whether somebody asked: `train.fit(…, asked_to_stop=stop)`.

    >>> with Stop() as stop:
    ...     signal.raise_signal(signal.SIGTERM)
    ...     stop()
    True
    """

    SIGNALS = (signal.SIGTERM, signal.SIGINT)

    def __init__(self):
        self.asked: signal.Signals | None = None
        self._before: dict[signal.Signals, object] = {}

    def __call__(self) -> bool:
        return self.asked is not None

    def __enter__(self) -> Self:
        for number in self.SIGNALS:
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.asked = signal.Signals(number)
        for other in self.SIGNALS:  # whoever asks again does not want to wait
            signal.signal(other, signal.SIG_DFL)
