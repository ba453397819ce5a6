"""Training for a given time."""

from __future__ import annotations

import math
import time
from typing import Any

from skorch.callbacks import Callback

FOREVER = 10**6  # epochs; the time ends training
WARMUP = 0.05  # share of the time in which the learning rate rises


class TimeBudget(Callback):
    """End training when its time is up; the learning rate reaches 0 just then.

    On a CPU the time is that of the process, so that parallel fits do not reduce it.

    Parameters
    ----------
    seconds : float
    device : str
    """

    def __init__(self, seconds: float, device: str):
        self.seconds = seconds
        self.device = device

    @property
    def net_params(self) -> dict[str, Any]:
        """Parameters of an estimator that train it for this time."""
        return {"callbacks__schedule": None, "callbacks__forecast": None, "callbacks": [("budget", self)]}

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Start the clock."""
        self.steps_, self.start_, self.share_ = 0, clock(self.device), 0.0

    def on_batch_begin(self, net: Any, training: bool = False, **kwargs: Any) -> None:
        """Set the learning rate: it rises, then falls on a cosine."""
        for group in net.optimizer_.param_groups if training else ():
            group["lr"] = net.lr * factor(self.share_)

    def on_batch_end(self, net: Any, training: bool = False, **kwargs: Any) -> None:
        """Count a step, and look at the clock."""
        if training:
            self.steps_ += 1
            self.share_ = (clock(self.device) - self.start_) / self.seconds
            if self.share_ >= 1:
                raise KeyboardInterrupt  # as skorch's own callbacks end training


def factor(share: float) -> float:
    """The learning rate after a share of the time, relative to its peak."""
    if share < WARMUP:
        return max(share, WARMUP / 10) / WARMUP
    return 0.5 * (1 + math.cos(math.pi * (share - WARMUP) / (1 - WARMUP)))


def clock(device: str) -> float:
    """Seconds of this process on a CPU, wall-clock seconds elsewhere."""
    return time.process_time() if device == "cpu" else time.perf_counter()
