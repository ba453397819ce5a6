"""What `net_params` may set of skorch."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.base import clone
from skorch.callbacks import Callback, Checkpoint, EarlyStopping, Initializer, LRScheduler
from skorch.dataset import ValidSplit
from skorch.helper import predefined_split
from small import (
    quick,
    shades,
)
from torch.utils.data import TensorDataset

from gencls import (
    InvalidParameterError,
)


class Counter(Callback):
    def __init__(self, interrupt_at=None):
        self.interrupt_at = interrupt_at

    def initialize(self):
        self.steps_ = 0
        return self

    def on_batch_end(self, net, training=False, **kwargs):
        self.steps_ += training
        if self.steps_ == self.interrupt_at:
            raise KeyboardInterrupt


def test_other_optimizers_and_more_callbacks():
    X, y = shades()
    net_params = {
        "optimizer": torch.optim.SGD,
        "optimizer__momentum": 0.9,
        "callbacks": [("counter", Counter())],
        "iterator_train__drop_last": False,
    }
    clf = quick(net_params=net_params, max_epochs=2, batch_size=8)
    clf.fit(X, y)
    assert isinstance(clf.net_.optimizer_, torch.optim.SGD)
    assert clf.net_.optimizer_.param_groups[0]["momentum"] == 0.9
    assert dict(clf.net_.callbacks_)["counter"].steps_ == 2 * math.ceil(len(np.unique(X, axis=0)) / 8)
    assert clone(clf).get_params()["net_params"]["optimizer"] is torch.optim.SGD


def test_net_params_come_before_parameters_of_the_same_name(plans):
    others = {"lr": 0.25, "batch_size": 7, "ema_decay": 0.5, "gradient_clip": 9.0, "max_epochs": 2}
    clf = quick(net_params=others, max_epochs=1).fit(*shades())
    (plan,) = plans
    (stage,) = plan.stages
    assert (stage.lr, stage.batch_size, stage.epochs) == (0.25, 7, 2)
    assert (plan.ema_decay, plan.gradient_clip) == (0.5, 9.0)
    assert clf.n_iter_ == 2


def test_defaults_of_training(plans):
    quick().fit(*shades())
    assert (plans[0].ema_decay, plans[0].gradient_clip) == (0.999, 5.0)


def test_they_are_reached_one_by_one(plans):
    clf = quick(net_params={"ema_decay": 0.5}).set_params(net__gradient_clip=None, net__lr=0.125)
    assert clf.net_params == {"ema_decay": 0.5, "gradient_clip": None, "lr": 0.125}
    clf.fit(*shades())
    assert (plans[0].ema_decay, plans[0].gradient_clip, plans[0].stages[0].lr) == (0.5, None, 0.125)


def test_setting_one_changes_no_other_estimator():
    shared = {"ema_decay": 0.5}
    one, other = quick(net_params=shared), quick(net_params=shared)
    one.set_params(net__ema_decay=0.25)
    assert (one.net_params["ema_decay"], other.net_params["ema_decay"]) == (0.25, 0.5)


def test_an_optimizer_is_tuned_without_another():
    clf = quick(net_params={"optimizer__weight_decay": 0.25}).fit(*shades())
    assert isinstance(clf.net_.optimizer_, torch.optim.Adam)
    assert clf.net_.optimizer_.param_groups[0]["weight_decay"] == 0.25


SPLITS = {
    "ValidSplit": ValidSplit(3, stratified=True),
    "predefined_split": predefined_split(TensorDataset(*map(torch.from_numpy, shades(20, seed=1)))),
}


@pytest.mark.parametrize("split", SPLITS)
def test_skorch_says_what_is_held_out(split):
    X, y = shades()
    clf = quick(net_params={"train_split": SPLITS[split]}, temperature="auto").fit(X, y)
    row = clf.history_[-1]
    X_val, y_val = shades(20, seed=1)
    if split == "predefined_split":
        assert row["valid_bpd"] == pytest.approx(clf.bits_per_dim(X_val, y_val))
    assert np.isfinite(row["valid_log_loss"])
    given = clf.fit(X, y, X_val=X_val[:4], y_val=y_val[:4])
    assert given.history_[-1]["valid_bpd"] == pytest.approx(clf.bits_per_dim(X_val[:4], y_val[:4]))
    clf.set_params(net_params={"train_split": None}, temperature=1.0).fit(X, y)
    assert "valid_bpd" not in clf.history_[-1]


def no_split(dataset, y):
    raise RuntimeError("no")


BAD_NET_PARAMS = {
    "a split that is none": ({"train_split": 0.2}, "X_val.*early_stopping.*validation_fraction"),
    "a class of splits": ({"train_split": ValidSplit}, "X_val.*early_stopping.*validation_fraction"),
    "a split that fails": ({"train_split": no_split}, "X_val.*early_stopping.*validation_fraction"),
    "a split into nothing": ({"train_split": lambda dataset, y: (dataset,)}, "X_val.*early_stopping"),
    "held-out images without labels": (
        {"train_split": predefined_split(TensorDataset(torch.zeros(2, 3, 3)))},
        "X_val.*early_stopping",
    ),
    "more parts than images": ({"train_split": ValidSplit(999)}, "X_val.*early_stopping"),
    "another module": ({"module": torch.nn.Linear}, "'module'.*own parameters"),
    "parameters of the module": ({"module__n_filters": 8}, "'module__n_filters'.*own parameters"),
    "another criterion": ({"criterion": torch.nn.MSELoss}, "set objective"),
    "another data set": ({"dataset": TensorDataset}, "X of fit"),
    "batches of held-out images": ({"iterator_valid__batch_size": 8}, "iterator_valid__batch_size"),
    "size of batches": ({"iterator_train__batch_size": 8}, "set batch_size"),
    "how batches are collated": ({"iterator_train__collate_fn": list}, "iterator_train__collate_fn"),
    "device": ({"device": "cpu"}, "parameter of the estimator itself"),
    "verbose": ({"verbose": 1}, "parameter of the estimator itself"),
    "warm_start": ({"warm_start": True}, "parameter of the estimator itself"),
    "compile": ({"compile": True}, "parameter of the estimator itself"),
    "an unknown name": ({"optimiser": torch.optim.SGD}, "Did you mean 'optimizer'"),
    "no name": ({3: 4}, "got 3"),
    "a long name": ({"x" * 10**6: 1}, "unknown"),
    "wrong number": ({"max_epochs": "many"}, "'max_epochs', which must be an int of at least 1"),
    "wrong rate": ({"lr": -1}, "'lr', which must be a number above 0, got -1"),
    "wrong decay": ({"ema_decay": 1}, "'ema_decay', which must be a number from 0 to below 1, got 1"),
    "wrong norm": ({"gradient_clip": -1.0}, "'gradient_clip', which must be None or .*, got -1"),
    "too large a norm": ({"gradient_clip": 10**400}, "'gradient_clip', which must be"),
    "no callbacks at all": ({"callbacks": "disable"}, "list of skorch's callbacks"),
    "callbacks that are none": ({"callbacks": [3]}, "list of skorch's callbacks"),
    "a callback of our name": ({"callbacks": [("figures", Callback())]}, "'figures'.*Choose"),
    "two of one name": ({"callbacks": [("a", Callback()), ("a", Callback())]}, "'a'.*Choose"),
    "without averaging": ({"callbacks__averaging": None}, "needs the callback 'averaging'"),
    "without figures": ({"callbacks__figures": None}, "needs the callback 'figures'"),
    "without checkpoints": ({"callbacks__checkpoint": None}, "needs the callback 'checkpoint'"),
    "without augmentation": ({"callbacks__augmentation": None}, "needs the callback 'augmentation'"),
    "without loss": ({"callbacks__train_loss": None}, "needs the callback 'train_loss'"),
    "a misspelt callback": ({"callbacks__schedul": None}, "no callback 'schedul'"),
    "a schedule that is none": ({"callbacks__schedule": 3}, "None or a callback"),
    "the name of an optimizer": ({"optimizer": "Adam"}, "cannot work"),
    "no optimizer": ({"optimizer": torch.nn.Linear}, "cannot work"),
    "an unknown setting": ({"optimizer__weigth_decay": 0.1}, "weigth_decay"),
    "an optimizer of sparse weights": ({"optimizer": torch.optim.SparseAdam}, "cannot work.*sparse|dense"),
    "a wrong setting": ({"optimizer__weight_decay": -1}, "Invalid weight_decay"),
    "an unknown setting of batches": ({"iterator_train__size": 3}, "cannot work.*'size'"),
}


@pytest.mark.parametrize("name", BAD_NET_PARAMS)
def test_net_params_that_cannot_work(name):
    net_params, words = BAD_NET_PARAMS[name]
    with pytest.raises(InvalidParameterError, match=words) as caught:
        quick(net_params=net_params).fit(*shades())
    assert str(caught.value).startswith("The parameter 'net_params' of GenerativeBayesClassifier ")
    assert len(str(caught.value)) < 1000


class Failing(Callback):
    def __init__(self, error):
        self.error = error

    def on_epoch_end(self, net, **kwargs):
        raise self.error


FAILING = {
    "a figure that there is not": [EarlyStopping()],
    "a figure without held-out images": [Checkpoint(monitor="valid_bpd_best", f_params=None)],
    "a policy that there is not": [LRScheduler("NoSuchPolicy")],
    "a function that is none": [Initializer("*", fn=3)],
    "a wrong index": [Failing(IndexError(3))],
}


@pytest.mark.parametrize("name", FAILING)
def test_callbacks_that_fail_are_told_what_there_is_to_monitor(name):
    with pytest.raises(InvalidParameterError, match=r"'net_params' .*callbacks.*valid_bpd") as caught:
        quick(net_params={"callbacks": FAILING[name]}).fit(*shades())
    assert len(str(caught.value)) < 1000


class StopError(ValueError):
    pass


@pytest.mark.parametrize("error", [StopError("now"), RuntimeError("now"), ZeroDivisionError("now")], ids=repr)
def test_what_a_callback_means_to_raise_passes(error):
    with pytest.raises(type(error), match=r"^now$") as caught:
        quick(net_params={"callbacks": [Failing(error)]}).fit(*shades())
    assert caught.value is error


def test_optimizers_may_loop_over_weights():
    for option in ("foreach", "differentiable"):
        quick(net_params={f"optimizer__{option}": option == "foreach"}, max_epochs=1).fit(*shades())


def test_an_epoch_without_a_batch_is_refused():
    net_params = {"iterator_train__drop_last": True}
    with pytest.raises(InvalidParameterError, match=r"'batch_size' .*got 100"):
        quick(net_params=net_params, batch_size=100).fit(*shades())


def test_mistakes_in_net_params_are_reported_together():
    with pytest.raises(InvalidParameterError) as caught:
        quick(net_params={"module": 1, "lr": 0, "fast": True}).fit(*shades())
    assert len(str(caught.value).splitlines()) == 4
