"""A file whose checksum is right and whose content is not: an error says what is wrong with it."""

from __future__ import annotations

import copy
import math
import random
import resource

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from saved import load, quick, saved, shades

from gencls import Flip, Hybrid, ModelFileError, PluginError, RandomCrop, Stage
from gencls.conditioners.low_rank import LowRank
from gencls.density import ConditionalPixelCNN
from gencls.model_files.container import (
    _checksum,
    _position_of_checksum,
    read_model_file,
    write_model_file,
)
from gencls.model_files.snapshot import APART, NOT_KEPT
from gencls.model_files.weights import check_scores


@pytest.fixture(scope="module")
def fitted():
    return saved()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def rewrite(path, change):
    description, tensors = read_model_file(path)
    change(description, tensors)
    write_model_file(path, {name: description[name] for name in description if name != "sha256"}, tensors)


def set_parameter(name, value):
    return lambda description, tensors: description["parameters"].update({name: value})


def test_a_file_from_before_a_parameter_was_there(fitted, path):
    fitted.save(path)
    rewrite(path, lambda description, tensors: description["parameters"].pop("views"))
    X, again = shades()[0], load(path)
    assert again.views is None
    np.testing.assert_array_equal(again.predict_joint_log_proba(X), fitted.predict_joint_log_proba(X))


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
            "unexpected keyword .* If a different version",
        ),
        *((set_parameter(name, "x"), f"must not have .*{name}") for name in (*NOT_KEPT, *APART)),
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
    clf.set_params(objective=Hybrid(weight=0.1), augmentation=[Flip(), RandomCrop()], views="flips")
    clf.set_params(resolution=1, stages=[Stage(1), Stage(1, lr=1e-4, augmentation=Flip(), resolution=(1, 2))])
    clf.set_params(validation_fraction=0.4).fit(frame, np.array(["ant", "bee", "cat"])[y])
    path = tmp_path_factory.mktemp("tiny") / "model"
    clf.save(path, card={"data": ["shades"]})
    return read_model_file(path)


@pytest.mark.filterwarnings("ignore::gencls.PixelClippingWarning")  # whole numbers beyond an odd range
def test_whatever_a_description_says_loading_gives_a_model_that_works_or_an_error(tiny, path):
    description, tensors = tiny
    rng = random.Random(0)
    loaded, messages = 0, []
    for place in list(leaves(description))[1:]:
        changed = copy.deepcopy(description)
        inner = changed
        for name in place[:-1]:
            inner = inner[name]
        inner[place[-1]] = rng.choice(EVIL)
        changed.pop("sha256", None)
        write_model_file(path, changed, tensors)
        try:
            clf = load(path)
        except (ModelFileError, PluginError) as error:
            messages.append(str(error))
        else:
            loaded += works(clf, path)
    assert loaded > 5
    assert [message for message in messages if not (message.isprintable() and len(message) < 3_000)] == []


ALTERATIONS = {
    "another byte": lambda content, at, byte: content[:at] + bytes([byte]) + content[at + 1 :],
    "one more byte": lambda content, at, byte: content[:at] + bytes([byte]) + content[at:],
    "one byte less": lambda content, at, byte: content[:at] + content[at + 1 :],
    "an end": lambda content, at, byte: content[:at],
}


@pytest.fixture(scope="module")
def small(tiny, tmp_path_factory):
    """The path of the smallest model, and its bytes."""
    path = tmp_path_factory.mktemp("small") / "model"
    description, tensors = tiny
    write_model_file(path, {name: description[name] for name in description if name != "sha256"}, tensors)
    return path, path.read_bytes()


@settings(max_examples=100)
@given(data=st.data(), how=st.sampled_from(sorted(ALTERATIONS)), byte=st.integers(0, 255))
def test_every_altered_file_is_refused(data, how, byte, small):
    path, content = small
    at = data.draw(st.integers(0, len(content) - 1))
    altered = ALTERATIONS[how](content, at, byte)
    path.write_bytes(altered)
    if altered == content:
        assert load(path).n_iter_ == 2
    else:
        with pytest.raises(ModelFileError):
            load(path)


@pytest.mark.filterwarnings("ignore::gencls.PixelClippingWarning")
@settings(max_examples=30)
@given(data=st.data(), byte=st.integers(0, 255))
def test_every_altered_file_with_its_checksum_works_or_is_refused(data, byte, small):
    path, content = small
    header = 8 + int.from_bytes(content[:8], "little")
    begin = content.index(b"format_version")
    altered = bytearray(content)
    altered[data.draw(st.integers(begin, header) | st.integers(header, len(content) - 1))] = byte
    start = _position_of_checksum(bytes(altered))
    altered[start : start + 64] = _checksum(bytes(altered)).encode()
    path.write_bytes(altered)
    try:
        clf = load(path)
    except (ModelFileError, PluginError) as error:
        assert str(error).isprintable()  # noqa: PT017
    else:
        assert works(clf, path)


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


