"""Trainings in stages: what each of them learns from, and the model in the end."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from skorch.callbacks import Callback
from small import photographs, quick, same_predictions, shades

from gencls import (
    ConditionerError,
    Flip,
    Hybrid,
    RandomCrop,
    Shift,
    Stage,
    TrainingInterruptedWarning,
)
from gencls.estimators._building import BuildingMixin


class Watcher(Callback):
    """What the batches of each epoch look like, and by how much the rate peaks."""

    def initialize(self):
        self.batches_, self.rates_ = [], []
        return self

    def on_epoch_begin(self, net, **kwargs):
        self.batches_.append([])
        self.rates_.append(0.0)

    def on_grad_computed(self, net, **kwargs):
        self.rates_[-1] = max(self.rates_[-1], net.optimizer_.param_groups[0]["lr"])

    def on_batch_end(self, net, batch=None, training=False, **kwargs):
        self.batches_[-1].append(tuple(batch[0]["levels"].shape))


def watched(clf):
    return dict(clf.net_.callbacks_)["watcher"]


WATCHED = {"net_params": {"callbacks": [("watcher", Watcher())]}}


def test_each_stage_has_its_epochs_rate_batches_size_and_objective():
    X, y = photographs(24)
    stages = [
        Stage(2, lr=0.004, resolution=4, batch_size=12),
        Stage(1, lr=0.002, objective=Hybrid(weight=0.5)),
        Stage(3, resolution=(5, 6), batch_size=24),
    ]
    clf = quick(resolution=4, lr=0.001, batch_size=8, stages=stages, **WATCHED).fit(X, y)
    seen = watched(clf)
    four, other = [(12, 3, 4, 4)] * 2, [(24, 3, 5, 6)]
    assert seen.batches_ == [four, four, [(8, 3, 4, 4)] * 3, other, other, other]
    np.testing.assert_allclose(
        [max(seen.rates_[:2]), seen.rates_[2], max(seen.rates_[3:])], [4e-3, 2e-3, 1e-3]
    )
    assert ["train_cross_entropy" in row for row in clf.history_] == [False] * 2 + [True] + [False] * 3
    assert [row["epoch"] for row in clf.history_] == [1, 2, 3, 4, 5, 6]
    assert clf.n_iter_ == 6


def test_the_model_has_the_resolution_of_the_last_stage():
    X, y = photographs()
    clf = quick(resolution=6, stages=[Stage(1, resolution=3), Stage(1, resolution=(4, 5))]).fit(X, y)
    assert clf.codec_.tensor_shape_ == (3, 4, 5)
    assert clf.net_.averaged_model.image_shape == (3, 4, 5)
    assert clf.sample(2, random_state=0)[0].shape == (2, 4, 5, 3)
    assert clf.image_shape_ == (8, 8, 3)
    assert clf.predict_proba(X).shape == (24, 3)
    nats = -clf.score_samples(X).mean()
    assert clf.bits_per_dim(X) == pytest.approx(nats / (60 * np.log(2)))


EQUAL: dict[str, dict[str, Any]] = {
    "likelihood": {"max_epochs": 3, "lr": 0.01},
    "hybrid": {"max_epochs": 2, "objective": Hybrid(n_contrasted=2), "dropout": 0.2},
    "flips and moves": {"max_epochs": 2, "augmentation": [Flip(), Shift(1)]},
    "early stopping": {"max_epochs": 9, "early_stopping": True, "validation_fraction": 0.4, "lr": 0.05},
}


@pytest.mark.parametrize("name", EQUAL)
def test_one_stage_equal_to_the_parameters_is_the_same_training(name):
    X, y = shades()
    options = EQUAL[name] | {"n_iter_no_change": 2}
    clf = quick(**options).fit(X, y)
    moved = {key: options[key] for key in ("lr", "objective", "augmentation") if key in options}
    kept = {key: value for key, value in options.items() if key not in {*moved, "max_epochs"}}
    staged = quick(**kept, stages=[Stage(options["max_epochs"], **moved)]).fit(X, y)
    assert same_predictions(clf, staged, X)
    assert clf.n_iter_ == staged.n_iter_
    for one, other in zip(clf.history_, staged.history_, strict=True):
        assert one["train_bpd"] == other["train_bpd"]


def test_stages_make_a_difference():
    X, y = shades()
    one, two = quick(max_epochs=2).fit(X, y), quick(stages=[Stage(1), Stage(1)]).fit(X, y)
    assert not same_predictions(one, two, X)


def test_a_stage_of_the_same_resolution_continues_with_the_weights():
    """And one of a different resolution begins with the averaged ones."""
    X, y = photographs()
    ends: list[Any] = []
    starts: list[Any] = []

    class Ends(Callback):
        def on_train_begin(self, net, **kwargs):
            starts.append({name: value.clone() for name, value in net.module_.state_dict().items()})

        def on_train_end(self, net, **kwargs):
            models = net.module_, net.averaged_model
            ends.extend({name: value.clone() for name, value in each.state_dict().items()} for each in models)

    stages = [Stage(1, resolution=4), Stage(1, resolution=4), Stage(1, resolution=5)]
    quick(stages=stages, net_params={"callbacks": [Ends()]}).fit(X, y)
    for start, end in ((starts[1], ends[0]), (starts[2], ends[3])):
        assert all(torch.equal(start[name], end[name]) for name in start)
    assert any(not torch.equal(ends[2][name], ends[3][name]) for name in ends[2])


@pytest.mark.parametrize("last", [None, [], "flip"], ids=str)
def test_the_density_is_symmetric_by_the_last_stage(last):
    X, y = photographs()
    clf = quick(augmentation="flip", resolution=4, stages=[Stage(1), Stage(1, augmentation=last)]).fit(X, y)
    flipped = np.ascontiguousarray(X[:, :, ::-1])
    difference = np.abs(clf.score_samples(X) - clf.score_samples(flipped)).max()
    assert (difference < 1e-3) == (last != [])


@pytest.mark.parametrize("conditioner", ["spatial", "template"])
def test_weights_for_places_are_refused_for_several_resolutions_before_training(conditioner, plans):
    X, y = photographs()
    clf = quick(conditioner=conditioner, stages=[Stage(1, resolution=4), Stage(1)])
    with pytest.raises(ConditionerError, match=rf"'{conditioner}'.*one size"):
        clf.fit(X, y)
    assert plans == []
    assert not hasattr(clf, "classes_")
    clf.set_params(stages=[Stage(1, resolution=4), Stage(1, resolution=(4, 4))]).fit(X, y)
    assert clf.predict(X).shape == (24,)


def test_sizes_are_checked_without_anybodys_random_numbers(monkeypatch):
    X, y = photographs()
    stages = [Stage(1, resolution=4), Stage(1)]
    clf = quick(stages=stages).fit(X, y)
    monkeypatch.setattr(BuildingMixin, "_check_sizes", lambda self, plan: None)
    assert same_predictions(clf, clone(clf).fit(X, y), X)


def test_crops_are_cut_from_the_images_as_they_were_given():
    """Each of them, at every stage; so the smallest crop of one pixel's colour is one colour."""
    X, y = photographs(12, size=(9, 9))
    X[:] = np.kron(X[:, :3, :3], np.ones((1, 3, 3, 1), np.uint8))  # blocks of one colour
    seen = []

    class Levels(Callback):
        def on_batch_end(self, net, batch=None, training=False, **kwargs):
            seen.append(batch[0]["levels"].clone())

    crop = RandomCrop(smallest=0.12, resample="nearest")
    stages = [Stage(2, augmentation=crop, resolution=2), Stage(1, resolution=2)]
    clf = quick(stages=stages, batch_size=12, net_params={"callbacks": [Levels()]}).fit(X, y)
    first, second, last = (each.flatten(2) for each in seen)
    assert not torch.equal(first.sort(0).values, second.sort(0).values)
    given = {tuple(pixel) for pixel in X.reshape(-1, 3).tolist()}
    assert {tuple(pixel) for pixel in first.movedim(1, 2).reshape(-1, 3).tolist()} <= given
    np.testing.assert_array_equal(
        np.sort(last.numpy(), axis=0), np.sort(clf.codec_.encode(X.reshape(12, -1)).reshape(12, 3, 4), axis=0)
    )


