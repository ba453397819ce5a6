"""Image files, and images of any size, as X: read, reduced as in training, or refused."""

from __future__ import annotations

import io
import tracemalloc
from copy import copy
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.model_selection import GridSearchCV
from small import NAMES, photographs, quick, same_predictions

from gencls import (
    GenerativeBayesClassifier,
    ImageFileError,
    InvalidInputError,
    MeanJointClassifier,
    NarrowRangeWarning,
    PixelClippingWarning,
    PixelScaleWarning,
    RandomCrop,
    ReadImages,
    Stage,
    load_pretrained,
)
from gencls.images import inputs, six_crops
from gencls.images.resizing import resize_images
from gencls.inference.scoring import Scorer


@pytest.fixture(scope="module")
def fitted():
    """A model of 5×5 pixels, of photographs of 10×10 pixels."""
    X, y = photographs(36, size=(10, 10))
    return quick(resolution=5, max_epochs=3, lr=0.01).fit(X, NAMES[y])


@pytest.fixture(scope="module")
def whole():
    """A model of the photographs themselves."""
    X, y = photographs(24, size=(6, 5))
    return quick(max_epochs=2, lr=0.01).fit(X, NAMES[y])


X, Y = photographs(12, seed=1, size=(10, 10))


def of_sizes(n=12, seed=1, smallest=10):
    """Photographs of different sizes, none smaller than this."""
    sizes = np.random.RandomState(seed).randint(smallest, smallest + 9, size=(n, 2))
    classes = np.arange(n) % 3
    return [
        photographs(3, seed=i, size=size)[0][c]
        for i, (size, c) in enumerate(zip(sizes, classes, strict=True))
    ]


def saved(images, folder):
    """Paths of images."""
    paths = [folder / f"{position}.png" for position in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path)
    return paths


def content(path):
    return Path(path).read_bytes()


FORMS = {
    "paths": lambda paths: paths,
    "words": lambda paths: [str(path) for path in paths],
    "tuple": tuple,
    "array of words": lambda paths: np.array([str(path) for path in paths]),
    "column of words": lambda paths: np.array([[str(path)] for path in paths]),
    "Series": lambda paths: pd.Series(paths, index=range(5, 5 + len(paths))),
    "frame": lambda paths: pd.DataFrame({"path": paths}),
    "rows of one field": lambda paths: [(path,) for path in paths],
    "bytes": lambda paths: [content(path) for path in paths],
    "files": lambda paths: [io.BytesIO(content(path)) for path in paths],
    "pictures": lambda paths: [Image.open(io.BytesIO(content(path))) for path in paths],
    "loaded pictures": lambda paths: [Image.fromarray(np.asarray(Image.open(path))) for path in paths],
    "paths and pictures": lambda paths: [*paths[:5], *map(Image.fromarray, X[5:])],
}


@pytest.mark.parametrize("form", FORMS)
def test_files_are_the_images_in_them(form, fitted, tmp_path):
    given = FORMS[form](saved(X, tmp_path))
    np.testing.assert_array_equal(fitted.predict_joint_log_proba(given), fitted.predict_joint_log_proba(X))


@pytest.mark.parametrize("views", ["flips", "six-crops", ["flips", "six-crops"]], ids=str)
def test_views_of_files_are_those_of_the_images_in_them(views, fitted, tmp_path):
    clf, paths = copy(fitted).set_params(views=views), saved(X[:4], tmp_path)
    np.testing.assert_array_equal(clf.predict_proba(paths), clf.predict_proba(X[:4]))
    np.testing.assert_array_equal(clf.score_samples(paths), fitted.score_samples(X[:4]))


def test_files_may_be_read_in_threads(fitted, tmp_path):
    paths = saved(X, tmp_path)
    expected = fitted.predict_proba(paths)
    with joblib.parallel_config("threading", n_jobs=3):
        np.testing.assert_array_equal(fitted.predict_proba(paths), expected)


def test_every_method_reads_files(fitted, tmp_path):
    paths, y = saved(X, tmp_path), NAMES[Y]
    clf = copy(fitted)
    for name in ("predict", "predict_log_proba", "predict_joint_log_proba", "score_samples", "bits_per_dim"):
        np.testing.assert_array_equal(getattr(clf, name)(paths), getattr(clf, name)(X))
    for name in ("score", "log_likelihood", "bits_per_dim"):
        np.testing.assert_array_equal(getattr(clf, name)(paths, y), getattr(clf, name)(X, y))
    np.testing.assert_array_equal(*(clf.complete(each, 2, random_state=0)[0] for each in (paths, X)))
    assert copy(clf).calibrate(paths, y).temperature_ == copy(clf).calibrate(X, y).temperature_