def flip(**parameters):
    kind = "gencls.augmentations.flip:Flip"
    return {"name": "flip", "given_by_name": False, "class": kind, "parameters": parameters}


def stage(**settings):
    return {"settings": {"epochs": 1} | settings, "objective": None, "augmentation": None}


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
        (lambda d, t: d["codec"].update(resolution=[3, 4]), "smaller than resolution"),
        (lambda d, t: d["codec"].update(resolution=[3, True]), "resolution"),
        (lambda d, t: d["codec"].update(resolution=[2, 2]), r"resolution was \(2, 2\) and is \(3, 3\)"),
        (set_parameter("resolution", 2), r"resolution was \(3, 3\) and is \(2, 2\)"),
        (set_parameter("resolution", {"tuple": [3, 0]}), "resolution"),
        (set_parameter("views", ["flips", "x"]), "views"),
        (lambda d, t: d.update(symmetry=[flip()]), r"symmetry was \[Flip\(\)\] and is \[\]"),
        (lambda d, t: d.update(augmentation=flip()), r"symmetry was \[\] and is \[Flip\(\)\]"),
        (lambda d, t: d.update(symmetry=[flip()] * 9, augmentation=[flip()] * 9), "symmetry"),
        (lambda d, t: d.update(symmetry=[flip(rank=1)]), "'flip' has no parameter 'rank'"),
        (lambda d, t: d.update(symmetry=None), "symmetry"),
        (lambda d, t: d.update(augmentation=[flip()] * 101), "augmentation"),
        (lambda d, t: d.update(augmentation=[flip(more=1)]), "'flip' has no parameter 'more'"),
        (lambda d, t: d.update(augmentation="flip"), "augmentation"),
        (lambda d, t: d["objective"].update(parameters={"weight": -1}), "no parameter 'weight'"),
        (lambda d, t: d["objective"].update(name="hybrid", parameters={"weight": -1}), "'weight' of Hybrid"),
        (lambda d, t: d["objective"].pop("class"), "class is missing"),
        (lambda d, t: d.update(objective="likelihood"), "objective"),
        (lambda d, t: d.update(stages=[]), "stages"),
        (lambda d, t: d.update(stages=[stage()] * 1_001), "stages"),
        (lambda d, t: d.update(stages=[stage(lr=-1)]), "lr"),
        (lambda d, t: d.update(stages=[stage(epochs=0.5)]), "epochs"),
        (lambda d, t: d.update(stages=[stage(more=1)]), "more"),
        (lambda d, t: d.update(stages=[{"settings": {"epochs": 1}}]), "objective is missing"),
        (lambda d, t: d.update(stages=[stage() | {"augmentation": flip()}]), "symmetry was"),
        (lambda d, t: d.update(stages=[stage(resolution=2)]), "resolution was"),
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
        lambda d, t: d["parameters"].update({"views": "\x1b[31m" * 10**5}),
        lambda d, t: d["history"][0].update({"dur": {"\x1b[31m": 3}}),
        lambda d, t: d.update({"\x1b[31m": 3}),
        lambda d, t: d.update(symmetry=[flip() | {"name": "\x1b[31m", "class": "\x07"}]),
        lambda d, t: d.update(stages=[stage(**{"\x1b[31m" * 1_000: 1})]),
        lambda d, t: d["objective"]["parameters"].update({"\x1b[31m": 3}),
        lambda d, t: d["codec"].update({"dtype": "\x1b[31m\n"}),
        lambda d, t: t.update({"\x1b[31m\r" * 100: torch.ones(1)}),
        lambda d, t: d.update(format_version=10**4000),
    ],
)
def test_messages_have_nothing_of_a_file_that_a_terminal_obeys(change, fitted, path):
    fitted.save(path)
    rewrite(path, change)
    with pytest.raises((ModelFileError, PluginError)) as caught:
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

    monkeypatch.setattr(ConditionalPixelCNN, "network_log_prob", score)
    model = ConditionalPixelCNN((1, height, width), 2, 2, conditioner, n_filters=n_filters, n_mixtures=1)
    if n_filters > 1:
        monkeypatch.setattr(model.conditioner, "forward", None)  # it would make too many values
    check_scores(model)
    assert scored == ([] if n_filters > 1 else [(1, 1, min(height, 2), min(width, 64))])
