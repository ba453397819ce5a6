from __future__ import annotations

import math
import sys
from types import SimpleNamespace
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier, VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer
from small import PLAIN

from gencls import GenerativeBayesClassifier, neg_bits_per_dim_scorer
from gencls.errors import InvalidInputError, InvalidParameterError, MissingPackageError
from gencls.plotting import SampleGridDisplay, TrainingHistoryDisplay

HISTORY = [
    {"epoch": 1, "train_bpd": 3.0, "valid_bpd": 3.1, "valid_accuracy": 0.5, "dur": 1.0},
    {"epoch": 2, "train_bpd": 2.5, "valid_bpd": 2.8, "valid_accuracy": 0.8, "dur": 1.0},
]


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


class FakeClassifier:
    """A substitute for a fitted classifier; the value of each image is the code of its class."""

    def __init__(self, layout=(2, 3), image_shape=(2, 3), channel_axis=-1, pixel_range=(0, 16)):
        self.layout = layout
        self.image_shape_ = image_shape
        self.channel_axis = channel_axis
        self.classes_ = np.array(["ant", "bee", "cat"])
        self.codec_ = SimpleNamespace(low_=pixel_range[0], high_=pixel_range[1], drawn_shape_=image_shape)
        self.history_ = HISTORY
        self.calls = []

    def sample(self, n_samples=1, y=None, random_state=None):
        self.calls.append((n_samples, random_state))
        values = np.searchsorted(self.classes_, y).astype(float)
        return np.broadcast_to(values.reshape(-1, *[1] * len(self.layout)), (n_samples, *self.layout)), y


def drawn(display):
    return np.asarray(display.ax_.images[0].get_array().filled(np.nan))


def test_the_grid_has_a_row_for_each_class_of_the_estimator():
    clf = FakeClassifier()
    display = SampleGridDisplay.from_estimator(clf, n_per_class=4, random_state=7)
    assert clf.calls == [(12, 7)]
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == ["ant", "bee", "cat"]
    mosaic = drawn(display)
    assert mosaic.shape == (3 * (2 + 1), 4 * (3 + 1))
    for row in range(3):
        np.testing.assert_array_equal(mosaic[3 * row : 3 * row + 2, :3], row)
        assert np.isnan(mosaic[3 * row + 2]).all()
    assert display.figure_ is display.ax_.figure


def test_grey_images_have_the_grey_map_over_the_pixel_range():
    image = SampleGridDisplay.from_estimator(FakeClassifier(pixel_range=(0, 16))).ax_.images[0]
    assert image.get_cmap().name == "gray"
    assert image.get_clim() == (0, 16)


def test_labels_are_centred_on_the_rows():
    display = SampleGridDisplay.from_estimator(FakeClassifier())
    assert display.ax_.get_yticks().tolist() == [1.0, 4.0, 7.0]


@pytest.mark.parametrize(
    ("layout", "image_shape", "channel_axis"),
    [
        ((2, 3), (2, 3), -1),
        ((6,), (2, 3), -1),
        ((2, 3, 1), (2, 3, 1), -1),
        ((1, 2, 3), (1, 2, 3), 1),
        ((6,), (1, 2, 3), 1),
    ],
)
def test_every_grey_layout_draws_the_same_picture(layout, image_shape, channel_axis):
    clf = FakeClassifier(layout, image_shape, channel_axis)
    expected = drawn(SampleGridDisplay.from_estimator(FakeClassifier(), n_per_class=2))
    np.testing.assert_array_equal(drawn(SampleGridDisplay.from_estimator(clf, n_per_class=2)), expected)


@pytest.mark.parametrize("channel_axis", [-1, 1, 3])
def test_colours_are_scaled_from_the_range_to_one(channel_axis):
    colour = np.array([-1.0, 0.0, 1.0])
    X = np.moveaxis(np.broadcast_to(colour, (2, 4, 5, 3)), -1, channel_axis)
    display = SampleGridDisplay.from_images(X, [0, 0], channel_axis=channel_axis, pixel_range=(-1, 1))
    mosaic = drawn(display)
    assert mosaic.shape == (5, 12, 4)
    np.testing.assert_allclose(mosaic[0, 0], [0, 0.5, 1, 1])
    np.testing.assert_allclose(mosaic[-1], 0)  # the gap is transparent


