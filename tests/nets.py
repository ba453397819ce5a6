"""What the tests of training share: few images, a net with its weights set, and callbacks that watch it."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import torch
from skorch.callbacks import Callback

from gencls.augmentations import Composed
from gencls.objectives import Likelihood
from gencls.training import Plan, PlannedStage, make_net
from gencls.training.data import Samples, TrainingData

CPU = torch.device("cpu")
PRIOR = np.array([0.2, 0.3, 0.5])
MODEL = {"image_shape": (1, 3, 3), "n_levels": 4, "n_classes": 3, "n_filters": 3, "n_mixtures": 1}


def make_samples(n=20, seed=0):
    """Random images of three classes in turn."""
    levels = np.random.RandomState(seed).randint(4, size=(n, 1, 3, 3)).astype(np.uint8)
    return Samples(levels, np.arange(n) % 3, np.ones(n))


def make_data(n=20, seed=0):
    """Training data of one size, for which no codec is needed."""
    codec: Any = None
    return TrainingData(make_samples(n, seed), codec, CPU)


def make_stage(epochs=5, **options):
    """A stage of three steps an epoch for 20 images."""
    settings: dict[str, Any] = {
        "batch_size": 8,
        "lr": 1e-3,
        "objective": Likelihood(),
        "augmentation": Composed(),
    }
    return PlannedStage(epochs=epochs, **(settings | {"size": (3, 3)} | options))


def make_plan(*stages, **options):
    """A plan of these stages, or of one."""
    return Plan(stages or (make_stage(),), PRIOR, **({"seed": 0, "ema_decay": 0.9, "patience": 2} | options))


def start(*callbacks, **net_params):
    """A net with its weights set."""
    net = make_net(MODEL, device=CPU, lr=1e-3, net_params={"callbacks": list(callbacks)} | net_params)
    return net.initialise(make_data(), make_plan(), seed=0)


def weights(module):
    """A copy of all weights."""
    return {name: value.clone() for name, value in module.state_dict().items()}


def differ(one, other):
    """Whether any weight differs."""
    return any(not torch.equal(value, other[name]) for name, value in one.items())


class Recorder(Callback):
    """Keeps the weights after every step and epoch, and does something at a step or an epoch."""

    def __init__(self, at_step=None, at_epoch=None, do=lambda: None):
        self.at_step, self.at_epoch, self.do = at_step, at_epoch, do
        self.steps, self.epochs, self.averages, self.rates = [], [], [], []

    def on_batch_end(self, net, training=False, **kwargs):
        self.steps.append(weights(net.module_))
        self.rates.append(net.optimizer_.param_groups[0]["lr"])
        if len(self.steps) == self.at_step:
            self.do()

    def on_epoch_end(self, net, **kwargs):
        self.epochs.append(weights(net.module_))
        self.averages.append(weights(net.averaged_model))
        if len(self.epochs) == self.at_epoch:
            self.do()


def interrupt():
    """What Ctrl-C does."""
    raise KeyboardInterrupt


class FakeStream(io.StringIO):
    """A standard error that is a terminal, or is not."""

    def __init__(self, terminal):
        super().__init__()
        self.terminal = terminal

    def isatty(self):
        return self.terminal
