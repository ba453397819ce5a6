"""Training says what it does and how long that takes."""

from __future__ import annotations

import warnings
from dataclasses import replace
from types import SimpleNamespace

import pytest
from small import photographs, quick, shades

from gencls import Hybrid, LongTrainingWarning, Stage
from gencls.augmentations import make_augmentation
from gencls.objectives import Likelihood
from gencls.training import forecast
from gencls.training.forecast import as_duration, seconds_left
from gencls.training.plan import PlannedStage


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.1, "1 s"), (41.4, "41 s"), (59.6, "1 min"), (3570, "1 h 0 min"), (7980, "2 h 13 min")],
)
def test_durations_have_at_most_two_units(seconds, words):
    assert as_duration(seconds) == words


def test_the_plan_is_announced_before_training(capsys):
    X, y = photographs(40)
    stages = [Stage(1), Stage(2, objective=Hybrid())]
    quick(verbose=1, stages=stages, resolution=4, augmentation="flip", batch_size=8).fit(X, y)
    first, second, *rows = capsys.readouterr().err.splitlines()
    assert first.startswith(
        "40 images with 3 channels of 3 classes, 1 epoch of Likelihood at 4×4 with Flip, "
    )
    assert "then 2 epochs of Hybrid at 4×4" in first
    assert first.endswith("15 steps.")
    assert second.startswith("Training will take about ")
    assert [row.partition(":")[0] for row in rows] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    assert [row.endswith(" left)") for row in rows] == [True, True, False]


def test_only_a_long_training_warns_and_only_without_progress(monkeypatch):
    X, y = shades(60)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quick().fit(X, y)
    monkeypatch.setattr(forecast, "LONG", 0.0)
    with pytest.warns(LongTrainingWarning, match="max_epochs.*resolution \\(now 3×3\\)") as caught:
        quick(stages=[Stage(1), Stage(1)]).fit(X, y)
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quick(verbose=1).fit(X, y)


def test_a_training_of_few_steps_is_not_forecast(monkeypatch):
    monkeypatch.setattr(forecast, "LONG", 0.0)
    X, y = shades(9)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quick().fit(X, y)  # two steps


def test_the_time_left_counts_scored_classes_pixels_and_images():
    def stage(epochs, objective, size):
        return PlannedStage(epochs, 8, 1e-3, objective, make_augmentation(None), size)

    stages = (stage(4, Likelihood(), (8, 8)), replace(stage(2, Hybrid(n_contrasted=3), (8, 16)), n_images=50))
    net = SimpleNamespace(
        history=[{"dur": 9.0}, {"dur": 2.0}, {"dur": 4.0}],
        data_=range(100),
        stage_begin_=1,
        n_finished_=3,
        stage_=stages[0],
        stage_number_=0,
        plan_=SimpleNamespace(stages=stages, prior=[0.25] * 4),
    )
    # Two epochs of three seconds are left, and two with half of the images and four times the cost of each.
    assert seconds_left(net) == pytest.approx(3 * (2 + 2 * 4 / 2))
