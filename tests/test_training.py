"""Training by skorch: averages, schedule, validation, stopping early and badly, interruptions, progress."""

from __future__ import annotations

import copy
import io
import math
import pickle
import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers import make_labels, make_levels, make_model
from skorch.callbacks import Callback
from torch.optim.swa_utils import AveragedModel

from gencls import NonFiniteLossError, TrainingInterruptedWarning
from gencls.bayes import joint_log_prob, log_posterior
from gencls.inference import class_log_likelihoods
from gencls.metrics import bits_per_dim
from gencls.training import callbacks, make_net
from gencls.training.callbacks import CosineSchedule, EarlyStopping, Progress
from gencls.training.data import LabelledImages
from gencls.training.net import MovingAverage

PRIOR = np.array([0.2, 0.3, 0.5])
MODEL = {
    "image_shape": (1, 3, 3),
    "n_levels": 4,
    "n_classes": 3,
    "n_filters": 3,
    "n_mixtures": 1,
    "dropout": 0.0,
}
OPTIONS = {
    "device": torch.device("cpu"),
    "lr": 1e-3,
    "batch_size": 8,
    "max_epochs": 5,
    "ema_decay": 0.9,
    "gradient_clip": 5.0,
    "net_params": {},
}


def images(n=20, seed=0):
    model = make_model((1, 3, 3), 4)
    return LabelledImages(make_levels(model, n, seed).to(torch.uint8), make_labels(model, n), torch.ones(n))


def start(held_out=None, extra=(), *, monitor=None, patience=2, verbose=0, **options):
    """A net with its weights set, and callbacks that watch it."""
    net = make_net(MODEL, **{**OPTIONS, "net_params": {"callbacks": list(extra)}, **options})
    torch.manual_seed(0)
    net.initialize()
    net.initialise_weights(images())
    net.tell("validation", images=held_out, prior=PRIOR)
    net.tell("early_stopping", monitor=monitor, patience=patience)
    net.tell("progress", shown=bool(verbose))
    return net


