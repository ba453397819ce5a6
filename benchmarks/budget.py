"""Training for a given time."""

from __future__ import annotations

import time
from typing import Any

from skorch.callbacks import Callback

FOREVER = 10**6  # epochs; the time ends training


class TimeBudget(Callback):
    """End training when its time is up; the learning rate reaches 0 just then.

    After each step the number of planned steps, which the schedule follows, is estimated again. On a CPU the
    time is that of the process, so that fits side by side do not take it from each other.

    Parameters
    ----------
    seconds : float
    device : str
    """

    def __init__(self, seconds: float, device: str):
        self.seconds = seconds
        self.device = device

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Start the clock."""
        self.steps_, self.start_, self.used_up_ = 0, clock(self.device), False

    def on_batch_end(self, net: Any, training: bool = False, **kwargs: Any) -> None:
        """Count a step, and plan the remaining ones."""
        if training:
            self.steps_ += 1
            share = (clock(self.device) - self.start_) / self.seconds
            net.planned_steps = max(self.steps_ + 1, round(self.steps_ / share))
            self.used_up_ = share >= 1
            if self.used_up_:
                raise KeyboardInterrupt  # as skorch's own callbacks end training


def clock(device: str) -> float:
    """Seconds of this process on a CPU, seconds that pass elsewhere."""
    return time.process_time() if device == "cpu" else time.perf_counter()
