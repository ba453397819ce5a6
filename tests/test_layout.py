"""What users give as X becomes one array, or an error that says what to give."""

from __future__ import annotations

import array
import io
from collections import deque
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy.sparse import csr_array
from skorch.helper import SliceDataset
from torch.utils.data import DataLoader, TensorDataset

from gencls import InvalidInputError
from gencls.images.layout import as_input_errors, check_same_order, flatten_images

IMAGES = np.random.RandomState(0).randint(256, size=(5, 4, 3)).astype(np.uint8)
COLOURS = np.random.RandomState(0).uniform(size=(5, 4, 3, 3)).astype(np.float32)


def objects(items):
    column = np.empty(len(items), dtype=object)
    column[:] = list(items)
    return column


def dataset(images):
    return TensorDataset(torch.from_numpy(images), torch.arange(len(images)))


CONTAINERS: dict[str, Callable] = {
    "array": lambda images: images,
    "list of arrays": list,
    "tuple of arrays": tuple,
    "deque of arrays": deque,
    "nested lists": lambda images: images.tolist(),
    "list of nested lists": lambda images: [image.tolist() for image in images],
    "object array": objects,
    "object array of lists": lambda images: objects([image.tolist() for image in images]),
    "Series of arrays": lambda images: pd.Series(list(images), index=list("vwxyz")),
    "Series of lists": lambda images: pd.Series([image.tolist() for image in images]),
    "frame of one column": lambda images: pd.DataFrame({"image": list(images)}),
    "objects in a column": lambda images: objects(images)[:, None],
    "data set of one field": lambda images: TensorDataset(torch.from_numpy(images)),
    "tensor": torch.from_numpy,
    "list of tensors": lambda images: list(torch.from_numpy(images)),
    "Series of tensors": lambda images: pd.Series(list(torch.from_numpy(images))),
    "SliceDataset": lambda images: SliceDataset(dataset(images)),
    "masked array without a mask": np.ma.array,
    "read-only": lambda images: np.broadcast_to(images, images.shape),
}


@pytest.mark.parametrize("images", [IMAGES, COLOURS, IMAGES.reshape(5, 12)], ids=["grey", "colour", "rows"])
@pytest.mark.parametrize("container", CONTAINERS)
def test_every_collection_of_images_is_stacked(container, images):
    rows, shape = flatten_images(CONTAINERS[container](images))
    assert shape == images.shape
    np.testing.assert_allclose(rows, images.reshape(5, -1), rtol=1e-7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.bool])
@pytest.mark.parametrize("needs_gradient", [False, True])
def test_tensors_of_every_type(dtype, needs_gradient):
    tensor = torch.from_numpy(IMAGES).to(dtype)
    if dtype.is_floating_point:
        tensor.requires_grad_(needs_gradient)
    for given in (tensor, list(tensor)):
        rows, shape = flatten_images(given)
        assert shape == (5, 4, 3)
        np.testing.assert_array_equal(rows, tensor.detach().double().numpy().reshape(5, 12))


def test_frames_of_numbers_are_returned_unchanged():
    frame = pd.DataFrame(IMAGES.reshape(5, 12))
    rows, shape = flatten_images(frame)
    assert rows is frame
    assert shape == (5, 12)
    one = frame[[0]]
    assert flatten_images(one)[0] is one


PICTURE = Image.fromarray(IMAGES[0])
FILES = {
    "path": "photo.png",
    "Path": Path("photo.png"),
    "bytes": b"\x89PNG",
    "picture": PICTURE,
    "list of paths": ["a.png", "b.png"],
    "list of Paths": [Path("a.png")],
    "tuple of bytes": (b"\x89PNG",),
    "array of paths": np.array(["a.png", "b.png"]),
    "objects of paths": np.array(["a.png", "b.png"], dtype=object),
    "Series of paths": pd.Series(["a.png", "b.png"]),
    "frame of paths": pd.DataFrame({"path": ["a.png", "b.png"]}),
    "list of pictures": [PICTURE, PICTURE],
    "pictures of several modes": [PICTURE, PICTURE.convert("RGB")],
    "Series of pictures": pd.Series([PICTURE, PICTURE]),
    "a path among arrays": [IMAGES[0], "b.png"],
    "a path among numbers": [3, "b.png"],
    "paths in a column": np.array([["a.png"], ["b.png"]]),
    "objects of paths in a column": np.array([["a.png"], ["b.png"]], dtype=object),
    "paths in rows": np.array([["a.png", "b.png"]]),
    "paths and labels": [("a.png", 0), ("b.png", 1)],
    "file": io.BytesIO(b"\x89PNG"),
    "list of files": [io.BytesIO(b"\x89PNG")],
}


@pytest.mark.parametrize("name", FILES)
def test_errors_about_files_recommend_the_reader(name):
    with pytest.raises(InvalidInputError, match="ReadImages") as caught:
        flatten_images(FILES[name])
    assert "make_pipeline" in str(caught.value)