def weights(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def assert_same_weights(module, expected):
    for name, value in module.state_dict().items():
        torch.testing.assert_close(value, expected[name], rtol=0, atol=0)


def differ(one, other):
    return any(not torch.equal(value, other[name]) for name, value in one.items())


class Recorder(Callback):
    """Keeps the weights after every step and epoch, and does something at a step or an epoch."""

    def __init__(self, at_step=None, at_epoch=None, do=lambda: None):
        self.at_step, self.at_epoch, self.do = at_step, at_epoch, do
        self.steps, self.epochs, self.averages = [], [], []

    def on_batch_end(self, net, training=False, **kwargs):
        self.steps.append(weights(net.module_))
        if len(self.steps) == self.at_step:
            self.do()

    def on_epoch_end(self, net, **kwargs):
        self.epochs.append(weights(net.module_))
        self.averages.append(weights(net.averaged_model))
        if len(self.epochs) == self.at_epoch:
            self.do()


def interrupt():
    raise KeyboardInterrupt


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
        averages.append(averaged.module.weight.item())
    assert 3 < averages[0] < averages[10] < 7
    assert averages[-1] == pytest.approx(7, abs=0.01)


@pytest.mark.parametrize(("decay", "same"), [(0.0, True), (0.99, False)])
def test_training_updates_the_average_after_every_step(decay, same):
    net = start(ema_decay=decay)
    before = weights(net.averaged_model)
    assert_same_weights(net.module_, before)
    net.learn(images(), 2)
    assert differ(weights(net.averaged_model), before)
    assert differ(weights(net.averaged_model), weights(net.module_)) != same
    assert int(net.averaged_.n_averaged) == 2 * 3


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
        start(gradient_clip=clip, extra=[Norms()]).learn(images(8), 1)
    assert norms[0] > 1e-2
    assert norms[1] == pytest.approx(1e-3, rel=1e-3)


# Schedule


def rates(planned, n_steps, *, groups=None, schedule=None):
    """Learning rates of the steps of one training."""
    groups = [{"lr": 0.1}] if groups is None else groups
    net = SimpleNamespace(planned_steps=planned, optimizer_=SimpleNamespace(param_groups=groups))
    schedule = schedule or CosineSchedule()
    schedule.on_train_begin(net)
    seen = []
    for _ in range(n_steps):
        schedule.on_batch_begin(net, training=True)
        seen.append(groups[0]["lr"])
        schedule.on_batch_begin(net, training=False)
    return np.array(seen)


def test_the_learning_rate_rises_and_falls_on_a_cosine():
    seen = rates(100, 100)
    np.testing.assert_allclose(seen[:5], 0.1 * np.arange(1, 6) / 5)
    np.testing.assert_allclose(seen[5:], 0.05 * (1 + np.cos(np.pi * np.arange(95) / 95)), rtol=1e-9)
    assert seen.max() == pytest.approx(0.1)
    assert 0 < seen[-1] < 1e-4


@pytest.mark.parametrize("planned", [1, 2, 3])
def test_even_short_trainings_have_a_learning_rate(planned):
    seen = rates(planned, planned)
    assert (seen > 0).all()
    assert seen.max() == pytest.approx(0.1)


def test_without_a_plan_it_is_constant_and_a_new_plan_starts_at_the_top():
    groups, schedule = [{"lr": 0.1}], CosineSchedule()
    rates(50, 50, groups=groups, schedule=schedule)
    np.testing.assert_allclose(rates(None, 3, groups=groups, schedule=schedule), 0.1)
    np.testing.assert_allclose(rates(50, 50, groups=groups, schedule=schedule), rates(50, 50))


def test_the_net_plans_all_steps():
    seen = []

    class Rates(Callback):
        def on_batch_end(self, net, **kwargs):
            seen.append(net.optimizer_.param_groups[0]["lr"])

    net = start(extra=[Rates()])
    net.learn(images(20), 4)  # 3 steps an epoch
    np.testing.assert_allclose(seen, rates(12, 12) / 100)
    seen.clear()
    net.learn(images(20), 1, schedule=False)
    np.testing.assert_allclose(seen, 1e-3)


# Validation


def test_the_figures_are_right():
    train, held_out = images(), images(11, seed=1)
    net = start(held_out)
    net.learn(train, 2)
    log_likelihood = class_log_likelihoods(net.averaged_model, held_out.levels)
    labels = held_out.labels.numpy()
    posterior = log_posterior(joint_log_prob(log_likelihood, PRIOR))
    row = net.history[-1]
    chosen = log_likelihood[np.arange(11), labels]
    assert row["valid_bpd"] == pytest.approx(bits_per_dim(chosen, 9))
    assert row["valid_bpd"] == pytest.approx(-chosen.mean() / 9 / math.log(2))
    assert row["valid_accuracy"] == pytest.approx((posterior.argmax(1) == labels).mean())
    assert row["valid_log_loss"] == pytest.approx(-posterior[np.arange(11), labels].mean())
    assert row["train_bpd"] == pytest.approx(row["train_loss"] / math.log(2))


def test_the_training_figure_is_the_mean_over_images():
    """At a vanishing learning rate and without dropout it is what the model says of the training images."""
    train = images(20)  # batches of 8, 8 and 4
    net = start(lr=1e-12)
    net.learn(train, 1)
    with torch.inference_mode():
        expected = bits_per_dim(net.module_(train.levels, train.labels), 9)
    assert net.history[-1]["train_bpd"] == pytest.approx(expected, rel=1e-5)


def test_without_held_out_images_only_training_is_recorded():
    net = start()
    net.learn(images(), 2)
    assert [("train_bpd" in row, "valid_bpd" in row) for row in net.history] == [(True, False)] * 2


def test_a_trained_net_carries_no_images_along():
    net = start(images(seed=1))
    net.learn(images(), 1)
    assert dict(net.callbacks_)["validation"].images is None


# Early stopping


def script(monkeypatch, key, values):
    """Let validation report these figures, one an epoch."""
    remaining = iter(values)

    def scores(self, *_):
        row = {"valid_bpd": 1.0, "valid_log_loss": 1.0, "valid_accuracy": 0.5}
        return row | {key: next(remaining)}

    monkeypatch.setattr(callbacks.Validation, "_scores", scores)


@pytest.mark.parametrize(
    ("monitor", "key", "values"),
    [
        ("bits_per_dim", "valid_bpd", [5.0, 3.0, 4.0, 3.5, 1.0]),
        ("log_loss", "valid_log_loss", [5.0, 3.0, 4.0, 3.0, 1.0]),
        ("accuracy", "valid_accuracy", [0.1, 0.9, 0.5, 0.9, 1.0]),
    ],
)
def test_stopping_early_goes_back_to_the_best_weights(monitor, key, values, monkeypatch):
    script(monkeypatch, key, values)
    recorder = Recorder()
    net = start(images(), monitor=monitor, patience=2)
    net.callbacks_.insert(0, ("recorder", recorder))
    net.learn(images(), 5)
    assert len(net.history) == 4
    assert_same_weights(net.module_, recorder.epochs[1])
    assert_same_weights(net.averaged_model, recorder.averages[1])
    assert differ(recorder.epochs[1], recorder.epochs[3])
    assert [row[key] for row in net.history] == values[:4]


def test_the_best_weights_count_also_when_all_epochs_are_used(monkeypatch):
    script(monkeypatch, "valid_bpd", [5.0, 3.0, 4.0])
    recorder = Recorder()
    net = start(images(), monitor="bits_per_dim", patience=9)
    net.callbacks_.insert(0, ("recorder", recorder))
    net.learn(images(), 3)
    assert len(net.history) == 3
    assert_same_weights(net.averaged_model, recorder.averages[1])


def test_a_new_best_starts_the_count_again(monkeypatch):
    script(monkeypatch, "valid_bpd", [5.0, 6.0, 4.0, 6.0, 3.0])
    net = start(images(), monitor="bits_per_dim", patience=2)
    net.learn(images(), 5)
    assert len(net.history) == 5


def test_figures_that_are_not_numbers_are_never_the_best():
    net = SimpleNamespace(history=[{"valid_bpd": math.nan}])
    stopping = EarlyStopping("bits_per_dim", 1)
    stopping.on_train_begin(net)
    with pytest.raises(KeyboardInterrupt):
        stopping.on_epoch_end(net)


# Losses that are not finite


def poison(net, monkeypatch, at_call, value=math.nan, gradient=False):
    """Let the loss of one step be this value, or its gradient."""
    calls, forward = [], net.criterion_.forward

    def poisoned(log_prob, weights):
        calls.append(1)
        loss = forward(log_prob, weights)
        if len(calls) != at_call:
            return loss
        return loss + (value * loss - (value * loss).detach() if gradient else value)

    monkeypatch.setattr(net.criterion_, "forward", poisoned)


@pytest.mark.parametrize(
    ("value", "gradient", "shown"),
    [(math.nan, False, "nan"), (math.inf, False, "inf"), (1e38, True, r"[\d.]+")],
)
@pytest.mark.parametrize("at_call", [1, 5])
def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_weights(
    at_call, value, gradient, shown, monkeypatch
):
    recorder = Recorder()
    net = start(extra=[recorder])
    before = weights(net.module_)
    poison(net, monkeypatch, at_call, value, gradient)
    epoch = 1 + (at_call - 1) // 3
    end = (
        f") in epoch {epoch}. Try a smaller lr (now 0.001) or a smaller gradient_clip (now 5.0). The weights "
        "from before this step are kept, and predictions use them."
    )
    start_words = r"The training loss or its gradient is not finite \(loss "
    message = rf"^{start_words}{shown}, gradient norm [\d.einfa]+{re.escape(end)}$"
    with pytest.raises(NonFiniteLossError, match=message) as caught:
        net.learn(images(), 3)
    assert isinstance(caught.value, ArithmeticError)
    assert len(recorder.steps) == at_call - 1
    assert_same_weights(net.module_, recorder.steps[-1] if recorder.steps else before)
    assert all(torch.isfinite(each).all() for each in net.averaged_model.parameters())
    assert len(net.history) == epoch - 1


def test_training_can_go_on_after_it(monkeypatch):
    net = start()
    poison(net, monkeypatch, 2)
    with pytest.raises(NonFiniteLossError):
        net.learn(images(), 3)
    net.learn(images(), 2)
    assert len(net.history) == 2


@pytest.mark.parametrize("terminal", [False, True])
def test_a_net_pickles_after_it(terminal, monkeypatch):
    monkeypatch.setattr(sys, "stderr", FakeStream(terminal))
    net = start(images(seed=1), verbose=1)
    poison(net, monkeypatch, 2)
    with pytest.raises(NonFiniteLossError):
        net.learn(images(), 3)
    monkeypatch.undo()
    pickle.loads(pickle.dumps(net))
    assert dict(net.callbacks_)["validation"].images is None


def test_after_any_other_error_the_net_is_whole_and_goes_on():
    recorder = Recorder(at_step=5, do=lambda: 1 / 0)
    net = start(images(seed=1), extra=[recorder])
    with pytest.raises(ZeroDivisionError):
        net.learn(images(), 3)
    assert len(net.history) == 1
    assert_same_weights(net.module_, recorder.steps[-1])
    assert dict(net.callbacks_)["validation"].images is None
    net.learn(images(), 2)
    assert len(net.history) == 3


# Interruptions


def test_an_interruption_keeps_what_was_learned():
    recorder = Recorder(at_step=8, do=interrupt)  # in the third epoch
    net = start(images(seed=1), extra=[recorder])
    message = "Training was interrupted after 2 of 5 epochs; what was learned is kept."
    with pytest.warns(TrainingInterruptedWarning, match=f"^{re.escape(message)}$") as caught:
        net.learn(images(), 5)
    assert len(caught) == 1
    assert len(net.history) == 2
    assert all("valid_bpd" in row for row in net.history)
    assert_same_weights(net.module_, recorder.steps[7])
    assert dict(net.callbacks_)["validation"].images is None


def test_an_interruption_with_early_stopping_goes_back_to_the_best_weights(monkeypatch):
    script(monkeypatch, "valid_bpd", [5.0, 3.0, 4.0])
    recorder = Recorder(at_step=11, do=interrupt)
    net = start(images(), monitor="bits_per_dim", patience=9, extra=[recorder])
    with pytest.warns(TrainingInterruptedWarning, match="after 3 of 5 epochs"):
        net.learn(images(), 5)
    assert_same_weights(net.module_, recorder.epochs[1])


def test_interrupting_a_second_training_counts_its_own_epochs():
    recorder = Recorder(at_step=11, do=interrupt)
    net = start(extra=[recorder])
    net.learn(images(), 2)
    with pytest.warns(TrainingInterruptedWarning, match="after 1 of 4 epochs"):
        net.learn(images(), 4)
    assert len(net.history) == 3


def test_an_interruption_in_validation_is_one_too(monkeypatch):
    net = start(images(seed=1))
    calls, score = [], callbacks.class_log_likelihoods

    def interrupted(*args):
        calls.append(1)
        return interrupt() if len(calls) == 2 else score(*args)

    monkeypatch.setattr(callbacks, "class_log_likelihoods", interrupted)
    with pytest.warns(TrainingInterruptedWarning, match="after 1 of 5 epochs"):
        net.learn(images(), 5)
    assert all("valid_bpd" in row for row in net.history)


# Progress


class FakeStream(io.StringIO):
    """A standard error that is a terminal, or none."""

    def __init__(self, terminal):
        super().__init__()
        self.terminal = terminal

    def isatty(self):
        return self.terminal


NUMBER = r"-?\d+\.\d+"


def test_a_log_gets_a_line_an_epoch(monkeypatch):
    stream = FakeStream(terminal=False)
    monkeypatch.setattr(sys, "stderr", stream)
    net = start(images(seed=1), verbose=1)
    net.learn(images(), 3)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 3
    for epoch, line in enumerate(lines, start=1):
        words = (
            rf"epoch {epoch}/3: {NUMBER} bits/dim, held out {NUMBER} bits/dim, accuracy {NUMBER}, "
            rf"log-loss {NUMBER} \({NUMBER} s\)"
        )
        assert re.fullmatch(words, line)
    assert f"held out {net.history[-1]['valid_bpd']:.4f}" in lines[-1]

    net.learn(images(), 2)
    assert re.fullmatch(rf"epoch 2/2: {NUMBER} bits/dim \({NUMBER} s\)", stream.getvalue().splitlines()[-1])


def test_a_terminal_gets_a_bar(monkeypatch):
    stream = FakeStream(terminal=True)
    monkeypatch.setattr(sys, "stderr", stream)
    net = start(images(seed=1), verbose=1)
    net.learn(images(), 3)
    shown = stream.getvalue()
    assert "epoch 1/3" not in shown
    assert "100%" in shown
    assert f"held out {net.history[-1]['valid_bpd']:.4f} bits/dim" in shown
    pickle.loads(pickle.dumps(net))


def test_silence_is_the_default(capsys):
    net = start(images(seed=1))
    net.learn(images(), 2)
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "")
    assert not Progress().shown


