"""What a model file says of a fitted classifier, and how that becomes one again.

`_model_file` reads and writes files, `_json` values; here stands what is kept and what must hold of it.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import prod
from typing import Any, NamedTuple

import numpy as np
import sklearn
import torch
from torch import Tensor

from ._json import NUMBERS, from_json, to_json
from ._model_file import StrPath, read_description, read_model_file, write_model_file
from ._version import __version__
from .codec import ImageCodec
from .conditioners import Conditioner, get_conditioner, make_conditioner
from .conditioners.registry import registered_name
from .errors import ConditionerError, GenclsError, InvalidParameterError, ModelFileError
from .model import ConditionalPixelCNN

__all__ = ["FITTED", "Snapshot", "check_weights", "file_at_fault", "read_card", "read_model", "write_model"]

# What `fit` learns besides codec, weights and history; what an estimator does not have is left out.
FITTED = ("classes_", "class_count_", "class_prior_", "temperature_", "n_features_in_", "feature_names_in_")

# A device and a compiler belong to a machine, and net_params reaches into skorch and torch, which a file must
# not.
NOT_KEPT = ("conditioner", "device", "compile", "net_params")

MOST_MISTAKES = 3  # that one message lists
TENSORS_A_LAYER = 72  # at least: two convolutions of three tensors in each of twelve blocks


class Snapshot(NamedTuple):
    """A fitted classifier as a model file holds it.

    Attributes
    ----------
    parameters : dict
        Of the constructor.
    conditioner : Conditioner
        With its hyper-parameters.
    codec : ImageCodec
    fitted : dict
        The attributes that `FITTED` names.
    history : list of dict
        A row an epoch.
    n_steps : int
        Steps of training over which the weights are averaged.
    weights : dict of str to Tensor
        The averaged ones.
    """

    parameters: dict[str, Any]
    conditioner: Conditioner
    codec: ImageCodec
    fitted: dict[str, Any]
    history: list[dict[str, Any]]
    n_steps: int
    weights: dict[str, Tensor]


def write_model(
    path: StrPath,
    snapshot: Snapshot,
    model: Mapping[str, Any],
    *,
    half: bool = False,
    card: Mapping[str, Any] | None = None,
) -> None:
    """Write a model file, unless it could not be read again.

    Parameters
    ----------
    path : str or path-like
    snapshot : Snapshot
    model : mapping
        The parameters of `ConditionalPixelCNN` that the weights belong to.
    half, card
        As in `GenerativeBayesClassifier.save`.
    """
    description = _describe(snapshot) | {"card": _check_card(card)}
    weights = {name: _for_file(tensor, half) for name, tensor in snapshot.weights.items()}
    try:
        check_weights(model, weights)
    except ModelFileError as error:
        hint = " Save it with half=False." if half else ""
        raise ModelFileError(f"This model cannot be saved. {error}{hint}") from error
    write_model_file(path, description, weights)


def read_model(path: StrPath) -> Snapshot:
    """Read a model file; what it says is checked, but for the weights: that is left to `check_weights`."""
    description, weights = read_model_file(path)
    with file_at_fault(path):
        snapshot = _restore(description, weights)
        _check_fitted(snapshot)
    return snapshot


def read_card(path: StrPath) -> dict[str, Any]:
    """What a model file was told about its model by `GenerativeBayesClassifier.save(card=...)`.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    dict
        Empty if there is no card.

    Raises
    ------
    ModelFileError
        If the file is no model file, or damaged.
    """
    description = read_description(path)
    with file_at_fault(path):
        return dict(description["card"])


def check_weights(model: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
    """Raise unless weights are those of such a model; no memory is taken before that is known.

    Parameters
    ----------
    model : mapping
        The parameters of `ConditionalPixelCNN`.
    weights : mapping of str to Tensor
    """
    if TENSORS_A_LAYER * model["n_layers"] > len(weights):
        raise ModelFileError(f"{len(weights)} tensors are too few for n_layers={model['n_layers']}.")
    expected = _empty_weights(model)
    mistakes = [
        f"the tensor {name!r} {mistake}"
        for name in sorted(expected.keys() | weights.keys())
        if (mistake := _tensor_mistake(expected.get(name), weights.get(name)))
    ]
    if mistakes:
        listed = mistakes[:MOST_MISTAKES] + ["…"] * (len(mistakes) > MOST_MISTAKES)
        raise ModelFileError(f"The weights do not fit the model: {'; '.join(listed)}.")


def _empty_weights(model: Mapping[str, Any]) -> dict[str, Tensor]:
    """The weights of a model without their memory."""
    try:
        with torch.device("meta"):
            return ConditionalPixelCNN(**model).float().state_dict()
    except Exception as error:  # of a conditioner that others wrote
        raise ModelFileError(
            f"The model cannot be built on torch's device 'meta' ({type(error).__name__}: {error}). The "
            "conditioner's method build must not depend on the values of tensors."
        ) from error


@contextmanager
def file_at_fault(path: StrPath) -> Iterator[None]:
    """Whatever goes wrong in here is the file's fault, unless a conditioner is not installed."""
    try:
        yield
    except ConditionerError:
        raise
    except Exception as error:
        kind = "" if isinstance(error, GenclsError) else f"{type(error).__name__}: "
        reason = kind + str(error).rstrip(".")
        raise ModelFileError(
            f"{os.fspath(path)} holds no model that gencls {__version__} can build. {reason}. If it comes "
            "from another version of gencls, load it there."
        ) from error


