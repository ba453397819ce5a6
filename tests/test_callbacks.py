"""Callbacks: the schedule, the figures of an epoch, early stopping, augmentation, progress."""

from __future__ import annotations

import math
import pickle
import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from nets import (
    PRIOR,
    FakeStream,
    Recorder,
    differ,
    make_data,
    make_plan,
    make_stage,
    start,
    weights,
)
from skorch.callbacks import Callback
from test_net import script, watching

from gencls.augmentations import Augmentation, Composed
from gencls.bayes import log_posterior
from gencls.inference import Scorer
from gencls.metrics import bits_per_dim
from gencls.objectives import Hybrid, Objective
from gencls.training import callbacks
from gencls.training.callbacks import EarlyStopping

# Schedule


def test_the_rate_of_each_step_is_that_of_the_plan():
    recorder, stage = Recorder(), make_stage(4)
    net = start(recorder)
    net.learn(make_data(20), make_plan(stage))  # 3 steps an epoch
    factors = [stage.rate_factor(step, 20) for step in range(1, 13)]  # the next one is set before we look
    np.testing.assert_allclose(recorder.rates, np.array(factors) / 1000)


class Rates(Callback):
    """The rates that the optimizer steps with."""

    def __init__(self):
        self.seen = []

    def on_grad_computed(self, net, **kwargs):
        self.seen.append(net.optimizer_.param_groups[0]["lr"])


def test_every_training_and_every_stage_begins_at_the_top():
    rates = Rates()
    net, stages = start(rates), (make_stage(4), make_stage(2, lr=1e-2), make_stage(1, is_scheduled=False))
    for _ in range(2):
        rates.seen.clear()
        net.learn(make_data(20), make_plan(*stages))
        expected = [
            stage.lr * stage.rate_factor(step, 20) for stage in stages for step in range(3 * stage.epochs)
        ]
        np.testing.assert_allclose(rates.seen, expected)
        assert max(rates.seen[:12]) == pytest.approx(1e-3)
        assert rates.seen[-3:] == [1e-3] * 3


# Figures


def test_the_figures_are_right():
    held_out = make_data(11, seed=1)
    net = start()
    net.learn(make_data(), watching())
    log_likelihood = Scorer(net.averaged_model).log_likelihood(torch.from_numpy(held_out.samples.levels))
    labels = held_out.samples.labels
    posterior = log_posterior(log_likelihood + np.log(PRIOR))
    row, chosen = net.history[-1], log_likelihood[np.arange(11), labels]
    assert row["valid_bpd"] == pytest.approx(bits_per_dim(chosen, 9))
    assert row["valid_bpd"] == pytest.approx(-chosen.mean() / 9 / math.log(2))
    assert row["valid_accuracy"] == pytest.approx((posterior.argmax(1) == labels).mean())
    assert row["valid_log_loss"] == pytest.approx(-posterior[np.arange(11), labels].mean())
    assert row["train_bpd"] == pytest.approx(row["train_loss"] / math.log(2))
    assert row["train_nll"] == pytest.approx(row["train_loss"])
    assert "valid_temperature" not in row


def test_the_training_figure_is_the_mean_over_images():
    """At a vanishing learning rate and without dropout it is what the model says of the training images."""
    data = make_data(20)  # batches of 8, 8 and 4
    net = start()
    net.learn(data, make_plan(make_stage(1, lr=1e-12)))
    levels, labels = map(torch.from_numpy, data.samples[:2])
    with torch.inference_mode():
        expected = bits_per_dim(net.module_(levels, labels), 9)
    assert net.history[-1]["train_bpd"] == pytest.approx(expected, rel=1e-5)


class Squared(Objective):
    """An objective of three terms."""

    def terms(self, scores):
        nll = scores.nats_per_dim
        return {"first": nll, "second": nll**2, "third": 2 * nll}

    def loss(self, terms):
        return terms["first"] + terms["second"]


@pytest.mark.parametrize(
    ("objective", "names"),
    [(Hybrid(weight=0.5), {"nll", "cross_entropy"}), (Squared(), {"first", "second", "third"})],
    ids=["hybrid", "own"],
)
def test_every_term_of_the_objective_is_recorded(objective, names):
    net = start()
    net.learn(make_data(), make_plan(make_stage(2, objective=objective)))
    for row in net.history:
        terms = {name.removeprefix("train_") for name in row if name.startswith("train_")}
        assert terms - {"loss", "loss_best", "batch_count", "bpd"} == names
        if "cross_entropy" in names:
            loss = row["train_nll"] + 0.5 * row["train_cross_entropy"]
            assert row["train_bpd"] == pytest.approx(row["train_nll"] / math.log(2))
        else:
            assert row["train_third"] == pytest.approx(2 * row["train_first"])
            loss = row["train_first"] + row["train_second"]
        assert row["train_loss"] == pytest.approx(loss)


