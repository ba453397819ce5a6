"""The net: averages, clipping, losses that are not finite, interruptions, and what remains of a training."""

from __future__ import annotations

import copy
import math
import pickle
import sys

import pytest
import torch
from nets import (
    FakeStream,
    Recorder,
    differ,
    interrupt,
    make_data,
    make_plan,
    make_stage,
    start,
    weights,
)
from skorch.callbacks import Callback
from skorch.callbacks import EarlyStopping as SkorchEarlyStopping
from torch.optim.swa_utils import AveragedModel

from gencls import NonFiniteLossError, TrainingInterruptedWarning
from gencls.objectives import Likelihood
from gencls.training import callbacks
from gencls.training.data import TrainingData
from gencls.training.net import MovingAverage

RUNNING = ("plan_", "stage_", "data_", "held_out_", "resumed_")


def script(monkeypatch, key, values):
    """Let held-out images have these figures, one an epoch."""
    remaining = iter(values)
    usual = {"valid_bpd": 1.0, "valid_log_loss": 1.0, "valid_accuracy": 0.5}
    monkeypatch.setattr(callbacks, "_scores", lambda *_: usual | {key: next(remaining)})


def watching(**options):
    """A plan with held-out images."""
    return make_plan(held_out=make_data(11, seed=1), **options)


# Average


@pytest.mark.parametrize(
    ("decay", "steps", "expected"),
    [(0.999, 0, 0.1), (0.999, 10, 11 / 20), (0.999, 10**6, 0.999), (0.5, 100, 0.5), (0.0, 5, 0.0)],
)
def test_the_memory_of_the_average_grows_up_to_its_decay(decay, steps, expected):
    averaged, current = torch.ones(3), torch.zeros(3)
    MovingAverage(decay)([averaged], [current], torch.tensor(steps))
    torch.testing.assert_close(averaged, torch.full((3,), expected))


def test_an_average_follows_the_weights():
    layer = torch.nn.Linear(1, 1, bias=False)
    averaged = AveragedModel(layer, multi_avg_fn=MovingAverage(0.99))
    with torch.no_grad():
        layer.weight.fill_(3.0)
        averaged.update_parameters(layer)
        layer.weight.fill_(7.0)
    averages = []
    for _ in range(300):
        averaged.update_parameters(layer)
        averages.append(averaged.module.weight.item())  # type: ignore[operator]
    assert 3 < averages[0] < averages[10] < 7
    assert averages[-1] == pytest.approx(7, abs=0.01)


@pytest.mark.parametrize(("decay", "same"), [(0.0, True), (0.99, False)])
def test_training_updates_the_average_after_every_step(decay, same):
    net = start()
    before = weights(net.averaged_model)
    assert not differ(weights(net.module_), before)
    net.learn(make_data(), make_plan(make_stage(2), ema_decay=decay))
    assert differ(weights(net.averaged_model), before)
    assert differ(weights(net.averaged_model), weights(net.module_)) != same
    assert int(net.averaged_.n_averaged) == 2 * 3


def test_the_average_is_that_of_torch():
    net = start()
    net.module_.register_buffer("count", torch.zeros(1))
    net.averaged_.module.register_buffer("count", torch.zeros(1))
    expected = copy.deepcopy(net.averaged_)
    averaging = callbacks.WeightAveraging()
    averaging.on_train_begin(net)
    for _ in range(3):
        with torch.no_grad():
            for each in (*net.module_.parameters(), *net.module_.buffers()):
                each.add_(torch.randn_like(each))
        averaging.on_batch_end(net, training=True)
        averaging.on_batch_end(net, training=False)
        expected.update_parameters(net.module_)
    torch.testing.assert_close(net.averaged_.state_dict(), expected.state_dict())


def test_the_average_is_not_optimised():
    net = start()
    optimised = {id(each) for group in net.optimizer_.param_groups for each in group["params"]}
    assert optimised == {id(each) for each in net.module_.parameters()}
    assert not any(each.requires_grad for each in net.averaged_.parameters())


def test_gradients_are_clipped():
    norms = []

    class Norms(Callback):
        def on_grad_computed(self, net, **kwargs):
            norms.append(float(torch.cat([each.grad.flatten() for each in net.module_.parameters()]).norm()))

    for clip in (None, 1e-3):
        start(Norms()).learn(make_data(8), make_plan(make_stage(1), gradient_clip=clip))
    assert norms[0] > 1e-2
    assert norms[1] == pytest.approx(1e-3, rel=1e-3)


# Losses that are not finite


class Poisoned(Likelihood):
    """The loss of one step is this value, or its gradient."""

    def __init__(self, at_call=1, value=math.nan, gradient=False):
        self.at_call, self.value, self.gradient = at_call, value, gradient
        self.n_calls = 0

    def loss(self, terms):
        self.n_calls += 1
        loss = terms["nll"]
        if self.n_calls != self.at_call:
            return loss
        return loss + (self.value * loss - (self.value * loss).detach() if self.gradient else self.value)