@pytest.mark.parametrize(
    ("pixel", "expected"), [([51, 255], [0.2, 0.2, 0.2, 1.0]), ([0, 51, 102, 204], [0.0, 0.2, 0.4, 0.8])]
)
def test_two_and_four_channels_have_opacity(pixel, expected):
    X = np.broadcast_to(np.array(pixel, dtype=np.uint8), (1, 2, 2, len(pixel)))
    np.testing.assert_allclose(drawn(SampleGridDisplay.from_images(X, [0]))[0, 0], expected)


def test_images_are_grouped_by_label_and_limited_to_n_per_class():
    X = np.arange(5, dtype=np.uint8)[:, None, None]
    display = SampleGridDisplay.from_images(X, ["b", "a", "b", "b", "a"], n_per_class=2)
    np.testing.assert_array_equal(drawn(display)[::2, ::2], [[1, 4], [0, 2]])
    assert display.ax_.images[0].get_clim() == (0, 255)


def test_the_order_of_the_classes_can_be_given_and_a_class_may_be_empty():
    X = np.arange(3.0)[:, None, None]
    display = SampleGridDisplay.from_images(X, [0, 1, 1], classes=[1, 2, 0])
    np.testing.assert_array_equal(drawn(display)[::2, ::2], [[1, 2], [np.nan, np.nan], [0, np.nan]])
    assert display.labels == [1, 2, 0]
    assert display.pixel_range == (0, 2)


def test_flat_images_fold_to_squares_or_strips():
    assert SampleGridDisplay.from_images(np.zeros((1, 9)), [0]).rows[0].shape == (1, 3, 3, 1)
    assert SampleGridDisplay.from_images(np.zeros((1, 6)), [0]).rows[0].shape == (1, 1, 6, 1)


@pytest.mark.parametrize(
    ("shape", "options", "drawn_shape"),
    [
        ((6, 8), {}, (3, 4)),
        ((36,), {}, (3, 4)),
        ((6, 8, 3), {}, (3, 4, 3)),
        ((3, 6, 8), {"channel_axis": 1}, (3, 3, 4)),
        ((144,), {"image_shape": (3, 6, 8), "channel_axis": 1}, (3, 3, 4)),
    ],
    ids=str,
)
def test_samples_of_a_reduced_model_are_drawn_at_its_resolution(shape, options, drawn_shape):
    X = np.random.RandomState(0).randint(256, size=(12, *shape), dtype=np.uint8)
    small: dict[str, Any] = {"n_filters": 2, "n_mixtures": 1, "max_epochs": 1, "random_state": 0}
    clf = GenerativeBayesClassifier(**PLAIN | small | options | {"resolution": (3, 4)})
    clf.fit(X, np.arange(12) % 2)
    assert clf.codec_.drawn_shape_ == drawn_shape
    display = SampleGridDisplay.from_estimator(clf, n_per_class=3, random_state=0)
    assert drawn(display).shape[:2] == (2 * (3 + 1), 3 * (4 + 1))


def test_constant_images_can_be_drawn():
    display = SampleGridDisplay.from_images(np.full((2, 3, 3, 3), 0.4), [0, 1])
    assert np.isfinite(drawn(display)).all()


@pytest.mark.parametrize("display", [SampleGridDisplay, TrainingHistoryDisplay])
def test_axes_can_be_given(display):
    figure, ax = plt.subplots()
    result = display.from_estimator(FakeClassifier(), ax=ax)
    assert result.ax_ is ax
    assert result.figure_ is figure


@pytest.mark.parametrize(
    ("X", "y", "options", "words"),
    [
        (np.zeros((2, 4)), [0], {}, ("y ", "2 images", "(1,)")),
        (np.zeros((0, 4)), [], {}, ("X ", "one pixel", "(0, 4)")),
        (np.zeros((2, 4)), [0, 1], {"image_shape": (3, 2)}, ("image_shape ", "4 features", "(3, 2)")),
        (np.zeros((1, 2, 2, 5)), [0], {}, ("X ", "1 to 4 channels", "(1, 2, 2, 5)", "channel_axis=-1")),
    ],
)
def test_invalid_images_are_named(X, y, options, words):
    with pytest.raises(InvalidInputError) as caught:
        SampleGridDisplay.from_images(X, y, **options)
    message = str(caught.value)
    assert message.startswith(words[0])
    assert [word for word in words if word not in message] == []