def test_terms_are_those_of_the_stage():
    net = start()
    net.learn(make_data(), make_plan(make_stage(1), make_stage(1, objective=Hybrid())))
    assert ["train_cross_entropy" in row for row in net.history] == [False, True]


def test_without_held_out_images_only_training_is_recorded():
    net = start()
    net.learn(make_data(), make_plan(make_stage(2)))
    assert [("train_bpd" in row, "valid_bpd" in row) for row in net.history] == [(True, False)] * 2


def test_held_out_images_are_scored_once_an_epoch(monkeypatch):
    calls, score = [], Scorer.log_likelihood

    def counted(*args, **options):
        calls.append(1)
        return score(*args, **options)

    monkeypatch.setattr(Scorer, "log_likelihood", counted)
    net = start()
    net.learn(make_data(), watching(monitor="log_loss", temperature="auto", patience=9))
    assert len(calls) == len(net.history) == 5
    assert all(row["valid_temperature"] > 0 for row in net.history)


# Early stopping


@pytest.mark.parametrize(
    ("monitor", "key", "values"),
    [
        ("bits_per_dim", "valid_bpd", [5.0, 3.0, 4.0, 3.5, 1.0]),
        ("log_loss", "valid_log_loss", [5.0, 3.0, 4.0, 3.0, 1.0]),
        ("accuracy", "valid_accuracy", [0.1, 0.9, 0.5, 0.9, 1.0]),
    ],
)
def test_stopping_early_restores_the_best_weights(monitor, key, values, monkeypatch):
    script(monkeypatch, key, values)
    recorder, net = Recorder(), start()
    net.callbacks_.insert(0, ("recorder", recorder))
    net.learn(make_data(), watching(monitor=monitor))
    assert len(net.history) == 4
    assert not differ(weights(net.module_), recorder.epochs[1])
    assert not differ(weights(net.averaged_model), recorder.averages[1])
    assert differ(recorder.epochs[1], recorder.epochs[3])
    assert [row[key] for row in net.history] == values[:4]
    assert net.best_row_ == 1


def test_the_best_weights_count_also_when_all_epochs_are_used(monkeypatch):
    script(monkeypatch, "valid_bpd", [5.0, 3.0, 4.0])
    recorder, net = Recorder(), start()
    net.callbacks_.insert(0, ("recorder", recorder))
    net.learn(make_data(), make_plan(make_stage(3), held_out=make_data(), monitor="bits_per_dim", patience=9))
    assert len(net.history) == 3
    assert not differ(weights(net.averaged_model), recorder.averages[1])
    assert (net.stop_reason_, net.best_row_) == ("completed", 1)


def test_a_new_best_starts_the_count_again(monkeypatch):
    script(monkeypatch, "valid_bpd", [5.0, 6.0, 4.0, 6.0, 3.0])
    net = start()
    net.learn(make_data(), watching(monitor="bits_per_dim"))
    assert len(net.history) == 5


def test_each_stage_has_a_best_of_its_own(monkeypatch):
    """A later stage does not return to weights of an earlier one, however good these were."""
    script(monkeypatch, "valid_bpd", [1.0, 2.0, 3.0, 9.0, 8.0, 8.5, 8.6])
    recorder, net = Recorder(), start()
    net.callbacks_.insert(0, ("recorder", recorder))
    plan = make_plan(make_stage(9), make_stage(9), held_out=make_data(), monitor="bits_per_dim", patience=2)
    net.learn(make_data(), plan)
    assert len(net.history) == 7
    assert net.best_row_ == 4
    assert not differ(weights(net.module_), recorder.epochs[4])


def test_figures_that_are_not_numbers_are_never_the_best():
    plan = SimpleNamespace(patience=1, monitor="bits_per_dim")
    net = SimpleNamespace(history=[{"valid_bpd": math.nan}], plan_=plan, held_out_=[], best_row_=None)
    stopping = EarlyStopping()
    net.verbose = 0
    net.history = type("History", (), {"__getitem__": lambda self, key: math.nan, "__len__": lambda _: 1})()
    stopping.on_train_begin(net)
    with pytest.raises(KeyboardInterrupt):
        stopping.on_epoch_end(net)
    assert net.best_row_ is None
    assert net.stop_reason_ == "early stopping"