# The net


def test_learning_improves_the_likelihood():
    """Here of images that are constant, each class with its own level."""
    some = images(30)
    levels = some.labels[:, None, None, None].expand_as(some.levels).to(torch.uint8)
    net = start(lr=5e-3)
    net.learn(LabelledImages(levels, some.labels, some.weights), 8)
    assert net.history[-1]["train_bpd"] < 0.5 * net.history[0]["train_bpd"]


def test_initialising_copies_the_weights_into_the_average():
    net = start()
    assert_same_weights(net.averaged_model, weights(net.module_))


def test_what_users_want_otherwise_goes_to_skorch():
    recorder = Recorder()
    net = start(
        net_params={
            "optimizer": torch.optim.SGD,
            "optimizer__momentum": 0.5,
            "callbacks": [recorder],
            "callbacks__schedule": None,
        }
    )
    net.learn(images(), 1)
    assert isinstance(net.optimizer_, torch.optim.SGD)
    assert net.optimizer_.param_groups[0]["momentum"] == 0.5
    assert net.optimizer_.param_groups[0]["lr"] == 1e-3
    assert len(recorder.epochs) == 1
    assert [name for name, _ in net.callbacks_][-1] == "Recorder"


def test_nets_pickle_and_go_on():
    net = start()
    net.learn(images(), 1)
    again = pickle.loads(pickle.dumps(net))
    assert_same_weights(again.averaged_model, weights(net.averaged_model))
    results = []
    for each in (net, again, copy.deepcopy(net)):
        torch.manual_seed(0)
        each.learn(images(), 1)
        results.append(weights(each.averaged_model))
    assert not differ(results[0], results[1])
