"""Saving and loading: the same classifier comes back, or an error that says what is wrong with the file."""

from __future__ import annotations

import copy
import math
import pickle
import random
import resource

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from torch import nn

from gencls import (
    Conditioner,
    ConditionerError,
    GenerativeBayesClassifier,
    InvalidParameterError,
    ModelFileError,
    Modulation,
    list_conditioners,
    per_site,
    register_conditioner,
)
from gencls.conditioners import CONDITIONERS, zero_embedding
from gencls.conditioners.low_rank import LowRank
from gencls.density import ConditionalPixelCNN
from gencls.model_files import read_card
from gencls.model_files.container import read_model_file, write_model_file
from gencls.model_files.snapshot import FITTED
from gencls.model_files.weights import check_scores

load = GenerativeBayesClassifier.load


def shades(n=24, n_classes=3, size=(3, 3)):
    rng = np.random.RandomState(0)
    y = np.arange(n) % n_classes
    return 3 * y.reshape(-1, *[1] * len(size)) + rng.randint(3, size=(n, *size)), y


def quick(conditioner="mild", **parameters):
    small = {"n_filters": 4, "n_mixtures": 1, "batch_size": 12, "max_epochs": 1, "random_state": 0}
    return GenerativeBayesClassifier(conditioner, **(small | parameters))


@pytest.fixture(scope="module")
def fitted():
    X, y = shades()
    return quick(max_epochs=2).fit(X, np.array(["ant", "bee", "cat"])[y])


@pytest.fixture
def mine(fitted):
    """One that a test may alter."""
    return copy.deepcopy(fitted)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def again(clf, path, **options):
    clf.save(path, **options)
    return load(path)


def assert_same(one, other, X):
    """Bit for bit the same predictions and images."""
    np.testing.assert_array_equal(one.predict_joint_log_proba(X), other.predict_joint_log_proba(X))
    for drawn, redrawn in zip(one.sample(4, random_state=0), other.sample(4, random_state=0), strict=True):
        assert drawn.dtype == redrawn.dtype
        np.testing.assert_array_equal(drawn, redrawn)


# The same classifier


@pytest.mark.parametrize(
    ("shape", "dtype", "parameters"),
    [
        ((9,), np.float64, {}),
        ((6,), np.int64, {"image_shape": (2, 3)}),
        ((3, 2), np.uint8, {}),
        ((2, 3, 3), np.float32, {"pixel_range": (-1.0, 9.5), "n_levels": 7}),
        ((3, 2, 2), np.int16, {"channel_axis": 1, "n_levels": 12}),
        ((1, 1), np.bool_, {}),
    ],
    ids=str,
)
def test_images_of_every_layout(shape, dtype, parameters, path):
    X, y = shades(size=shape)
    X = X.astype(dtype)
    clf = quick(**parameters).fit(X, y)
    assert_same(clf, again(clf, path), X)


@pytest.mark.parametrize("name", list_conditioners())
def test_every_conditioner(name, path):
    X, y = shades(n=12, size=(2, 2))
    clf = quick(name).fit(X, y)
    loaded = again(clf, path)
    assert_same(clf, loaded, X)
    assert loaded.conditioner == name


@pytest.mark.parametrize(
    "classes",
    [
        np.array([-3, 0, 2**60]),
        np.array([0.0, 1.0, 7.0], dtype=np.float32),
        np.array([False, True]),
        np.array(["ant", "Käfer", ""]),
        np.array(["ant", "bee"], dtype=object),
        np.array([0, 255], dtype=np.uint8),
    ],
    ids=repr,
)
def test_classes_of_every_kind(classes, path):
    X, y = shades(n_classes=len(classes))
    clf = quick().fit(X, classes[y])
    loaded = again(clf, path)
    assert loaded.classes_.dtype == clf.classes_.dtype
    np.testing.assert_array_equal(loaded.classes_, clf.classes_)
    assert loaded.score(X, classes[y]) == clf.score(X, classes[y])


