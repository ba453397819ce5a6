"""Plans: the learning rate of each step, and stages settled before the first of them."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from nets import make_plan, make_stage
from small import photographs, quick, shades

from gencls import Compute, Flip, Hybrid, InvalidParameterError, Likelihood, RandomCrop, Shift, Stage

# The learning rate


def factors(n_steps, **options):
    """Of the steps of one epoch."""
    stage = make_stage(1, batch_size=1, **options)
    return np.array([stage.rate_factor(step, n_steps) for step in range(n_steps)])


def test_the_learning_rate_rises_and_falls_on_a_cosine():
    found = factors(100)
    np.testing.assert_allclose(found[:5], np.arange(1, 6) / 5)
    np.testing.assert_allclose(found[5:], 0.5 * (1 + np.cos(np.pi * np.arange(95) / 95)), rtol=1e-9)
    assert found.max() == pytest.approx(1)
    assert 0 < found[-1] < 1e-3


@pytest.mark.parametrize("n_steps", [1, 2, 3])
def test_even_short_trainings_have_a_learning_rate(n_steps):
    assert (factors(n_steps) > 0).all()
    assert factors(n_steps).max() == pytest.approx(1)


def test_steps_of_all_epochs_count_and_the_last_batch_may_be_smaller():
    stage = make_stage(4, batch_size=8)
    found = [stage.rate_factor(step, 20) for step in range(12)]
    np.testing.assert_allclose(found, factors(12))


def test_unscheduled_it_is_constant():
    np.testing.assert_array_equal(factors(7, is_scheduled=False), 1)


# Plans


def test_a_plan_does_not_change():
    plan = make_plan(make_stage(2), make_stage(3))
    assert plan.n_epochs == 5
    for part, name in ((plan, "seed"), (plan.stages[0], "lr"), (Stage(1), "epochs")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(part, name, 9)


def test_stages_are_given_by_name():
    with pytest.raises(TypeError):
        Stage(3, 0.1)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        Stage()  # type: ignore[call-arg]


def test_without_stages_there_is_one_of_the_parameters(plans):
    X, y = shades()
    clf = quick(lr=0.02, objective=Hybrid(weight=0.5), augmentation=[Flip(), Shift(1)], max_epochs=2)
    clf.fit(X, y)
    (plan,) = plans
    (stage,) = plan.stages
    assert (stage.epochs, stage.batch_size, stage.lr, stage.size) == (2, 16, 0.02, (3, 3))
    assert stage.is_scheduled
    assert repr(stage.objective) == "Hybrid(weight=0.5)"
    assert stage.objective is not clf.objective
    assert [type(part) for part in stage.augmentation.parts] == [Flip, Shift]
    np.testing.assert_array_equal(plan.prior, clf.class_prior_)
    assert plan.held_out is None
    assert plan.monitor is None
    assert plan.checkpoint_dir is None


def test_what_a_stage_leaves_out_is_that_of_the_parameters(plans):
    X, y = photographs()
    stages = [
        Stage(1),
        Stage(2, lr=0.5, objective="hybrid", augmentation=RandomCrop(smallest=0.5), resolution=(3, 4)),
        Stage(3, batch_size=5, augmentation=[]),
    ]
    quick(lr=0.25, augmentation="flip", resolution=6, stages=stages, max_epochs=99).fit(X, y)
    first, second, third = plans[0].stages
    assert (first.epochs, first.batch_size, first.lr, first.size) == (1, 16, 0.25, (6, 6))
    assert (second.epochs, second.batch_size, second.lr, second.size) == (2, 16, 0.5, (3, 4))
    assert (third.epochs, third.batch_size, third.lr, third.size) == (3, 5, 0.25, (6, 6))
    assert [type(stage.objective) for stage in plans[0].stages] == [Likelihood, Hybrid, Likelihood]
    parts = [[type(part) for part in stage.augmentation.parts] for stage in plans[0].stages]
    assert parts == [[Flip], [RandomCrop], []]
    assert second.augmentation.parts[0].smallest == 0.5
    assert plans[0].n_epochs == 6


def test_net_params_hold_for_all_stages_that_say_nothing(plans):
    net_params = {"lr": 0.25, "batch_size": 5, "max_epochs": 9}
    quick(net_params=net_params, stages=[Stage(1), Stage(1, lr=0.5, batch_size=7)]).fit(*shades())
    settings = [(stage.epochs, stage.lr, stage.batch_size) for stage in plans[0].stages]
    assert settings == [(1, 0.25, 5), (1, 0.5, 7)]


def test_a_partial_fit_is_one_epoch_by_the_settings_of_the_last_stage(plans):
    X, y = photographs()
    last = Stage(3, lr=0.125, objective="hybrid", augmentation=RandomCrop(), resolution=4, batch_size=6)
    clf = quick(stages=[Stage(2, resolution=3), last]).partial_fit(X, y, classes=[0, 1, 2])
    (stage,) = plans[0].stages
    assert (stage.epochs, stage.lr, stage.batch_size, stage.size) == (1, 0.125, 6, (4, 4))
    assert isinstance(stage.objective, Hybrid)
    assert not stage.is_scheduled
    assert clf.partial_fit(X, y).n_iter_ == 2


def test_how_training_and_scoring_compute(plans):
    options: dict[str, Any] = {"precision": "bfloat16", "compile": False, "gradient_checkpointing": True}
    quick(compute=Compute(**options), dropout=0.25, device="cpu").fit(*shades())
    execution, scoring = plans[0].execution, plans[0].scoring
    assert (execution.dropout, execution.checkpointed, execution.compiled) == (0.25, True, False)
    assert execution.dtype == torch.bfloat16
    assert (scoring.dropout, scoring.checkpointed, scoring.compiled) == (0.0, False, False)


@pytest.mark.parametrize(
    ("early_stopping", "monitor"),
    [(False, None), (True, "bits_per_dim"), ("log_loss", "log_loss"), ("accuracy", "accuracy")],
)
def test_what_early_stopping_watches(early_stopping, monitor, plans):
    X, y = shades()
    quick(early_stopping=early_stopping, n_iter_no_change=3).fit(X, y, X_val=X[:9], y_val=y[:9])
    assert (plans[0].monitor, plans[0].patience) == (monitor, 3)
    assert len(plans[0].held_out) == 9


def test_a_stage_with_a_wrong_setting_is_named_by_its_number():
    stages = [Stage(1), Stage(0, lr=-1)]
    with pytest.raises(InvalidParameterError) as caught:
        quick(stages=stages).fit(*shades())
    lines = str(caught.value).splitlines()[1:]
    assert ["of stage 1" in line for line in lines] == [True, True]