SIZES = {"twice as large": (20, 20), "wide": (10, 33), "high": (21, 10), "smaller than in fit": (7, 8)}


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("views", [None, "six-crops"])
def test_other_sizes_are_reduced_to_the_size_of_fit_and_then_as_in_fit(views, size, fitted, tmp_path):
    clf = copy(fitted).set_params(views=views)
    images = photographs(6, seed=2, size=size)[0]
    small = ReadImages(size=(min(size[0], 10), min(size[1], 10))).transform(images)
    found = clf.predict_log_proba(images)
    np.testing.assert_array_equal(found, clf.predict_log_proba(list(small)))
    if min(size) >= 10:  # that of the images in fit
        np.testing.assert_array_equal(found, clf.predict_log_proba(small.reshape(6, -1)))
    elif views is None:
        levels = torch.from_numpy(resize_images(images, (5, 5))).movedim(-1, 1)
        np.testing.assert_array_equal(clf.predict_joint_log_proba(images), clf._scorer.joint(levels))
    for other in (list(images), torch.from_numpy(images), pd.Series(list(images)), saved(images, tmp_path)):
        np.testing.assert_array_equal(clf.predict_log_proba(other), found)


@pytest.mark.parametrize("views", [None, "flips", "six-crops"])
def test_images_of_several_sizes_are_scored_each_by_itself(views, fitted, tmp_path):
    clf, images = copy(fitted).set_params(views=views), of_sizes(4)
    one_by_one = np.concatenate([clf.predict_log_proba(image[None]) for image in images])
    for given in (images, pd.Series(images), list(map(torch.from_numpy, images)), saved(images, tmp_path)):
        np.testing.assert_allclose(clf.predict_log_proba(given), one_by_one, rtol=1e-5)


def test_members_of_an_ensemble_reduce_images_by_themselves(fitted, whole, tmp_path):
    members = [copy(fitted).set_params(views="flips"), fitted, whole]
    paths = saved(of_sizes(4), tmp_path)
    expected = np.mean([each._decision_table(paths) for each in members], axis=0)
    ensemble = MeanJointClassifier.from_fitted(members)
    np.testing.assert_allclose(ensemble.predict_joint_log_proba(paths), expected)


def test_samples_can_be_classified(fitted):
    """They have the size of the model, and are not resized at all."""
    drawn, _ = fitted.sample(6, random_state=0)
    levels = torch.from_numpy(drawn).movedim(-1, 1)
    np.testing.assert_array_equal(fitted.predict_joint_log_proba(drawn), fitted._scorer.joint(levels))


def test_views_of_a_model_of_whole_images_are_cut_out_of_the_original_files(whole, tmp_path):
    large = photographs(6, seed=3, size=(24, 20))[0]
    paths, small = saved(large, tmp_path), resize_images(large, (6, 5))
    np.testing.assert_array_equal(whole.predict_proba(paths), whole.predict_proba(small))
    clf = copy(whole).set_params(views="six-crops")
    crops = [whole.predict_joint_log_proba(crop.transform(large)) for _, crop in six_crops((6, 5))]
    np.testing.assert_allclose(clf._decision_table(paths), np.mean(crops, axis=0))
    assert not np.allclose(clf.predict_proba(paths), clf.predict_proba(small))
    np.testing.assert_array_equal(clf.score_samples(paths), whole.score_samples(small))