def test_what_was_learned_and_the_parameters(path):
    X, y = shades()
    frame = pd.DataFrame(X.reshape(len(X), -1), columns=[f"pixel {i}" for i in range(9)])
    parameters = {"priors": (0.2, 0.3, 0.5), "pixel_range": (0, 8), "early_stopping": "accuracy"}
    clf = quick(**parameters, validation_fraction=0.25).fit(frame, y, sample_weight=1 + y / 2)
    loaded = again(clf, path)
    for name in FITTED:
        np.testing.assert_array_equal(getattr(loaded, name), getattr(clf, name))
    assert loaded.get_params() == clf.get_params()
    assert loaded.history_ == [row | {"batches": []} for row in clf.history_]
    assert loaded.n_iter_ == clf.n_iter_
    assert loaded.image_shape_ == clf.image_shape_


def test_a_file_from_before_a_parameter_was_there(fitted, path):
    fitted.save(path)
    rewrite(path, lambda description, tensors: description["parameters"].pop("early_exit"))
    assert load(path).early_exit is None
    assert_same(fitted, load(path), shades()[0])


def test_it_is_cloned_pickled_and_saved_again(fitted, path):
    loaded = again(fitted, path)
    X, y = shades()
    assert_same(fitted, pickle.loads(pickle.dumps(loaded)), X)
    assert_same(clone(fitted).fit(X, y), clone(loaded).fit(X, y), X)
    loaded.save(path.with_name("again"))
    assert path.with_name("again").read_bytes() == path.read_bytes()


def test_it_completes_images_alike(fitted, path):
    X, _ = shades()
    completed = fitted.complete(X[:3], 1, random_state=0)
    for one, other in zip(completed, again(fitted, path).complete(X[:3], 1, random_state=0), strict=True):
        np.testing.assert_array_equal(one, other)


def test_half_precision(fitted, path):
    fitted.save(path)
    whole = path.stat().st_size
    loaded = again(fitted, path, half=True)
    weights = sum(weight.nbytes for weight in fitted.net_.averaged_model.state_dict().values())
    assert whole - path.stat().st_size == pytest.approx(weights / 2, rel=0.1)
    assert {weight.dtype for weight in loaded.net_.averaged_model.parameters()} == {torch.float32}
    expected = fitted.predict_joint_log_proba(shades()[0])
    np.testing.assert_allclose(loaded.predict_joint_log_proba(shades()[0]), expected, rtol=0.01)


def test_parameters_that_a_file_cannot_hold_are_at_their_defaults(path):
    X, y = shades()
    net_params = {"optimizer": torch.optim.SGD, "batch_size": 4}
    clf = quick(random_state=np.random.RandomState(0), net_params=net_params, device="cpu").fit(X, y)
    loaded = again(clf, path)
    assert (loaded.random_state, loaded.net_params, loaded.device) == (None, None, "auto")
    assert_same(clf, loaded, X)


def test_the_device_is_chosen_anew(fitted, path):
    fitted.save(path)
    assert load(path, device="cpu").device == "cpu"
    with pytest.raises(InvalidParameterError, match="'device' of GenerativeBayesClassifier must be"):
        load(path, device="abacus")


def test_a_subclass_loads_as_such(fitted, path):
    class Mine(GenerativeBayesClassifier):
        pass

    fitted.save(path)
    assert type(Mine.load(path)) is Mine


def test_the_card(fitted, path):
    card = {"data": "shades", "figures": {"accuracy": 0.5}}
    fitted.save(path, card=card)
    assert read_card(path) == card
    fitted.save(path)
    assert read_card(path) == {}


def test_nobody_elses_random_numbers_are_touched(fitted, path):
    before = torch.get_rng_state()
    again(fitted, path)
    assert torch.get_rng_state().equal(before)


# Training goes on


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_training_goes_on_after_loading(method, fitted, path):
    X, y = shades()
    y = fitted.classes_[y]
    loaded = again(fitted, path).set_params(warm_start=True, lr=0.01)
    before = loaded.bits_per_dim(X, y)
    for _ in range(3):
        getattr(loaded, method)(X, y)
    assert loaded.bits_per_dim(X, y) < before
    assert loaded.n_iter_ == fitted.n_iter_ + 3 * (2 if method == "fit" else 1)
    assert loaded.history_[: fitted.n_iter_] == [row | {"batches": []} for row in fitted.history_]