def poisoned(*args, epochs=3, **options):
    """A plan whose loss is not finite at one step."""
    return make_plan(make_stage(epochs, objective=Poisoned(*args)), gradient_clip=5.0, **options)


@pytest.mark.parametrize(
    ("value", "gradient", "shown"),
    [(math.nan, False, "nan"), (math.inf, False, "inf"), (1e38, True, r"[\d.]+")],
)
@pytest.mark.parametrize("at_call", [1, 5])
def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_weights(at_call, value, gradient, shown):
    recorder = Recorder()
    net = start(recorder)
    before = weights(net.module_)
    epoch = 1 + (at_call - 1) // 3
    words = rf"\(loss {shown}, gradient norm .+\) in epoch {epoch}.* lr \(now 0\.001\).*gradient_clip \(now 5"
    with pytest.raises(NonFiniteLossError, match=words) as caught:
        net.learn(make_data(), poisoned(at_call, value, gradient))
    assert isinstance(caught.value, ArithmeticError)
    assert len(recorder.steps) == at_call - 1
    assert not differ(weights(net.module_), recorder.steps[-1] if recorder.steps else before)
    assert all(torch.isfinite(each).all() for each in net.averaged_model.parameters())
    assert len(net.history) == epoch - 1


def test_training_can_continue_after_it():
    net = start()
    with pytest.raises(NonFiniteLossError):
        net.learn(make_data(), poisoned(2))
    net.learn(make_data(), make_plan(make_stage(2)))
    assert len(net.history) == 2


@pytest.mark.parametrize("terminal", [False, True])
def test_a_net_pickles_after_it(terminal, monkeypatch):
    monkeypatch.setattr(sys, "stderr", FakeStream(terminal))
    net = start()
    with pytest.raises(NonFiniteLossError):
        net.learn(make_data(), poisoned(2, held_out=make_data(seed=1), shows_progress=True))
    monkeypatch.undo()
    pickle.loads(pickle.dumps(net))
    assert [getattr(net, name) for name in RUNNING] == [None] * 5


def test_after_any_other_error_the_net_is_whole_and_continues():
    recorder = Recorder(at_step=5, do=lambda: 1 / 0)
    net = start(recorder)
    with pytest.raises(ZeroDivisionError):
        net.learn(make_data(), watching())
    assert len(net.history) == 1
    assert not differ(weights(net.module_), recorder.steps[-1])
    assert [getattr(net, name) for name in RUNNING] == [None] * 5
    assert net.stop_reason_ == "error"
    net.learn(make_data(), make_plan(make_stage(2)))
    assert len(net.history) == 3


# Why a training ends


def test_a_training_is_completed():
    net = start()
    net.learn(make_data(), make_plan(make_stage(2)))
    assert (net.stop_reason_, net.best_row_) == ("completed", 1)


def test_an_interruption_keeps_what_was_learned():
    recorder = Recorder(at_step=8, do=interrupt)  # in the third epoch
    net = start(recorder)
    with pytest.warns(TrainingInterruptedWarning, match="after 2 of 5 epochs") as caught:
        net.learn(make_data(), watching())
    assert len(caught) == 1
    assert len(net.history) == 2
    assert all("valid_bpd" in row for row in net.history)
    assert not differ(weights(net.module_), recorder.steps[7])
    assert (net.stop_reason_, net.best_row_) == ("interrupted", 1)


def test_an_interruption_with_early_stopping_restores_the_best_weights(monkeypatch):
    script(monkeypatch, "valid_bpd", [5.0, 3.0, 4.0])
    recorder = Recorder(at_step=11, do=interrupt)
    net = start(recorder)
    with pytest.warns(TrainingInterruptedWarning, match="after 3 of 5 epochs"):
        net.learn(make_data(), watching(monitor="bits_per_dim", patience=9))
    assert not differ(weights(net.module_), recorder.epochs[1])
    assert (net.stop_reason_, net.best_row_) == ("interrupted", 1)


def test_interrupting_a_second_training_counts_its_own_epochs():
    net = start(Recorder(at_step=11, do=interrupt))
    net.learn(make_data(), make_plan(make_stage(2)))
    with pytest.warns(TrainingInterruptedWarning, match="after 1 of 4 epochs"):
        net.learn(make_data(), make_plan(make_stage(4)))
    assert len(net.history) == 3


def test_an_interruption_among_held_out_images_is_one_too(monkeypatch):
    calls, scores = [], callbacks._scores

    def interrupted(*args):
        calls.append(1)
        return interrupt() if len(calls) == 2 else scores(*args)

    monkeypatch.setattr(callbacks, "_scores", interrupted)
    net = start()
    with pytest.warns(TrainingInterruptedWarning, match="after 1 of 5 epochs"):
        net.learn(make_data(), watching())
    assert len(net.history) == 1
    assert net.stop_reason_ == "interrupted"