def test_a_loaded_and_a_pretrained_model_read_files(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    paths = saved(of_sizes(), tmp_path)
    loaded = GenerativeBayesClassifier.load(tmp_path / "model")
    assert same_predictions(loaded, fitted, paths)
    clf, small = load_pretrained("cpen455"), photographs(2, size=(16, 16))[0]
    large = np.kron(small, np.ones((2, 2, 1), np.uint8))
    expected = clf.predict_proba(ReadImages(size=16).transform(large))
    np.testing.assert_array_equal(clf.predict_proba(saved(large, tmp_path)), expected)
    np.testing.assert_array_equal(clf._encode_images(saved(small, tmp_path)), clf._encode_images(small))
    clf.set_params(resolution=16)
    np.testing.assert_array_equal(clf.predict_proba(large), expected)


def test_the_orientation_and_the_palette_of_files_are_respected(fitted, tmp_path):
    turned = Image.fromarray(X[0].transpose(1, 0, 2))  # upright after orientation 5
    exif = Image.Exif()
    exif[0x0112] = 5
    turned.save(tmp_path / "turned.png", exif=exif)
    coloured = Image.fromarray(X[1]).quantize(8)
    coloured.save(tmp_path / "palette.png")
    given = [tmp_path / "turned.png", tmp_path / "palette.png"]
    arrays = np.stack([X[0], np.asarray(coloured.convert("RGB"))])
    np.testing.assert_array_equal(
        fitted.predict_joint_log_proba(given), fitted.predict_joint_log_proba(arrays)
    )


# Layout, channels and range


def grey(n=12):
    images, y = photographs(n, size=(8, 6))
    return images[..., 0], y


LAYOUTS: dict[str, tuple[Any, dict[str, Any], str]] = {
    "grey": (lambda images: images[..., 0], {}, "L"),
    "flat grey": (lambda images: images[..., 0].reshape(12, -1), {"image_shape": (8, 6)}, "L"),
    "grey with an axis": (lambda images: images[..., :1], {}, "L"),
    "channels last": (lambda images: images, {}, "RGB"),
    "channels first": (lambda images: images.transpose(0, 3, 1, 2), {"channel_axis": 1}, "RGB"),
    "flat": (lambda images: images.reshape(12, -1), {"image_shape": (8, 6, 3)}, "RGB"),
}
RANGES = {
    "bytes": lambda images: images,
    "floats from 0 to 1": lambda images: images / 255,
    "float32": lambda images: (images / 255).astype(np.float32),
    "from -1 to 1": lambda images: images / 127.5 - 1,
    "integers": lambda images: images.astype(np.int64),
    "few levels": lambda images: np.rint(images / 17),
}


COMBINED = [(layout, "bytes") for layout in LAYOUTS] + [("channels last", scale) for scale in RANGES]


@pytest.mark.parametrize(("layout", "scale"), COMBINED)
def test_files_are_converted_to_the_layout_and_the_range_of_the_model(layout, scale):
    images, y = photographs(12, size=(8, 6))
    images[0, 0, 0], images[0, 0, 1] = 0, 255  # the whole range
    if scale == "few levels":
        images = 17 * np.rint(images / 17).astype(np.uint8)
    arrange, parameters, mode = LAYOUTS[layout]
    given = RANGES[scale](arrange(images))
    pictures = [Image.fromarray(image if mode == "RGB" else image[..., 0]) for image in images]
    clf = quick(resolution=4, **parameters).fit(given, y)
    found, expected = (clf._encode_images(each).numpy().astype(int) for each in (pictures, given))
    # Files are reduced as bytes, and other numbers as floats.
    assert np.abs(found - expected).max() <= (0 if scale == "bytes" else 1)
    whole = clf.set_params(resolution=None).fit(given, y)
    np.testing.assert_array_equal(whole._encode_images(pictures), whole._encode_images(given))


def test_colours_become_grey_as_by_the_reader(tmp_path):
    images, y = grey()
    clf = quick().fit(images, y)
    paths = saved(photographs(6, size=(8, 6))[0], tmp_path)
    expected = clf.predict_proba(ReadImages(size=(8, 6), mode="L").transform(paths))
    np.testing.assert_array_equal(clf.predict_proba(paths), expected)
    rgba, y = photographs(6, size=(8, 6), channels=4)
    assert quick().fit(rgba, y).predict([Image.fromarray(image) for image in rgba]).shape == (6,)


def test_black_files_are_on_the_scale_of_the_model(whole):
    assert whole.predict([Image.new("RGB", (9, 9))]).shape == (1,)


def test_arrays_of_other_sizes_have_the_scale_of_fit(fitted):
    images = of_sizes(4)
    with pytest.warns(PixelScaleWarning, match="fractions"):
        fitted.predict([image / 255 for image in images])
    with pytest.raises(InvalidInputError, match="scale"):
        copy(fitted).calibrate([image / 255 for image in images], NAMES[[0, 1, 2, 0]])
    with pytest.warns(PixelClippingWarning):
        fitted.predict([image + 100.0 for image in images])


def test_remarks_on_files_are_warnings(whole, tmp_path):
    Image.fromarray((np.arange(64, dtype=np.uint16) * 20).reshape(8, 8)).save(tmp_path / "deep.png")
    with pytest.warns(NarrowRangeWarning, match=r"1 of 1 images.*deep\.png"):
        whole.predict([tmp_path / "deep.png"])


# Mistakes


@pytest.fixture
def broken(tmp_path):
    """Paths, most of which are not images of a sufficient size."""
    paths = saved([X[0], X[1], X[2][:4]], tmp_path)
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "folder").mkdir()
    return [*paths, *(tmp_path / name for name in ("text.png", "folder", "absent.png")), "http://a.b/c.png"]