REFUSED = {
    "pairs": (list(zip(IMAGES, range(5), strict=True)), "pair.*zip"),
    "pairs of lists": ([[image, "cat"] for image in IMAGES], "pair.*zip"),
    "pairs of pictures": ([(PICTURE, 3)], "pair.*zip"),
    "pairs of rows": (list(zip(IMAGES.reshape(5, 12), range(5), strict=True)), "pair.*zip"),
    "triples": ([(image, 3, "train") for image in IMAGES], "pair.*zip"),
    "data set of torch": (dataset(IMAGES), "pair.*zip"),
    "loader of torch": (DataLoader(dataset(IMAGES)), "Convert it to a list"),
    "generator": ((image for image in IMAGES), "Convert it to a list"),
    "map": (map(np.asarray, IMAGES), "Convert it to a list"),
    "set": ({1, 2}, "Convert it to a list"),
    "dict": ({"image": IMAGES}, "keys"),
    "rows of dicts": ([{"image": PICTURE, "label": 3}], "keys"),
    "sizes": ([np.zeros((40, 60, 3)), np.zeros((50, 30, 3))], r"same shape.*\(40, 60, 3\).*ReadImages\(size"),
    "sizes in a Series": (pd.Series([np.zeros((4, 6)), np.zeros((5, 3))]), "same shape.*ReadImages"),
    "sizes of tensors": ([torch.zeros(4, 6), torch.zeros(5, 3)], "same shape.*ReadImages"),
    "grey and colour": ([np.zeros((4, 6)), np.zeros((4, 6, 3))], "same shape.*ReadImages"),
    "ragged lists": ([[1, 2], [1]], "same shape"),
    "ragged nested lists": ([[[1, 2], [1]], [[1, 2], [1]]], r"X\[0\]"),
    "None among images": ([IMAGES[0], None], r"X\[1\] is None"),
    "None": (None, "got None"),
    "a number": (3.0, "Reshape"),
    "numbers": ([1.0, 2.0], "Reshape"),
    "NaN among images": ([IMAGES[0], np.nan], r"X\[1\] is nan"),
    "NaN in a Series": (pd.Series([IMAGES[0], np.nan]), r"X\[1\] is nan"),
    "words": (np.array([["a", "b"]]), "numbers, got .*'a'.*ReadImages"),
    "words in lists": ([["1", "2"], ["3", "4"]], "numbers, got .*'1'.*astype"),
    "words among objects": (np.array([["1", 2]], dtype=object), "numbers, got '1'"),
    "bytes in rows": (np.array([[b"a", b"b"]]), "numbers, got .*b'a'.*ReadImages"),
    "dates": (np.zeros((2, 4), dtype="datetime64[s]"), "numbers, got datetime64"),
    "durations": (np.zeros((2, 4), dtype="timedelta64[s]"), "numbers, got timedelta64"),
    "fields": (np.zeros((2, 4), dtype=[("r", "u1"), ("g", "u1")]), r"fields \('r', 'g'\)"),
    "sparse": (csr_array(np.eye(3)), "dense.*toarray"),
    "masked": (np.ma.array(IMAGES, mask=IMAGES > 200), "masked.*filled"),
    "masked images": (list(np.ma.array(IMAGES, mask=IMAGES > 200)), "masked"),
    "sparse tensor": (torch.eye(3).to_sparse(), "Tensor"),
    "meta tensor": (torch.zeros(3, 4, device="meta"), "Tensor"),
    "five dimensions": (np.zeros((2, 1, 2, 2, 3)), "5: the shape"),
    "a frame of images and labels": (
        pd.DataFrame({"label": range(5), "image": list(IMAGES)}),
        r"column 'image'.*X\['image'\]",
    ),
    "a frame of paths and labels": (
        pd.DataFrame({"label": range(2), "path": ["a.png", "b.png"]}),
        r"column 'path'",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_invalid_collections_are_refused_with_advice(name):
    given, words = REFUSED[name]
    with pytest.raises(InvalidInputError, match=words) as caught:
        flatten_images(given)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    "given",
    ["x" * 10**6, [b"x" * 10**6], {"k" * 10**6: 1}, [{"k" * 10**6: 1}], [(IMAGES[0], "x" * 10**6)]],
    ids=["text", "bytes", "dict", "rows", "pairs"],
)
def test_messages_about_large_values_are_short(given):
    with pytest.raises(InvalidInputError) as caught:
        flatten_images(given)
    assert len(str(caught.value)) < 1000


def test_other_arrays_of_python():
    numbers = memoryview(array.array("d", range(6))).cast("B").cast("d", (2, 3))
    rows, shape = flatten_images(numbers)
    assert shape == (2, 3)
    np.testing.assert_array_equal(rows, np.arange(6.0).reshape(2, 3))


def test_errors_of_other_packages_keep_their_message_up_to_a_length():
    with pytest.raises(InvalidInputError, match=r"^bad value$"), as_input_errors():
        raise ValueError("bad value")
    with pytest.raises(InvalidInputError) as caught, as_input_errors():
        raise TypeError("x" * 10**6)
    assert isinstance(caught.value, TypeError)
    assert len(str(caught.value)) < 1000
    with pytest.raises(KeyError), as_input_errors():
        raise KeyError(3)


def test_an_index_in_a_different_order_is_refused():
    X = pd.DataFrame(np.eye(4), index=[7, 3, 5, 1])
    y = pd.Series([0, 1, 0, 1], index=X.index)
    check_same_order(X, y, "X and y")
    check_same_order(X, y.to_numpy()[::-1], "X and y")
    check_same_order(X, y.reset_index(drop=True), "X and y")
    check_same_order(X, y.set_axis([7, 3, 5, 2]), "X and y")
    with pytest.raises(InvalidInputError, match="X and y have the same index"):
        check_same_order(X, y.sort_index(), "X and y")
    check_same_order(pd.Series([0, 1, 0, 1]), y.set_axis([3, 2, 0, 1]), "a frame of the values, and y")