class InFirstStage(Callback):
    """Ctrl-C in the second epoch, once."""

    def initialize(self):
        self.is_over_ = False
        return self

    def on_batch_end(self, net, training=False, **kwargs):
        if len(net.history) == 2 and not self.is_over_:
            self.is_over_ = True
            raise KeyboardInterrupt


def test_a_model_interrupted_in_its_first_stage_predicts_at_the_last_resolution():
    X, y = photographs()
    stages = [Stage(3, resolution=4), Stage(3, resolution=6)]
    clf = quick(stages=stages, temperature="auto", net_params={"callbacks": [InFirstStage()]})
    with pytest.warns(TrainingInterruptedWarning, match="after 1 of 6 epochs"):
        clf.fit(X, y, X_val=X, y_val=y)
    assert clf.n_iter_ == 1
    assert clf.net_.averaged_model.image_shape == (3, 6, 6)
    assert clf.temperature_ == clf.history_[0]["valid_temperature"]
    assert np.isfinite(clf.predict_joint_log_proba(X)).all()
    assert clf.sample(1, random_state=0)[0].shape == (1, 6, 6, 3)
    assert clf.partial_fit(X, y).n_iter_ == 2


def test_a_callback_that_ends_a_stage_lets_the_next_begin():
    class Enough(Callback):
        def on_epoch_end(self, net, **kwargs):
            raise KeyboardInterrupt

    X, y = shades()
    clf = quick(stages=[Stage(5), Stage(7)], net_params={"callbacks": [Enough()]}).fit(X, y)
    assert (clf.n_iter_, clf.net_.stop_reason_) == (2, "callback")


def test_early_stopping_ends_a_stage_only():
    X, y = shades(60)
    options = {"early_stopping": True, "n_iter_no_change": 1, "validation_fraction": 0.4, "lr": 0.5}
    clf = quick(stages=[Stage(30), Stage(1, lr=1e-6)], **options).fit(X, y)
    assert clf.n_iter_ < 31
    assert clf.net_.stop_reason_ == "completed"
    assert clf.net_.best_row_ == clf.n_iter_ - 1


def test_a_warm_start_runs_all_stages_again():
    X, y = photographs()
    stages = [Stage(1, resolution=3), Stage(1, resolution=4)]
    clf = quick(stages=stages, warm_start=True, **WATCHED).fit(X, y)
    clf.fit(X, y)
    assert clf.n_iter_ == 4
    assert [batches[0][2:] for batches in watched(clf).batches_] == [(3, 3), (4, 4)] * 2
    clf.set_params(stages=[Stage(1, resolution=5)])
    with pytest.raises(ValueError, match=r"resolution was \(4, 4\) and is \(5, 5\)"):
        clf.fit(X, y)


def test_stages_survive_a_clone():
    stages = [Stage(1, objective=Hybrid(weight=0.5)), Stage(2, resolution=2)]
    again = clone(quick(stages=stages))
    assert repr(again.stages) == repr(stages)
    assert again.stages is not stages