@pytest.mark.parametrize("views", [None, "six-crops"])
def test_all_unreadable_files_are_listed_before_anything_is_scored(views, fitted, broken, monkeypatch):
    clf = copy(fitted).set_params(views=views)
    monkeypatch.setattr(Scorer, "joint", None)
    with pytest.raises(ImageFileError, match="5 of the 7 images") as caught:
        clf.predict(broken)
    assert caught.value.positions == [2, 3, 4, 5, 6]
    assert caught.value.sources == broken[2:]
    for path, message in zip(broken[2:], caught.value.messages, strict=True):
        assert str(path) in message
    words = ("fewer than the 5×5", "none of the formats", "folder", "does not exist", "URL")
    for word, message in zip(words, caught.value.messages, strict=True):
        assert word in message


MISTAKES = {
    "a path": ("a.png", r"\[X\]"),
    "a Path": (Path("a.png"), r"\[X\]"),
    "a picture": (Image.new("RGB", (8, 8)), r"\[X\]"),
    "a photograph": (X[0], r"\(10, 3\).*\[X\]"),
    "a photograph of another size": (np.zeros((30, 40, 3), np.uint8), r"\(40, 3\).*\[X\]"),
    "a generator": ((path for path in ["a.png"]), "Convert it to a list"),
    "a set": ({"a.png"}, "Convert it to a list"),
    "arrays after a file": (["a.png", X[0]], r"X\[0\] is 'a.png' and X\[1\] is a ndarray"),
    "files after an array": ([X[0], X[1], "a.png"], r"X\[2\] is 'a.png'"),
    "files after arrays of several sizes": ([X[0], X[1][:7], "a.png"], r"X\[2\] is 'a.png'"),
    "None among files": (["a.png", None], r"X\[1\] is None"),
    "NaN in a column of paths": (pd.Series(["a.png", np.nan]), r"X\[1\] is nan"),
    "None among arrays": ([X[0], X[1][:7], None], r"X\[2\] is None"),
    "files with labels": ([("a.png", "ant"), ("b.png", "bee")], "ReadImages|pair"),
    "a frame of paths and labels": (pd.DataFrame({"path": ["a.png"], "y": [1]}), r"X\['path'\]"),
    "channels first": (X.transpose(0, 3, 1, 2), "as in fit.*moveaxis"),
    "channels first, of another size": (np.zeros((2, 3, 30, 40), np.uint8), r"as in fit.*\(3, 30, 40\)"),
    "grey": (X[..., 0], "as in fit"),
    "opaque": (np.zeros((2, 30, 40, 4), np.uint8), r"as in fit.*\(30, 40, 4\)"),
    "rows of another length": (X.reshape(12, -1)[:, :-3], "297 features"),
    "colour and grey": ([X[0], X[1][..., 0]], r"X\[1\] must have the shape \(H, W, 3\), got \(10, 10\)"),
    "too few rows": (X[:, :4], "4 rows and 10 columns.*5×5"),
    "too few columns of one": ([X[0], X[1][:, :3]], r"X\[1\] has 10 rows and 3 columns"),
    "no pixels": ([X[0], X[1][:0]], r"X\[1\] has 0 rows"),
    "NaN in one of several sizes": ([X[0], np.full((9, 9, 3), np.nan)], r"X\[1\] must have only finite"),
    "NaN in another size": (np.full((2, 9, 9, 3), np.nan), "finite|NaN"),
    "complex": ([X[0], X[1][:8] * 1j], r"X\[1\] must have only finite real"),
    "words": ([X[0], np.full((9, 9, 3), "red")], "only numbers, got .*red"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_other_inputs_are_refused_with_advice(name, fitted):
    given, words = MISTAKES[name]
    with pytest.raises(InvalidInputError, match=words) as caught:
        fitted.predict(given)
    assert len(str(caught.value)) < 1000


def test_without_a_resolution_arrays_of_other_sizes_are_errors(whole):
    for given in (X, list(X)):
        with pytest.raises(InvalidInputError, match=r"\(6, 5, 3\) as in fit.*set resolution=\(6, 5\)"):
            whole.predict(given)
    with pytest.raises(InvalidInputError, match=r"same shape.*resolution.*ReadImages"):
        whole.predict([X[0], X[1][:8]])
    allowed = copy(whole).set_params(resolution=(6, 5))
    np.testing.assert_array_equal(allowed.predict_proba(X), whole.predict_proba(resize_images(X, (6, 5))))


def test_models_of_two_channels_read_no_files(tmp_path):
    images, y = photographs(12, channels=2)
    clf = quick(resolution=4).fit(images, y)
    with pytest.raises(InvalidInputError, match="images with 2 channels"):
        clf.predict(saved(X, tmp_path))
    assert clf.predict([images[0], images[1][:6]]).shape == (2,)


# Training


def test_training_on_files_is_training_on_the_images_in_them(tmp_path):
    paths = saved(X, tmp_path)
    for parameters in ({}, {"augmentation": RandomCrop(0.7)}, {"stages": [Stage(1, resolution=4), Stage(1)]}):
        options = parameters | {"resolution": 5, "early_stopping": True, "validation_fraction": 0.5}
        one, other = quick(**options).fit(paths, NAMES[Y]), quick(**options).fit(X, NAMES[Y])
        assert same_predictions(one, other, X)
        assert one.history_[-1]["valid_bpd"] == other.history_[-1]["valid_bpd"]
        assert one.image_shape_ == (10, 10, 3)


@pytest.mark.parametrize("axis", [-1, 1])
@pytest.mark.parametrize("resolution", [(3, 4), (5, 4), 8], ids=str)
def test_images_of_several_sizes_are_kept_at_no_more_than_four_times_the_resolution(
    resolution, axis, tmp_path
):
    images, paths = of_sizes(smallest=12), saved(of_sizes(smallest=12), tmp_path)
    largest = np.max([image.shape[:2] for image in images], axis=0)
    size = tuple(np.minimum(largest, 4 * np.broadcast_to(resolution, 2)))
    clf = quick(resolution=resolution, channel_axis=axis).fit(paths, NAMES[Y])
    assert clf.codec_.native_size == size
    assert clf.image_shape_ == ((*size, 3) if axis == -1 else (3, *size))
    arrays = images if axis == -1 else [image.transpose(2, 0, 1) for image in images]
    other = quick(resolution=resolution, channel_axis=axis).fit(arrays, NAMES[Y])
    assert other.image_shape_ == clf.image_shape_
    np.testing.assert_array_equal(clf.score_samples(paths), other.score_samples(arrays))


def test_the_largest_resolution_of_the_stages_counts():
    clf = quick(stages=[Stage(1, resolution=(5, 3)), Stage(1, resolution=4)]).fit(of_sizes(smallest=20), Y)
    assert clf.image_shape_ == (20, 16, 3)


def test_images_are_reduced_in_training_as_in_prediction(monkeypatch):
    """Where no image has to be enlarged."""
    images, levels = of_sizes(smallest=20), []
    clf = quick(resolution=5)
    split = clf._split

    def spy(samples, *args):
        levels.append(samples.levels)
        return split(samples, *args)

    monkeypatch.setattr(clf, "_split", spy)
    clf.fit(images, Y)
    np.testing.assert_array_equal(levels[0], clf._encode_images(images))


def test_the_shape_at_which_images_are_kept_can_be_given(tmp_path):
    images, y = of_sizes(), NAMES[Y]
    colour = quick(resolution=4, image_shape=(9, 7, 3)).fit(images, y)
    assert colour.image_shape_ == (9, 7, 3)
    dark = quick(resolution=4, image_shape=(9, 7)).fit(saved(images, tmp_path), y)
    assert dark.image_shape_ == (9, 7)
    assert dark.sample(2)[0].shape == (2, 4, 4)
    with pytest.raises(InvalidInputError, match=r"X\[0\] must have the shape \(H, W\)"):
        quick(resolution=4, image_shape=(9, 7)).fit(images, y)


def test_grey_files_make_a_grey_model(tmp_path):
    images = of_sizes()
    flat = [np.repeat(image[..., :1], 3, axis=2) for image in images]
    clf = quick(resolution=4).fit(saved(flat, tmp_path), Y)
    assert clf.image_shape_ == (16, 16)
    mixed = quick(resolution=4).fit(saved([*flat[1:], images[0]], tmp_path), np.roll(Y, -1))
    assert mixed.image_shape_ == (16, 16, 3)
    arrays = quick(resolution=4).fit([image[..., 0] for image in images], Y)
    assert arrays.image_shape_ == (16, 16)


def test_floats_of_several_sizes():
    images = [image / 255 for image in of_sizes()]
    clf = quick(resolution=4).fit(images, Y)
    assert clf.codec_.dtype_ == np.float64
    assert clf.codec_.high_ <= 1
    assert np.isfinite(clf.score_samples(images)).all()


def test_files_continue_a_training_and_are_held_out(tmp_path):
    images, y = of_sizes(), NAMES[Y]
    paths = saved(images, tmp_path)
    for continued in (
        lambda clf, given: clf.partial_fit(given, y),
        lambda clf, given: clf.set_params(warm_start=True).fit(given, y),
        lambda clf, given: clf.fit(X, y, X_val=given, y_val=y),
    ):
        one, other = (quick(resolution=5).fit(X, y) for _ in range(2))
        continued(one, paths)
        continued(other, ReadImages(size=10).transform(paths))
        assert same_predictions(one, other, X)
        assert one.history_[-1].keys() == other.history_[-1].keys()
    scaled = quick(resolution=5).fit(X / 255, y)
    assert scaled.partial_fit(paths, y).n_iter_ == 2


def test_searches_and_ensembles_take_files(tmp_path):
    paths = saved(of_sizes(), tmp_path)
    search = GridSearchCV(quick(), {"resolution": [3, 4]}, cv=2, error_score="raise").fit(paths, NAMES[Y])
    assert search.predict(paths[:2]).shape == (2,)
    members = [quick(resolution=3), quick(resolution=4, views="six-crops")]
    ensemble = MeanJointClassifier(members).fit(paths, NAMES[Y])
    assert ensemble.predict(paths).shape == (12,)
    assert 0 <= ensemble.score(paths, NAMES[Y]) <= 1


def test_without_a_resolution_there_is_no_training_on_files(tmp_path):
    paths = saved(X, tmp_path)
    with pytest.raises(InvalidInputError, match=r"parameter resolution.*ReadImages"):
        quick().fit(paths, Y)
    with pytest.raises(InvalidInputError, match=r"same shape.*parameter resolution"):
        quick().fit(of_sizes(), Y)


def test_training_names_what_does_not_fit(broken, monkeypatch):
    clf = quick(resolution=5)
    with pytest.raises(ImageFileError, match="5 of the 7 images"):
        clf.fit(broken, [0, 1] * 3 + [0])
    assert not vars(clf).keys() & {"classes_", "codec_", "net_"}
    with pytest.raises(InvalidInputError, match=r"X\[1\] has 10 rows and 4 columns, fewer than the 5×5"):
        clf.fit([X[0], X[1][:, :4]], [0, 1])
    with pytest.raises(InvalidInputError, match=r"X_val and y_val.*does not exist"):
        clf.fit(X, Y, X_val=["absent.png"], y_val=[0])
    monkeypatch.setattr(inputs, "read_all", None)  # nothing is read before the labels are counted
    with pytest.raises(InvalidInputError, match=r"\[7, 2\]"):
        clf.fit(broken, [0, 1])


def test_originals_are_not_kept_in_memory(fitted, tmp_path):
    original = photographs(1, size=(600, 500))[0][0]
    paths = saved([original] * 12, tmp_path)
    for clf in (fitted, copy(fitted).set_params(views="six-crops")):
        tracemalloc.start()
        next(clf._encode_views(paths, clf.views))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 4 * original.nbytes
