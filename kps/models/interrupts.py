"""Ctrl-C and SIGTERM during training: they wait until a state can be written."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any


class Interrupts:
    """From `catch` to `release`, the first Ctrl-C or SIGTERM is only noted in `sent`.

    The same signal again does what it did before.
    """

    def __init__(self) -> None:
        self.sent: int | None = None
        self._before: dict[int, Any] = {}

    def catch(self) -> None:
        """Take over from the handlers that there are; what is ignored stays so."""
        if threading.current_thread() is threading.main_thread():  # elsewhere Python sets no handlers
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._before[number] = signal.signal(number, self._note)

    def release(self) -> None:
        """Give the signals back, and pass on a SIGTERM: by default it ends this process."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self.sent == signal.SIGTERM:
            signal.raise_signal(signal.SIGTERM)

    def _note(self, number: int, frame: Any) -> None:
        self.sent = number
        signal.signal(number, self._before[number])
        os.write(2, b"stopping after this step; the same again stops at once\n")  # print may be under way


def leave_to_the_trainer(worker_id: int) -> None:
    """Make a loader's process go on: its batches may be needed for the step; then the trainer ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