# Writing


def _describe(snapshot: Snapshot) -> dict[str, Any]:
    kept = {name: value for name, value in snapshot.parameters.items() if name not in NOT_KEPT}
    rows = [{name: value for name, value in row.items() if name != "batches"} for row in snapshot.history]
    return {
        "versions": {
            "gencls": __version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "scikit-learn": sklearn.__version__,
            "torch": str(torch.__version__),
        },
        "parameters": _where_possible(kept),
        "conditioner": _describe_conditioner(snapshot),
        "codec": _describe_codec(snapshot.codec),
        "fitted": {name: _required(name, value) for name, value in snapshot.fitted.items()},
        "history": [_where_possible(row) for row in rows],
        "n_steps": snapshot.n_steps,
    }


def _describe_conditioner(snapshot: Snapshot) -> dict[str, Any]:
    given, kind = snapshot.parameters["conditioner"], type(snapshot.conditioner)
    hyper: dict[str, Any] = snapshot.conditioner.get_params(deep=False)  # type: ignore[operator]
    return {
        "name": given if isinstance(given, str) else registered_name(kind),
        "given_by_name": isinstance(given, str),
        "class": f"{kind.__module__}:{kind.__qualname__}",
        "parameters": {name: _required(f"conditioner__{name}", value) for name, value in hyper.items()},
    }


def _describe_codec(codec: ImageCodec) -> dict[str, Any]:
    if codec.dtype_.name not in NUMBERS:
        raise ModelFileError(
            f"Images of the dtype {codec.dtype_} cannot be saved. Fit on integers, or on floats of up to 64 "
            "bits."
        )
    return {
        "image_shape": list(codec.image_shape_),
        "sample_shape": list(codec.sample_shape_),
        "channel_axis": int(codec.channel_axis),
        "low": codec.low_,
        "high": codec.high_,
        "n_levels": codec.n_levels_,
        "dtype": codec.dtype_.name,
    }