def test_the_learning_curve_shows_bits_and_accuracy():
    display = TrainingHistoryDisplay.from_estimator(FakeClassifier())
    training, validation = display.ax_.lines
    np.testing.assert_array_equal(training.get_xydata(), [[1, 3.0], [2, 2.5]])
    np.testing.assert_array_equal(validation.get_xydata(), [[1, 3.1], [2, 2.8]])
    assert display.accuracy_ax_
    np.testing.assert_array_equal(display.accuracy_ax_.lines[0].get_ydata(), [0.5, 0.8])
    legend = display.ax_.get_legend()
    assert legend
    assert [text.get_text() for text in legend.get_texts()] == [
        "Training",
        "Validation",
        "Validation accuracy",
    ]


def test_there_is_one_curve_without_validation():
    display = TrainingHistoryDisplay.from_history({"epoch": n, "train_bpd": 3 - n} for n in range(2))
    assert len(display.ax_.lines) == 1
    assert display.accuracy_ax_ is None


def test_epochs_without_a_validation_are_left_out():
    history: list[dict[str, Any]] = [
        {"epoch": 1, "train_bpd": 3.0, "valid_bpd": None},
        {"epoch": 2, "train_bpd": 2.0, "valid_bpd": 2.5},
    ]
    display = TrainingHistoryDisplay.from_history(history)
    np.testing.assert_array_equal(display.ax_.lines[1].get_xydata(), [[2, 2.5]])


WRONG_OPTIONS = {
    "n_per_class": (-1, 2.5, "3", None),
    "image_shape": (8, "a", (3, 0), (2, 2, 2, 2)),
    "channel_axis": (7, "last", None),
    "pixel_range": ("auto", 3, (0,), (0, math.nan)),
    "ax": (3, "ax"),
}


@pytest.mark.parametrize(("name", "value"), [(name, v) for name, many in WRONG_OPTIONS.items() for v in many])
def test_wrong_options_are_named(name, value):
    with pytest.raises(InvalidParameterError, match=f"'{name}' of SampleGridDisplay must be"):
        SampleGridDisplay.from_images(np.zeros((2, 3, 3)), [0, 1], **{name: value})


def test_wrong_options_of_from_estimator_are_named():
    with pytest.raises(InvalidParameterError, match="'n_per_class' of SampleGridDisplay must be"):
        SampleGridDisplay.from_estimator(FakeClassifier(), n_per_class=2.5)  # type: ignore[arg-type]
    with pytest.raises(InvalidParameterError, match="'ax' of TrainingHistoryDisplay must be"):
        TrainingHistoryDisplay.from_estimator(FakeClassifier(), ax=3)  # type: ignore[arg-type]


@pytest.mark.parametrize("history", [None, 3, {"epoch": 1}, [1, 2], "history", [{"loss": 3.0}]], ids=repr)
def test_invalid_histories_are_refused(history):
    with pytest.raises(InvalidInputError, match="history must be a list of dicts"):
        TrainingHistoryDisplay.from_history(history)


def test_a_history_may_be_a_frame():
    display = TrainingHistoryDisplay.from_history(pd.DataFrame(HISTORY))
    np.testing.assert_array_equal(display.ax_.lines[0].get_ydata(), [3.0, 2.5])


@pytest.mark.parametrize("options", [{"classes": []}, {"classes": [7]}, {"n_per_class": 0}], ids=str)
def test_an_empty_grid_is_refused(options):
    with pytest.raises(InvalidInputError, match=r"^X must .* image .*n_per_class="):
        SampleGridDisplay.from_images(np.zeros((2, 3, 3)), [0, 1], **options)


def test_an_empty_history_is_refused():
    with pytest.raises(InvalidInputError, match=r"^history must .* one epoch"):
        TrainingHistoryDisplay.from_history([])


def test_the_error_without_matplotlib_contains_the_install_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(MissingPackageError, match=r'TrainingHistoryDisplay .*pip install "gencls\[plot\]"'):
        TrainingHistoryDisplay.from_history(HISTORY)


# Classifiers inside meta-estimators


class Drawing(ClassifierMixin, BaseEstimator):
    """A substitute for the classifier, which scikit-learn can clone and fit."""

    def __init__(self, shade=0):
        self.shade = shade

    def fit(self, X, y):
        self.classes_, self.image_shape_, self.channel_axis = np.unique(y), (2, 3), -1
        self.codec_ = SimpleNamespace(low_=0, high_=16, drawn_shape_=(2, 3))
        self.history_ = [{"epoch": 1, "train_bpd": 3.0 + self.shade}]
        return self

    def predict(self, X):
        return np.repeat(self.classes_[:1], len(X))

    def predict_proba(self, X):
        return np.full((len(X), 2), 0.5)

    def sample(self, n_samples=1, y=None, random_state=None):
        return np.full((n_samples, 2, 3), self.shade), y

    def bits_per_dim(self, X, y=None):
        return float(np.mean(X))


