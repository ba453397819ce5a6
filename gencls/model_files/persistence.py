"""What a model file says of a fitted classifier, and how that becomes one again.

`_model_file` reads and writes files, `_json` values, `_description` has a rule for each field; here stands
what is kept, and what must hold between its parts. What `write_model` writes, `read_model` accepts.
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
from torch.overrides import TorchFunctionMode

from .._common.validation import Rule, printable, shortened
from .._version import __version__
from ..conditioners import CONDITIONERS, Conditioner, get_conditioner, make_conditioner
from ..density.model import ConditionalPixelCNN
from ..errors import ConditionerError, GenclsError, InvalidParameterError, ModelFileError
from ..images.codec import ImageCodec
from ..pixelcnn import upper_left
from .container import StrPath, check_claims, read_description, read_model_file, write_model_file
from .fields import (
    CODEC,
    CONDITIONER,
    DESCRIPTION,
    LEARNED,
    LONGEST_NAME,
    PARAMETERS,
    ROW,
    check_fields,
    first_of,
)
from .json_values import NUMBERS, from_json, parse_json, to_json

__all__ = [
    "FITTED",
    "Snapshot",
    "check_scores",
    "check_weights",
    "file_at_fault",
    "read_card",
    "read_model",
    "write_model",
]

FITTED = tuple(LEARNED)  # what an estimator does not have is left out

# A device and a compiler belong to a machine, and net_params reaches into skorch and torch, which a file must
# not.
NOT_KEPT = ("conditioner", "device", "compile", "net_params")

TENSORS_A_LAYER = 72  # at least: two convolutions of three tensors in each of twelve blocks
LARGEST_WEIGHT = 65_504  # the largest number of half precision
MOST_SCORED = 64  # classes
MOST_MODULATED = 2**24  # values that a conditioner may make of them
CORNER = (2, 64)  # rows and columns
LONGEST_REASON = 2_000  # characters that a message repeats of another


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
    trained: ConditionalPixelCNN,
    rules: Mapping[str, Rule],
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
    trained : ConditionalPixelCNN
        With these weights.
    rules : mapping of str to Rule
        What each parameter of the constructor must be.
    half, card
        As in `GenerativeBayesClassifier.save`.
    """
    description = _describe(snapshot) | {"card": _check_card(card)}
    weights = {name: _for_file(tensor, half) for name, tensor in snapshot.weights.items()}
    with _not_to_be_saved():
        check_claims(description, weights)
        _restore(parse_json(json.dumps(description)), weights, rules)
        check_weights(model, weights)
        check_scores(trained)
    write_model_file(path, description, weights)


def read_model(path: StrPath, rules: Mapping[str, Rule]) -> Snapshot:
    """Read a model file, whose parameters must follow the rules; the weights are left to `check_weights`."""
    description, weights = read_model_file(path)
    with file_at_fault(path):
        return _restore(description, weights, rules)


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
        check_fields("the description", description, DESCRIPTION)
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
    mistakes = first_of(
        f"the tensor {shortened(name)} {mistake}"
        for name in sorted(expected.keys() | weights.keys())
        if (mistake := _tensor_mistake(expected.get(name), weights.get(name)))
    )
    if mistakes:
        raise ModelFileError(f"The weights do not fit the model: {mistakes}.")