def _where_possible(values: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON, without what JSON cannot hold."""
    written = {}
    for name, value in values.items():
        try:
            written[name] = to_json(value)
        except TypeError:
            continue
    return written


def _required(name: str, value: Any) -> Any:
    try:
        return to_json(value)
    except TypeError as error:
        raise ModelFileError(
            f"{name} cannot be saved, as {error}. A model file holds numbers, bools, strings, and lists, "
            "tuples, dicts and arrays of these; pickle takes anything."
        ) from error


def _check_card(card: Mapping[str, Any] | None) -> dict[str, Any]:
    """The card as `read_card` will give it."""
    try:
        return json.loads(json.dumps(dict(card or {})))
    except (TypeError, ValueError) as error:
        raise InvalidParameterError(
            f"The parameter 'card' of save must be a dict that JSON can hold, got {card!r} ({error})."
        ) from error


def _for_file(tensor: Tensor, half: bool) -> Tensor:
    """A copy that shares no memory with another tensor."""
    dtype = torch.float16 if half and tensor.dtype == torch.float32 else tensor.dtype
    return tensor.detach().to("cpu", dtype, copy=True, memory_format=torch.contiguous_format)


# Reading


def _restore(description: Mapping[str, Any], weights: dict[str, Tensor]) -> Snapshot:
    named = description["conditioner"]
    conditioner = _restore_conditioner(named)
    parameters = {name: from_json(value) for name, value in description["parameters"].items()}
    if not parameters.keys().isdisjoint(NOT_KEPT):
        raise ModelFileError(f"A model file must not set {', '.join(NOT_KEPT)}.")
    standard = named["given_by_name"] and repr(conditioner) == repr(make_conditioner(named["name"]))
    parameters["conditioner"] = named["name"] if standard else conditioner
    return Snapshot(
        parameters,
        conditioner,
        _restore_codec(description["codec"]),
        {name: from_json(value) for name, value in description["fitted"].items() if name in FITTED},
        [{name: from_json(value) for name, value in row.items()} for row in description["history"]],
        description["n_steps"],
        weights,
    )


def _restore_conditioner(named: Mapping[str, Any]) -> Conditioner:
    try:
        kind = get_conditioner(named["name"])
    except ConditionerError as error:
        raise ConditionerError(
            f"{error} The model was saved with the conditioner {named['class']}: install the package that "
            "provides it, or call register_conditioner before load."
        ) from error
    return kind(**{name: from_json(value) for name, value in named["parameters"].items()})


def _restore_codec(state: Mapping[str, Any]) -> ImageCodec:
    """Fit a codec on a single value: everything that it learns from images is given."""
    image_shape, sample_shape = (tuple(map(int, state[name])) for name in ("image_shape", "sample_shape"))
    low, high, n_levels = float(state["low"]), float(state["high"]), int(state["n_levels"])
    if not (np.isfinite(high - low) and low <= high and 2 <= n_levels <= 256 and min(image_shape) > 0):
        raise ModelFileError(f"No images of {image_shape} have {n_levels} levels from {low} to {high}.")
    if state["channel_axis"] not in (-1, 1) or state["dtype"] not in NUMBERS:
        raise ModelFileError(f"No images have channels at {state['channel_axis']} and are {state['dtype']}.")
    codec = ImageCodec(image_shape, state["channel_axis"], (low, high), n_levels)
    codec.fit(np.array([[low]]), sample_shape)
    codec.dtype_ = np.dtype(state["dtype"])
    return codec


def _check_fitted(snapshot: Snapshot) -> None:
    """Raise unless what was learned fits together."""
    fitted, n_features = snapshot.fitted, prod(snapshot.codec.image_shape_)
    classes = fitted["classes_"]
    n_classes = len(classes)
    holds = {
        "classes_": n_classes > 1 and np.array_equal(np.unique(classes), classes),
        "class_count_": _are_weights(fitted["class_count_"], n_classes),
        "class_prior_": _are_weights(fitted["class_prior_"], n_classes)
        and np.isclose(fitted["class_prior_"].sum(), 1),
        "temperature_": 0 < fitted["temperature_"] < np.inf,
        # Files from before 0.1.0 have H · W · C, whatever the layout of X was.
        "n_features_in_": fitted["n_features_in_"] in (snapshot.codec.sample_shape_[0], n_features),
        "n_steps": type(snapshot.n_steps) is int and snapshot.n_steps >= 0,
        "feature_names_in_": len(fitted.get("feature_names_in_", range(n_features))) == n_features,
    }
    wrong = [name for name, fits in holds.items() if not fits]
    if wrong:
        raise ModelFileError(f"What it says of {' and '.join(wrong)} is not what fit learns.")


def _are_weights(values: Any, n_classes: int) -> bool:
    return values.shape == (n_classes,) and bool(np.isfinite(values).all() and (values >= 0).all())


def _tensor_mistake(expected: Tensor | None, found: Tensor | None) -> str | None:
    """What is wrong with a tensor; half precision will do for single."""
    if found is None:
        return "is missing"
    if expected is None:
        return "is not part of it"
    if found.shape != expected.shape:
        return f"has the shape {tuple(found.shape)} and must have {tuple(expected.shape)}"
    if found.dtype not in {expected.dtype, torch.float16 if expected.dtype == torch.float32 else None}:
        return f"has the type {found.dtype} and must have {expected.dtype}"
    return None if found.isfinite().all() else "has values that are not finite"