def test_the_average_remembers_the_steps_before(fitted, path):
    X, y = shades()
    loaded = again(fitted, path).set_params(lr=1e-12)
    steps = int(fitted.net_.averaged_.n_averaged)
    before = fitted.predict_joint_log_proba(X)
    loaded.partial_fit(X, fitted.classes_[y])
    assert int(loaded.net_.averaged_.n_averaged) == steps + 2
    np.testing.assert_allclose(loaded.predict_joint_log_proba(X), before, rtol=1e-6)


def test_weights_are_single_precision_whatever_is_the_default(fitted, path):
    X = shades()[0]
    fitted.save(path)
    expected = fitted.predict_joint_log_proba(X)
    torch.set_default_dtype(torch.float64)
    try:
        np.testing.assert_array_equal(load(path).predict_joint_log_proba(X), expected)
        again = clone(fitted).fit(X, shades()[1])
    finally:
        torch.set_default_dtype(torch.float32)
    assert {each.dtype for each in again.net_.averaged_model.parameters()} == {torch.float32}
    again.save(path)
    np.testing.assert_array_equal(load(path).predict_joint_log_proba(X), again.predict_joint_log_proba(X))


# Conditioners


class Late(Conditioner):
    def __init__(self, stages=(5,), scale=1.0):
        super().__init__()
        self.stages = stages
        self.scale = scale

    def build(self, n_classes, sites):
        chosen = sites.named("second").in_stages(self.stages)
        self.bias = per_site(chosen, lambda site: zero_embedding(n_classes, site.channels))

    def forward(self, labels):
        return {site: Modulation(shift=self.scale * bias(labels)) for site, bias in self.bias.items()}


class Tied(Late):
    def build(self, n_classes, sites):
        super().build(n_classes, sites)
        shared = next(iter(self.bias.items()))[1]
        self.bias = per_site(self.bias.sites, lambda site: shared)


class Curious(Late):
    def build(self, n_classes, sites):
        super().build(n_classes, sites)
        self.start = next(self.parameters()).sum().item()


def test_hyper_parameters_of_the_conditioner(path):
    X, y = shades()
    loaded = again(quick(LowRank(rank=3)).fit(X, y), path)
    assert loaded.conditioner.rank == loaded.conditioner_.rank == 3
    assert again(quick(LowRank).fit(X, y), path).conditioner.rank == LowRank().rank
    assert again(quick("low-rank").fit(X, y), path).conditioner == "low-rank"


@pytest.mark.usefixtures("own_conditioners")
@pytest.mark.parametrize("kind", [Late, Tied])
def test_a_conditioner_must_be_registered(kind, path):
    X, y = shades()
    clf = quick(kind((3, 5), scale=2.0)).fit(X, y)
    with pytest.raises(ConditionerError, match=r"has no name in the registry. .*register_conditioner\("):
        clf.save(path)
    assert not path.exists()
    register_conditioner("mine", kind)
    loaded = again(clf, path)
    assert (loaded.conditioner.stages, loaded.conditioner.scale) == ((3, 5), 2.0)
    assert_same(clf, loaded, X)


def test_a_conditioner_that_is_not_there_is_named(path, monkeypatch):
    X, y = shades()
    with monkeypatch.context() as patch:
        patch.setattr(CONDITIONERS, "_registered", {"mine": Late})
        quick("mine").fit(X, y).save(path)
    with pytest.raises(
        ConditionerError, match=f"no conditioner 'mine'; known are .* '{__name__}:Late': install"
    ):
        load(path)


@pytest.mark.usefixtures("own_conditioners")
def test_hyper_parameters_that_a_file_cannot_hold(path):
    X, y = shades()
    register_conditioner("mine", Late)
    clf = quick(Late(stages={5})).fit(X, y)
    with pytest.raises(ModelFileError, match="conditioner__stages cannot be saved, as a set cannot be"):
        clf.save(path)


@pytest.mark.usefixtures("own_conditioners")
def test_a_conditioner_that_reads_weights_while_it_is_built(path):
    X, y = shades()
    register_conditioner("curious", Curious)
    with pytest.raises(ModelFileError, match=r"method build must not depend on the values of tensors"):
        quick("curious").fit(X, y).save(path)


# What cannot be saved