DATA = np.full((8, 6), 3.0), np.arange(8) % 2


def search(estimator, **grid):
    return GridSearchCV(estimator, grid, cv=2, **({"error_score": "raise"} if grid else {}))


NESTED = {
    "pipeline": make_pipeline(FunctionTransformer(), Drawing(7)),
    "pipeline of one": make_pipeline(Drawing(7)),
    "search": search(Drawing(), shade=[7]),
    "search of a pipeline": search(make_pipeline(FunctionTransformer(), Drawing()), drawing__shade=[7]),
    "pipeline of a search": make_pipeline(FunctionTransformer(), search(Drawing(), shade=[7])),
    "pipeline of pipelines": make_pipeline(make_pipeline(FunctionTransformer(), make_pipeline(Drawing(7)))),
    "frozen": FrozenEstimator(Drawing(7).fit(*DATA)),
    "calibrated": CalibratedClassifierCV(FrozenEstimator(Drawing(7).fit(*DATA)), ensemble=False, cv=2),
    "threshold": FixedThresholdClassifier(Drawing(7), response_method="predict_proba"),
}


@pytest.mark.parametrize("name", NESTED)
def test_the_classifier_in_pipelines_and_searches_is_found(name):
    fitted = clone(NESTED[name]).fit(*DATA)
    assert (drawn(SampleGridDisplay.from_estimator(fitted))[:2, :3] == 7).all()
    np.testing.assert_array_equal(
        TrainingHistoryDisplay.from_estimator(fitted).ax_.lines[0].get_ydata(), [10.0]
    )
    assert neg_bits_per_dim_scorer(fitted, *DATA) == -3.0


def test_scores_refer_to_the_transformed_images():
    steps = FunctionTransformer(np.square), search(make_pipeline(FunctionTransformer(np.negative), Drawing()))
    fitted = make_pipeline(*steps).set_params(gridsearchcv__param_grid={"drawing__shade": [0]}).fit(*DATA)
    assert neg_bits_per_dim_scorer(fitted, DATA[0]) == 9.0


@pytest.mark.parametrize(
    "call",
    [
        SampleGridDisplay.from_estimator,
        TrainingHistoryDisplay.from_estimator,
        lambda clf: neg_bits_per_dim_scorer(clf, *DATA),
    ],
)
def test_a_fitted_classifier_is_required(call):
    for unfitted in (GenerativeBayesClassifier(), *(clone(NESTED[name]) for name in list(NESTED)[:6])):
        with pytest.raises(NotFittedError):
            call(unfitted)
    others = make_pipeline(FunctionTransformer(), LogisticRegression()), "model.safetensors", Drawing, None
    for other in (*others, make_pipeline(Drawing(), "passthrough"), CalibratedClassifierCV(Drawing())):
        with pytest.raises((InvalidInputError, NotFittedError)):
            call(other)
    without_best = search(Drawing(), shade=[7]).set_params(refit=False).fit(*DATA)
    with pytest.raises(InvalidInputError, match="refit=True"):
        call(without_best)
    with pytest.raises(InvalidInputError, match="got Pipeline"):
        call(Pipeline([]))


@pytest.mark.parametrize(
    ("ensemble", "members"),
    [
        (BaggingClassifier(Drawing(), n_estimators=2), "estimators_"),
        (VotingClassifier([("one", Drawing())]), "estimators_"),
        (OneVsRestClassifier(Drawing()), "estimators_"),
        (CalibratedClassifierCV(Drawing(), cv=2), "calibrated_classifiers_"),
    ],
    ids=lambda each: type(each).__name__,
)
def test_ensembles_of_several_classifiers_are_refused(ensemble, members):
    fitted = ensemble.fit(*DATA)
    with pytest.raises(InvalidInputError, match=f"several classifiers.* {members}"):
        TrainingHistoryDisplay.from_estimator(fitted)
    one = getattr(fitted, members)[0]
    TrainingHistoryDisplay.from_estimator(getattr(one, "estimator", one))


@pytest.mark.parametrize("display", [SampleGridDisplay, TrainingHistoryDisplay])
def test_pictures_can_be_saved(display, tmp_path):
    display.from_estimator(FakeClassifier()).figure_.savefig(tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 1000