# Augmentation


class Counted(Augmentation):
    """Sets all levels to the number of the epoch, modulo 4."""

    def __init__(self):
        self.n_epochs = 0
        self.drawn = []

    def per_epoch(self, images, size, random_state):
        self.n_epochs += 1
        self.drawn.append(random_state.randint(10**6))
        return np.full_like(images, self.n_epochs % 4)


class Plain:
    """A codec of images that are levels already."""

    def at(self, size):
        return self

    def encode_images(self, images):
        return np.ascontiguousarray(np.moveaxis(images, -1, 1))


class Seen(Callback):
    def __init__(self):
        self.levels = []

    def on_batch_begin(self, net, batch=None, training=False, **kwargs):
        self.levels.append(set(batch[0]["levels"].flatten().tolist()))


def test_images_are_varied_once_an_epoch():
    found = []
    for _ in range(2):
        seen, counted = Seen(), Counted()
        net, data = start(seen), make_data()
        images = np.moveaxis(data.samples.levels, 1, -1)
        data = type(data)(data.samples._replace(images=images), Plain(), data.device)
        net.learn(data, make_plan(make_stage(3, augmentation=Composed([counted]))))
        assert seen.levels == [{epoch} for epoch in (1, 2, 3) for _ in range(3)]
        assert len(set(counted.drawn)) == 3
        found.append(counted.drawn)
    assert found[0] == found[1]


# Progress

NUMBER = r"-?\d+\.\d+"


def epochs_in(stream):
    """The lines of epochs, without those of the forecast."""
    return [line for line in stream.getvalue().splitlines() if line.startswith("epoch ")]


def test_a_log_gets_a_line_an_epoch(monkeypatch):
    stream = FakeStream(terminal=False)
    monkeypatch.setattr(sys, "stderr", stream)
    net = start()
    net.learn(make_data(), make_plan(make_stage(3), held_out=make_data(seed=1), shows_progress=True))
    lines = epochs_in(stream)
    assert len(lines) == 3
    for epoch, line in enumerate(lines, start=1):
        left = r", \d+ s left" if epoch < 3 else ""
        words = (
            rf"epoch {epoch}/3: {NUMBER} bits/dim, held out {NUMBER} bits/dim, accuracy {NUMBER}, "
            rf"log-loss {NUMBER} \({NUMBER} s{left}\)"
        )
        assert re.fullmatch(words, line)
    assert f"held out {net.history[-1]['valid_bpd']:.4f}" in lines[-1]

    net.learn(make_data(), make_plan(make_stage(2), shows_progress=True))
    assert re.fullmatch(rf"epoch 2/2: {NUMBER} bits/dim \({NUMBER} s\)", stream.getvalue().splitlines()[-1])


def test_epochs_of_all_stages_are_counted_and_terms_are_shown(monkeypatch):
    stream = FakeStream(terminal=False)
    monkeypatch.setattr(sys, "stderr", stream)
    stages = make_stage(1), make_stage(2, objective=Hybrid())
    start().learn(make_data(), make_plan(*stages, shows_progress=True))
    lines = epochs_in(stream)
    assert [line.split(":")[0] for line in lines] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    assert ["cross-entropy" in line for line in lines] == [False, True, True]


def test_a_terminal_gets_a_bar(monkeypatch):
    stream = FakeStream(terminal=True)
    monkeypatch.setattr(sys, "stderr", stream)
    net = start()
    net.learn(make_data(), make_plan(make_stage(3), held_out=make_data(seed=1), shows_progress=True))
    shown = stream.getvalue()
    assert "epoch 1/3" not in shown
    assert "100%" in shown
    assert f"held out {net.history[-1]['valid_bpd']:.4f} bits/dim" in shown
    pickle.loads(pickle.dumps(net))
    net.learn(make_data(), make_plan(make_stage(1), make_stage(1), shows_progress=True))
    assert "stage 2 of 2" in stream.getvalue()


def test_silence_is_the_default(capsys):
    start().learn(make_data(), watching())
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "")


def test_callbacks_that_are_needed_have_their_names():
    names = {name for name, _ in start().callbacks_}
    assert {*callbacks.NEEDED_CALLBACKS, *callbacks.OPTIONAL_CALLBACKS} == names | {"print_log"}