def test_classes_that_a_file_cannot_hold(mine, path):
    mine.classes_ = np.array(["2026-01-01", "2026-01-02", "2026-01-03"], dtype="datetime64[D]")
    with pytest.raises(ModelFileError, match=r"classes_ cannot be saved, as values of the dtype datetime64"):
        mine.save(path)


def test_pixels_that_a_file_cannot_hold(mine, path):
    mine.codec_.dtype_ = np.dtype(complex)
    with pytest.raises(ModelFileError, match="Images of the dtype complex128 cannot be saved"):
        mine.save(path)


@pytest.mark.parametrize(
    ("spoil", "half", "message"),
    [
        (lambda model: model.network.head.bias.data.fill_(np.nan), False, "has values that are not finite"),
        (lambda model: model.network.head.bias.data.fill_(1e6), True, "not finite, or beyond ±65,504"),
        (lambda model: model.network.head.bias.data.fill_(1e38), False, "not finite, or beyond ±65,504"),
        (
            lambda model: [each.data.fill_(65_504) for each in model.network.parameters()],
            False,
            "give an image no finite probability",
        ),
        (lambda model: model.double(), False, "has the type torch.float64 and must have torch.float32"),
        (lambda model: setattr(model, "extra", nn.Linear(1, 1)), False, "'extra.bias' is not part of it"),
    ],
)
def test_weights_that_could_not_be_loaded_are_not_saved(spoil, half, message, mine, path):
    spoil(mine.net_.averaged_model)
    with pytest.raises(ModelFileError, match=f"This model cannot be saved.*{message}"):
        mine.save(path, half=half)
    assert not path.exists()


def test_parameters_that_could_not_be_loaded_leave_the_file_as_it_was(mine, path):
    mine.save(path)
    before = path.read_bytes()
    with pytest.raises(InvalidParameterError, match="'early_exit'"):
        mine.set_params(early_exit=0).save(path)
    assert path.read_bytes() == before


def test_parameters_that_changed_since_fit(mine, path):
    mine.set_params(n_filters=8)
    with pytest.raises(InvalidParameterError, match=r"but: n_filters was 4 and is 8\. Set them back"):
        mine.save(path)


@pytest.mark.parametrize("card", [{"figures": object()}, 3, {"a": {1}}])
def test_a_card_that_is_none(card, fitted, path):
    with pytest.raises(InvalidParameterError, match="'card' of save must be a dict that JSON can hold"):
        fitted.save(path, card=card)


# Files whose checksum is right and whose content is not


def rewrite(path, change):
    description, tensors = read_model_file(path)
    change(description, tensors)
    write_model_file(path, {name: description[name] for name in description if name != "sha256"}, tensors)