def check_scores(model: ConditionalPixelCNN) -> None:
    """Raise unless a corner of an image has a finite score: weights can be finite and make none.

    Nothing is scored where what a conditioner makes of a class can be too large, as maps over an image are.
    """
    per_class = sum(site.channels * site.height * site.width for site in model.network.sites)
    n_scored = min(model.n_classes, MOST_SCORED, MOST_MODULATED // per_class)
    if n_scored == 0:
        return
    channels, *size = model.image_shape
    height, width = map(min, size, CORNER)
    levels = torch.zeros(1, channels, height, width, dtype=torch.uint8, device=model.device)
    classes = torch.arange(n_scored, device=model.device)
    compiled, model.network.compiled = model.network.compiled, False  # it is not worth compiling
    try:
        with torch.inference_mode():
            modulations = upper_left(model.eval().modulate_classes(classes), height, width)
            scores = model.log_prob_as_is(levels, modulations)
    finally:
        model.network.compiled = compiled
    if not scores.isfinite().all():
        raise ModelFileError("Its weights give an image no finite probability.")


def _empty_weights(model: Mapping[str, Any]) -> dict[str, Tensor]:
    """The weights of a model without their memory."""
    try:
        with _Uninitialised(), torch.device("meta"):
            return ConditionalPixelCNN(**model).float().state_dict()
    except GenclsError:
        raise
    except Exception as error:  # of a conditioner that others wrote
        raise ModelFileError(
            f"The model cannot be built on torch's device 'meta' ({type(error).__name__}: {error}). The "
            "conditioner's method build must not depend on the values of tensors."
        ) from error


class _Uninitialised(TorchFunctionMode):
    """While this is open, torch.nn.init leaves tensors as they are: those without memory have no values."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return func(*args, **kwargs)


@contextmanager
def file_at_fault(path: StrPath) -> Iterator[None]:
    """Whatever goes wrong in here is the file's fault, unless a conditioner is not installed."""
    try:
        yield
    except ConditionerError:
        raise
    except Exception as error:
        raise ModelFileError(
            f"{printable(os.fsdecode(path))} holds no model that gencls {__version__} can build. "
            f"{_reason(error)}. If it comes from another version of gencls, load it there."
        ) from error


@contextmanager
def _not_to_be_saved() -> Iterator[None]:
    """Whatever goes wrong in here, the file could not be loaded."""
    try:
        yield
    except Exception as error:
        raise ModelFileError(f"This model cannot be saved. {_reason(error)}.") from error


def _reason(error: Exception) -> str:
    """What an error says, in characters that can be printed, and not too many of them."""
    kind = "" if isinstance(error, GenclsError) else f"{type(error).__name__}: "
    return kind + printable(str(error).rstrip(".")[:LONGEST_REASON])


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
        "name": given if isinstance(given, str) else CONDITIONERS.name_of(kind),
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
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidParameterError(
            f"The parameter 'card' of save must be a dict that JSON can hold, got {shortened(card)} "
            f"({error})."
        ) from error


def _for_file(tensor: Tensor, half: bool) -> Tensor:
    """A copy that shares no memory with another tensor."""
    dtype = torch.float16 if half and tensor.dtype == torch.float32 else tensor.dtype
    return tensor.detach().to("cpu", dtype, copy=True, memory_format=torch.contiguous_format)


# Reading


def _restore(
    description: Mapping[str, Any], weights: dict[str, Tensor], rules: Mapping[str, Rule]
) -> Snapshot:
    left_out = () if "sha256" in description else ("sha256", "format_version")
    check_fields("the description", description, DESCRIPTION, left_out)
    named = description["conditioner"]
    conditioner = _restore_conditioner(named)
    parameters = _restore_parameters(description["parameters"], rules)
    standard = named["given_by_name"] and repr(conditioner) == repr(make_conditioner(named["name"]))
    snapshot = Snapshot(
        parameters | {"conditioner": named["name"] if standard else conditioner},
        conditioner,
        _restore_codec(description["codec"]),
        _restore_fitted(description["fitted"]),
        [_restore_row(row) for row in description["history"]],
        description["n_steps"],
        weights,
    )
    _check_fitted(snapshot.fitted, snapshot.codec)
    _check_settled(snapshot)
    return snapshot


def _restore_values(values: Mapping[str, Any]) -> dict[str, Any]:
    restored = {}
    for name, value in values.items():
        try:
            restored[name] = from_json(value)
        except (ValueError, TypeError, OverflowError) as error:
            raise ModelFileError(f"{shortened(name)} cannot be read: {error}") from error
    return restored


def _restore_parameters(written: Mapping[str, Any], rules: Mapping[str, Rule]) -> dict[str, Any]:
    """The parameters, of which some may be missing; more may be those of a subclass."""
    if not written.keys().isdisjoint(NOT_KEPT):
        raise ModelFileError(f"A model file must not set {', '.join(NOT_KEPT)}.")
    if odd := [name for name in written if not (name.isidentifier() and len(name) <= LONGEST_NAME)]:
        raise ModelFileError(f"No parameter has the name {shortened(odd[0])}.")
    parameters = _restore_values(written)
    rules = {**rules, **PARAMETERS}
    known = {name: value for name, value in parameters.items() if name in rules}
    check_fields("the parameters", known, rules, left_out=rules)
    return parameters


def _restore_conditioner(named: Mapping[str, Any]) -> Conditioner:
    check_fields("the conditioner", named, CONDITIONER)
    try:
        kind = get_conditioner(named["name"])
    except ConditionerError as error:
        raise ConditionerError(
            f"{error} The model was saved with the conditioner {shortened(named['class'])}: install the "
            "package that provides it, or call register_conditioner before load."
        ) from error
    known = kind._get_param_names()
    if odd := [name for name in named["parameters"] if name not in known]:
        raise ModelFileError(f"The conditioner {named['name']!r} has no parameter {shortened(odd[0])}.")
    return kind(**_restore_values(named["parameters"]))


def _restore_codec(state: Mapping[str, Any]) -> ImageCodec:
    """Fit a codec on a single value: everything that it learns from images is given."""
    check_fields("the codec", state, CODEC)
    image_shape, sample_shape = tuple(state["image_shape"]), tuple(state["sample_shape"])
    low, high, n_levels = float(state["low"]), float(state["high"]), state["n_levels"]
    if low > high or sample_shape not in {image_shape, (prod(image_shape),)}:
        raise ModelFileError(
            f"No images of {image_shape} have samples of {shortened(sample_shape)} with values from {low:g} "
            f"to {high:g}."
        )
    codec = ImageCodec(image_shape, state["channel_axis"], (low, high), n_levels)
    codec.fit(np.array([[low]]), sample_shape)
    codec.dtype_ = np.dtype(state["dtype"])
    _check_decoding(codec)
    return codec


def _check_decoding(codec: ImageCodec) -> None:
    """Raise unless the dtype of the images can hold the values of all levels."""
    levels = np.zeros((codec.n_levels_, *codec.tensor_shape_[:1], 1, 1), np.uint8)
    levels[:, 0, 0, 0] = np.arange(codec.n_levels_)
    try:
        with np.errstate(all="raise", under="ignore"):
            codec.resized(1, 1).decode(levels)
    except FloatingPointError as error:
        raise ModelFileError(
            f"Images of {codec.dtype_} have no values from {codec.low_:g} to {codec.high_:g} ({error})."
        ) from error


def _restore_fitted(written: Mapping[str, Any]) -> dict[str, Any]:
    fitted = _restore_values(written)
    check_fields("what was learned", fitted, LEARNED, left_out=("feature_names_in_",))
    return fitted


def _restore_row(written: Mapping[str, Any]) -> dict[str, Any]:
    if "batches" in written:
        raise ModelFileError("A row of the history must not have batches.")
    row = _restore_values(written)
    known = {name: value for name, value in row.items() if name in ROW}
    check_fields("the history", known, ROW, left_out=ROW)
    return row


def _check_fitted(fitted: Mapping[str, Any], codec: ImageCodec) -> None:
    """Raise unless what was learned fits together."""
    n_classes, n_features = len(fitted["classes_"]), prod(codec.image_shape_)
    if fitted["n_features_in_"] not in (codec.sample_shape_[0], n_features):  # H · W · C before 0.1.0
        raise ModelFileError(f"n_features_in_ does not fit images of the shape {codec.sample_shape_}.")
    lengths = {
        "class_count_": (len(fitted["class_count_"]), n_classes),
        "class_prior_": (len(fitted["class_prior_"]), n_classes),
        "feature_names_in_": (len(fitted.get("feature_names_in_", range(n_features))), n_features),
    }
    if wrong := [name for name, (found, expected) in lengths.items() if found != expected]:
        raise ModelFileError(
            f"{' and '.join(wrong)} do not fit {n_classes} classes of {n_features} features."
        )


def _check_settled(snapshot: Snapshot) -> None:
    """Raise unless the parameters are those from which the codec and the prior came."""
    for name, value in snapshot.codec.settled_.items():
        given = snapshot.parameters.get(name)
        if given is not None and given != "auto" and not np.array_equal(given, value):
            raise ModelFileError(
                f"The parameter {name!r} is {shortened(given)}, but the images have {value}."
            )
    priors, n_classes = snapshot.parameters.get("priors"), len(snapshot.fitted["classes_"])
    if priors is not None and len(priors) != n_classes:
        raise ModelFileError(f"{len(priors)} priors do not fit {n_classes} classes.")


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
    if not found.numel():
        return "is empty"
    if found.is_floating_point() and not _is_sensible(found):
        return f"has values that are not finite, or beyond ±{LARGEST_WEIGHT:,}"
    return None


def _is_sensible(weights: Tensor) -> bool:
    low, high = torch.aminmax(weights.detach())  # NaN both, where there is one
    return bool(low >= -LARGEST_WEIGHT) and bool(high <= LARGEST_WEIGHT)
