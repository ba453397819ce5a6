"""Checkpoints: a training that was interrupted or killed resumes after its last whole epoch.

A checkpoint holds the weights, the averaged weights, and the state of the optimizer, of the random numbers
and of early stopping. It is read without pickle.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import Callback
from skorch.history import History

from .._common.validation import shortened
from .._common.whole_file import whole_file
from ..errors import InvalidParameterError
from .plan import Plan

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Checkpoint", "read_checkpoint", "restore", "write_checkpoint"]

NAME = "training.checkpoint"
REMEMBERED = ("misses_", "dynamic_threshold_", "best_epoch_", "best_weights_")  # by early stopping


class Checkpoint(Callback):
    """Write a checkpoint after each epoch, if the plan has a folder for it."""

    def on_train_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        state, net.resumed_ = net.resumed_, None
        if state is None:
            return
        stopping, schedule = (dict(net.callbacks_).get(name) for name in ("early_stopping", "schedule"))
        if stopping is not None:
            stopping.__dict__.update(state["early_stopping"])
        if schedule is not None and state["schedule"]:
            schedule.lr_scheduler_.__dict__.update(state["schedule"])
        net.optimizer_.load_state_dict(state["optimizer"])

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        if net.plan_.checkpoint_dir is not None:
            write_checkpoint(net)


def write_checkpoint(net: NeuralNet, *, finished: bool = False) -> None:
    """Write a checkpoint; `finished` if no epoch of the stage is left."""
    plan = net.plan_
    stopping, schedule = (dict(net.callbacks_).get(name) for name in ("early_stopping", "schedule"))
    scheduler = getattr(schedule, "lr_scheduler_", None)
    rows = [{key: value for key, value in row.items() if key != "batches"} for row in net.history]
    state = {
        "identity": dict(plan.identity),
        "stage": net.stage_number_,
        "finished": finished,
        "rows_before": net.rows_before_,
        "stage_begin": net.stage_begin_,
        "best_row": net.best_row_,
        "stop_reason": net.stop_reason_,
        "history": json.dumps(rows, default=_plain),
        "module": net.module_.state_dict(),
        "averaged": net.averaged_.state_dict(),
        "optimizer": net.optimizer_.state_dict(),
        "generator": net.generator_.get_state(),
        "early_stopping": {
            name: _plain(getattr(stopping, name)) for name in REMEMBERED if hasattr(stopping, name)
        },
        "schedule": {} if scheduler is None else _numbers_of(scheduler),
    }
    with whole_file(plan.checkpoint_dir / NAME) as file:
        torch.save(state, file)


def read_checkpoint(plan: Plan, device: torch.device) -> dict[str, Any] | None:
    """The checkpoint of this training; None if there is none.

    Raises
    ------
    InvalidParameterError
        If the file belongs to a different training, or cannot be read.
    """
    if plan.checkpoint_dir is None:
        return None
    path = plan.checkpoint_dir / NAME
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _refused(f"cannot be made ({type(error).__name__})", path) from error
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        identity = state["identity"]
    except Exception as error:  # the file may be anything
        reason = f"has a file {NAME} that is not a checkpoint ({type(error).__name__})"
        raise _refused(reason, path) from error
    names = sorted(plan.identity.keys() | identity.keys())
    different = [name for name in names if plan.identity.get(name) != identity.get(name)]
    if different:
        raise _refused(f"has a checkpoint of a different training: {shortened(different)} differ", path)
    return state


def restore(net: NeuralNet, state: dict[str, Any]) -> None:
    """Restore a net that was initialised for its stage; the rest is restored when the stage begins."""
    net.module_.load_state_dict(state["module"])
    net.averaged_.load_state_dict(state["averaged"])
    net.optimizer_.load_state_dict(state["optimizer"])
    net.history_ = History({"batches": []} | row for row in json.loads(state["history"]))
    net.generator_.set_state(state["generator"].cpu())
    for name in ("rows_before", "stage_begin", "best_row", "stop_reason"):
        setattr(net, f"{name}_", state[name])
    net.n_finished_ = len(net.history)
    dict(net.callbacks_)["train_loss"].best_score_ = min(net.history[:, "train_loss"])


def _refused(reason: str, path: Path) -> InvalidParameterError:
    return InvalidParameterError(
        "The parameter 'checkpoint_dir' of GenerativeBayesClassifier must be a folder for this training "
        f"only, but {shortened(str(path.parent))} {reason}. Give a different folder, or remove {path.name} "
        "to begin again."
    )


def _numbers_of(scheduler: Any) -> dict[str, Any]:
    """The numbers in the state of a scheduler; its functions belong to the plan."""
    return {name: value for name, value in scheduler.state_dict().items() if name != "lr_lambdas"}


def _plain(value: Any) -> Any:
    """Convert scalars of NumPy to those of Python, which can be written and read."""
    return value.item() if isinstance(value, np.generic) else value