def set_parameter(name, value):
    return lambda description, tensors: description["parameters"].update({name: value})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d, t: t.pop("network.head.bias"), "the tensor 'network.head.bias' is missing"),
        (lambda d, t: t.update(more=torch.ones(1)), "the tensor 'more' is not part of it"),
        (
            lambda d, t: t.update({"network.head.bias": torch.ones(7)}),
            r"'network.head.bias' has the shape \(7,\) and must have \(3,\)",
        ),
        (lambda d, t: t["network.head.bias"].fill_(np.inf), "has values that are not finite"),
        (
            lambda d, t: t.update({"network.head.bias": torch.ones(3, dtype=torch.int32)}),
            "has the type torch.int32 and must have torch.float32",
        ),
        (lambda d, t: t.clear(), "0 tensors are too few"),
        (set_parameter("n_filters", 5), "has the shape .* and must have .*; …"),
        (set_parameter("n_filters", 10**6), "must have"),
        (set_parameter("n_filters", 10**30), "n_filters must be an int of at least 1"),
        (set_parameter("n_filters", 10**18), "cannot be built"),
        (set_parameter("n_layers", 10**9), "too few for n_layers=1000000000"),
        (set_parameter("n_layers", 3), "tensors are too few for n_layers=3"),
        (set_parameter("n_mixtures", 10**8), "must have"),
        (set_parameter("dropout", 2), "dropout must be a number from 0 to below 1, got 2"),
        (
            set_parameter("temperature_of_the_future", 1),
            "unexpected keyword .* If it comes from another version",
        ),
        (
            set_parameter("net_params", {"dict": {"compile": True}}),
            "must not set conditioner, device, compile, net_params",
        ),
        (set_parameter("device", "meta"), "must not set conditioner, device, compile, net_params"),
        (
            lambda d, t: d["codec"].update(image_shape=[10**9, 10**9], sample_shape=[10**9, 10**9]),
            "image_shape must be a list of 2 or 3 ints of at least 1, with a product of at most 1,048,576",
        ),
        (lambda d, t: d["codec"].update(n_levels=300), "n_levels must be an int from 2 to 256, got 300"),
        (lambda d, t: d["codec"].update(dtype="object"), "dtype must be 'bool' or .*, got 'object'"),
        (lambda d, t: d["fitted"].pop("classes_"), "In what was learned, classes_ is missing"),
        (
            lambda d, t: d["fitted"].update(classes_={"array": ["b", "a", "c"], "dtype": "str"}),
            "classes_ must be 2 to 65,536 different classes in order",
        ),
        (
            lambda d, t: d["fitted"].update(class_prior_={"array": [0.5, 0.5, 0.5], "dtype": "float64"}),
            "class_prior_ must be float64 of at least 0 that sum to 1",
        ),
        (lambda d, t: d["conditioner"]["parameters"].update(rank=3), "'mild' has no parameter 'rank'"),
    ],
)
def test_a_file_that_does_not_fit_together(change, message, fitted, path):
    fitted.save(path)
    rewrite(path, change)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ModelFileError, match=f"holds no model that gencls .* can build.*{message}"):
        load(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kB


def leaves(value, key=()):
    """The places in nested dicts and lists, also those of dicts and lists themselves."""
    yield key
    for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(inner, dict | list):
            yield from leaves(inner, (*key, name))
        else:
            yield (*key, name)


EVIL = [
    None,
    True,
    "True",
    "x",
    "",
    "\x1b[31m",
    -1,
    0,
    1,
    2,
    10**20,
    2**63,
    0.5,
    5e-324,
    1e308,
    -1e308,
    np.inf,
    np.nan,
    [],
    [[1]],
    [1, 2, 3],
    {},
    {"tuple": [1, 2]},
    {"dict": {"ant": 0.5}},
    {"array": 1, "dtype": "int64"},
    {"array": [1], "dtype": "int64"},
    {"array": [0.2, 0.3, 0.5], "dtype": "float64"},
    {"array": ["ant", "bee", "cow"], "dtype": "str"},
    {"array": [[[2.0]]], "dtype": "float64"},
]


def works(clf, path):
    """Whether it draws images, predicts, and is saved again."""
    images, _ = clf.sample(2, random_state=0)
    if hasattr(clf, "feature_names_in_"):
        images = pd.DataFrame(images, columns=clf.feature_names_in_)
    rows = clf.predict_proba(images)
    clf.save(path)
    np.testing.assert_allclose(rows.sum(axis=1), 1)
    assert np.isfinite(rows).all()
    return True


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Description and tensors of the smallest model, with all that a file can have."""
    X, y = shades(size=(1, 2))
    frame = pd.DataFrame(X.reshape(len(X), -1), columns=["left", "right"])
    clf = quick(LowRank(rank=1), n_filters=1, priors=(0.2, 0.3, 0.5), temperature=2.0, early_stopping=True)
    clf.set_params(validation_fraction=0.4).fit(frame, np.array(["ant", "bee", "cat"])[y])
    path = tmp_path_factory.mktemp("tiny") / "model"
    clf.save(path, card={"data": ["shades"]})
    return read_model_file(path)


@pytest.mark.filterwarnings("ignore::gencls.PixelClippingWarning")  # whole numbers beyond an odd range
def test_whatever_a_description_says_loading_gives_a_model_that_works_or_an_error(tiny, path):
    description, tensors = tiny
    chance = random.Random(0)
    loaded, messages = 0, []
    for place in list(leaves(description))[1:]:
        for evil in chance.sample(EVIL, 2):
            changed = copy.deepcopy(description)
            inner = changed
            for name in place[:-1]:
                inner = inner[name]
            inner[place[-1]] = evil
            changed.pop("sha256", None)
            write_model_file(path, changed, tensors)
            try:
                clf = load(path)
            except (ModelFileError, ConditionerError) as error:
                messages.append(str(error))
            else:
                loaded += works(clf, path)
    assert loaded > 5
    assert all(message.isprintable() and len(message) < 3_000 for message in messages)


def learned(**changes):
    return lambda description, tensors: description["fitted"].update(changes)


def floats(*values):
    return {"array": list(values), "dtype": "float64"}


def resized(*shape):
    def change(description, tensors):
        description["codec"].update(image_shape=list(shape), sample_shape=list(shape))
        description["fitted"].update(n_features_in_=int(np.prod(shape)))

    return change


def all_weights(value):
    return lambda description, tensors: [each.fill_(value) for each in tensors.values()]


def many_classes(description, tensors):
    n = 2**16 + 1
    description["conditioner"].update(name="unconditional", given_by_name=True)
    learned(
        classes_={"array": list(range(n)), "dtype": "int64"},
        class_count_=floats(*[1.0] * n),
        class_prior_=floats(*[1 / n] * n),
    )(description, tensors)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (learned(classes_=["ant", "bee", "cat"]), "classes_"),
        (learned(classes_={"array": [["ant"], ["bee"]], "dtype": "str"}), "classes_"),
        (learned(classes_=floats(0.0, 1.0, math.nan)), "classes_"),
        (many_classes, "classes_"),
        (learned(temperature_={"array": [[[1.0]]], "dtype": "float64"}), "temperature_"),
        (learned(temperature_=5e-324), "temperature_"),
        (learned(temperature_=1e308), "temperature_"),
        (learned(temperature_="auto"), "temperature_"),
        (learned(class_count_=floats(1.0, -1.0, 1.0)), "class_count_"),
        (learned(class_count_=floats(1.0, math.inf, 1.0)), "class_count_"),
        (learned(class_count_=floats(1.0, 1e300, 1.0)), "class_count_"),
        (learned(class_count_=floats(0.0, 0.0, 0.0)), "class_count_"),
        (learned(class_count_=floats(1.0, 1.0)), "class_count_"),
        (learned(class_prior_=floats(0.5, 0.5, 1e-6)), "class_prior_"),
        (learned(n_features_in_=9.0), "n_features_in_"),
        (learned(feature_names_in_={"array": [1] * 9, "dtype": "int64"}), "feature_names_in_"),
        (learned(feature_names_in_={"array": ["a"], "dtype": "object"}), "feature_names_in_"),
        (learned(more=1), "'more' is unknown"),
        (set_parameter("priors", {"array": 0.5, "dtype": "float64"}), "array"),
        (set_parameter("priors", [floats(0.2), floats(0.3), floats(0.5)]), "priors"),
        (set_parameter("priors", [0.5, 0.5]), "2 priors do not fit 3 classes"),
        (set_parameter("random_state", "x"), "random_state"),
        (set_parameter("image_shape", {"tuple": [1, 9]}), "image_shape"),
        (set_parameter("pixel_range", {"tuple": [0, 5]}), "pixel_range"),
        (set_parameter("n_levels", 3), "n_levels"),
        (resized(30_000, 30_000), "image_shape"),
        (lambda d, t: d["codec"].update(image_shape=[9, 1]), "images of"),
        (lambda d, t: d["codec"].update(low=False), "low"),
        (lambda d, t: d["codec"].update(high="8"), "high"),
        (lambda d, t: d["codec"].update(low=9.0), "from 9 to 8"),
        (lambda d, t: d["codec"].update(high=1e307), "high"),
        (lambda d, t: d["codec"].update(high=1e10, dtype="float16"), "float16"),
        (lambda d, t: d["codec"].update(channel_axis=True), "channel_axis"),
        (lambda d, t: d["codec"].update(n_levels=9.0), "n_levels"),
        (lambda d, t: d.update(history=[3]), "history"),
        (lambda d, t: d.update(history={"epoch": 1}), "history"),
        (lambda d, t: d["history"][0].update(batches=[]), "batches"),
        (lambda d, t: d["history"][0].update(train_bpd="x"), "train_bpd"),
        (lambda d, t: d.update(n_steps=2**63), "n_steps"),
        (lambda d, t: d.update(card=[["a", 1]]), "card"),
        (lambda d, t: d.update(more=1), "'more' is unknown"),
        (lambda d, t: d["conditioner"].update(name="x" * 10**6), "name"),
        (all_weights(1e38), "65,504"),
        (all_weights(65_000), "finite probability"),
    ],
)
def test_a_field_that_fit_does_not_learn_is_named(change, field, fitted, path):
    fitted.save(path)
    rewrite(path, change)
    with pytest.raises(ModelFileError, match=rf"holds no model that gencls .*{field}") as caught:
        load(path)
    assert len(str(caught.value)) < 1_000


@pytest.mark.parametrize(
    "change",
    [
        lambda d, t: d["conditioner"].update({"name": "x", "class": "\x1b[31m\x07\u202e"}),
        lambda d, t: d["conditioner"].update({"name": "\x1b[31m"}),
        lambda d, t: d["conditioner"]["parameters"].update({"\x1b[31m": 3}),
        lambda d, t: d["parameters"].update({"\x1b[31m": 3}),
        lambda d, t: d["parameters"].update({"precision": "\x1b[31m" * 10**5}),
        lambda d, t: d["history"][0].update({"dur": {"\x1b[31m": 3}}),
        lambda d, t: d.update({"\x1b[31m": 3}),
        lambda d, t: d["codec"].update({"dtype": "\x1b[31m\n"}),
        lambda d, t: t.update({"\x1b[31m\r" * 100: torch.ones(1)}),
        lambda d, t: d.update(format_version=10**4000),
    ],
)
def test_messages_have_nothing_of_a_file_that_a_terminal_obeys(change, fitted, path):
    fitted.save(path)
    rewrite(path, change)
    with pytest.raises((ModelFileError, ConditionerError)) as caught:
        load(path)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1_500


@pytest.mark.parametrize(
    ("conditioner", "height", "width", "n_filters"),
    [("film", 1, 2**18, 1), ("spatial", 512, 512, 1), ("spatial", 512, 512, 16)],
)
def test_the_last_check_takes_little_memory(conditioner, height, width, n_filters, monkeypatch):
    """However large the image is that a file claims."""
    scored = []

    def score(model, levels, modulations):
        scored.append(levels.shape)
        return torch.zeros(1)

    monkeypatch.setattr(ConditionalPixelCNN, "log_prob_as_is", score)
    model = ConditionalPixelCNN((1, height, width), 2, 2, conditioner, n_filters=n_filters, n_mixtures=1)
    if n_filters > 1:
        monkeypatch.setattr(model.conditioner, "forward", None)  # it would make too many values
    check_scores(model)
    assert scored == ([] if n_filters > 1 else [(1, 1, min(height, 2), min(width, 64))])


def test_every_temperature_of_use_comes_back(mine, path):
    for temperature in (1e-100, 0.01, 1, 10_000, 1e100):
        mine.temperature_ = temperature
        assert again(mine, path).temperature_ == temperature


def test_what_could_not_be_read_is_not_saved(mine, path, monkeypatch):
    mine.save(path)
    before = path.read_bytes()
    mine.classes_ = np.array(["ant", "bee", "c" * 1_001])
    with pytest.raises(ModelFileError, match=r"cannot be saved.* more than 1,000 characters"):
        mine.save(path)
    mine.classes_ = np.array(["ant", "bee", "cat"])
    with pytest.raises(ModelFileError, match=r"cannot be saved.* more than 500,000 values"):
        mine.save(path, card={"figures": [0] * 500_000})
    monkeypatch.setattr("gencls.model_files.container.LARGEST_FILE", 2**25 + 1_000)
    with pytest.raises(ModelFileError, match=r"cannot be saved.* bytes of weights, more than 1,000"):
        mine.save(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("card", [{"a": "x" * 10_000_000}, 3])
def test_a_card_that_is_too_large_is_not_repeated(card, fitted, path):
    with pytest.raises((ModelFileError, InvalidParameterError)) as caught:
        fitted.save(path, card={"wrong": {3}, "long": card})
    assert len(str(caught.value)) < 1_000


@pytest.mark.parametrize("path", [3, None, b"model", "a\0b", ""])
def test_what_is_no_path(path, fitted):
    for use in (load, read_card, fitted.save):
        with pytest.raises(InvalidParameterError, match="'path' must be a str or path-like"):
            use(path)


def test_no_file_is_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "model")