def test_an_interruption_ends_all_stages():
    net = start(Recorder(at_step=5, do=interrupt))
    with pytest.warns(TrainingInterruptedWarning, match="after 1 of 5 epochs"):
        net.learn(make_data(), make_plan(make_stage(2), make_stage(3)))
    assert len(net.history) == 1


def test_a_training_of_one_epoch_at_a_time_is_interrupted_like_its_loop():
    net = start(Recorder(at_step=2, do=interrupt))
    with pytest.raises(KeyboardInterrupt, match="after 0 of 1 epochs"):
        net.learn(make_data(), make_plan(make_stage(1, is_scheduled=False)))
    assert len(net.history) == 0


def test_early_stopping_is_a_reason(monkeypatch):
    script(monkeypatch, "valid_bpd", [3.0, 4.0, 5.0])
    net = start()
    net.learn(make_data(), watching(monitor="bits_per_dim", patience=2))
    assert (net.stop_reason_, net.best_row_, len(net.history)) == ("early stopping", 0, 3)


CALLBACKS = {
    "early stopping of skorch": SkorchEarlyStopping(monitor="train_loss", patience=1, threshold=1e9),
    "any other": Recorder(at_epoch=2, do=interrupt),
}


@pytest.mark.parametrize("name", CALLBACKS)
def test_a_callback_ends_a_stage_after_whole_epochs_and_nobody_is_warned(name):
    net = start(copy.deepcopy(CALLBACKS[name]))
    net.learn(make_data(), make_plan())
    assert (net.stop_reason_, net.best_row_, len(net.history)) == ("callback", 1, 2)
    net.learn(make_data(), make_plan(make_stage(2), make_stage(1)))
    assert net.stop_reason_ == "completed"


# What remains


def test_nothing_of_a_training_stays_in_the_net():
    net = start()
    net.learn(make_data(), watching(monitor="bits_per_dim", patience=9))
    assert [getattr(net, name) for name in RUNNING] == [None] * 5
    stopping, schedule, progress = (
        dict(net.callbacks_)[name] for name in ("early_stopping", "schedule", "progress")
    )
    assert (stopping.best_weights_, schedule.lr_scheduler_, progress.bar_) == (None, None, None)


@pytest.mark.parametrize("n", [10, 4000])
def test_a_pickle_holds_no_images(n):
    net = start()
    size = len(pickle.dumps(net))
    data = make_data(n)
    net.learn(
        data,
        make_plan(make_stage(1, batch_size=n), held_out=TrainingData(data.samples, data.codec, data.device)),
    )
    moments = 2 * sum(each.numel() * 4 + 2000 for each in net.module_.parameters())
    assert len(pickle.dumps(net)) < size + moments


def test_nets_pickle_and_continue():
    net = start()
    net.learn(make_data(), make_plan(make_stage(1)))
    again = pickle.loads(pickle.dumps(net))
    assert not differ(weights(again.averaged_model), weights(net.averaged_model))
    results = []
    for each in (net, again, copy.deepcopy(net)):
        each.learn(make_data(), make_plan(make_stage(1)))
        results.append(weights(each.averaged_model))
    assert not differ(results[0], results[1])
    assert not differ(results[0], results[2])


def test_the_seed_of_the_plan_decides():
    found = []
    for seed in (0, 0, 1):
        net = start()
        net.learn(make_data(), make_plan(make_stage(1), seed=seed))
        found.append(weights(net.module_))
    assert not differ(found[0], found[1])
    assert differ(found[0], found[2])


# The net


def test_learning_improves_the_likelihood():
    """Here of images that are constant, each class with its own level."""
    data = make_data(30)
    data.samples.levels[:] = data.samples.labels[:, None, None, None]
    net = start()
    net.learn(data, make_plan(make_stage(8, lr=5e-3)))
    assert net.history[-1]["train_bpd"] < 0.5 * net.history[0]["train_bpd"]


def test_initialising_copies_the_weights_into_the_average():
    net = start()
    assert not differ(weights(net.averaged_model), weights(net.module_))


def test_what_users_want_otherwise_goes_to_skorch():
    recorder = Recorder()
    net = start(recorder, optimizer=torch.optim.SGD, optimizer__momentum=0.5, callbacks__schedule=None)
    net.learn(make_data(), make_plan(make_stage(1)))
    assert isinstance(net.optimizer_, torch.optim.SGD)
    assert net.optimizer_.param_groups[0]["momentum"] == 0.5
    assert recorder.rates == [1e-3] * 3
    assert [name for name, _ in net.callbacks_][-2:] == ["Recorder", "checkpoint"]
