"""From a fitted classifier to a model file. `read_model` accepts every file of `write_model`."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from typing import Any

import numpy as np
import sklearn
import torch
from torch import Tensor

from .._common.validation import Rule, shortened
from .._version import __version__
from ..augmentations.registry import AUGMENTATIONS
from ..conditioners import CONDITIONERS
from ..density.model import ConditionalPixelCNN
from ..errors import InvalidParameterError, ModelFileError
from ..images.codec import ImageCodec
from .container import StrPath, check_claims, write_model_file
from .faults import not_to_be_saved
from .json_values import NUMBERS, parse_json, to_json, write_value
from .plugins import describe_plugin
from .reading import restore
from .snapshot import APART, NOT_KEPT, Snapshot
from .training_settings import describe_training
from .weights import check_scores, check_weights

__all__ = ["write_model"]


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
    """Write a model file; raise if it could not be read.

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
    with not_to_be_saved():
        check_claims(description, weights)
        restore(parse_json(json.dumps(description)), weights, rules)
        check_weights(model, weights)
        check_scores(trained)
    write_model_file(path, description, weights)


def _describe(snapshot: Snapshot) -> dict[str, Any]:
    kept = {name: value for name, value in snapshot.parameters.items() if name not in (*NOT_KEPT, *APART)}
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
        "conditioner": describe_plugin(CONDITIONERS, snapshot.parameters["conditioner"]),
        **describe_training(snapshot.parameters),
        "symmetry": [describe_plugin(AUGMENTATIONS, part) for part in snapshot.symmetry],
        "codec": _describe_codec(snapshot.codec),
        "fitted": {name: write_value(name, value) for name, value in snapshot.fitted.items()},
        "history": [_where_possible(row) for row in rows],
        "n_steps": snapshot.n_steps,
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
        "resolution": None if codec.resolution is None else list(map(int, codec.resolution)),
        "dtype": codec.dtype_.name,
    }


def _where_possible(values: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON, without values that JSON cannot hold."""
    written = {}
    for name, value in values.items():
        try:
            written[name] = to_json(value)
        except TypeError:
            continue
    return written


def _check_card(card: Mapping[str, Any] | None) -> dict[str, Any]:
    """The card as `read_card` will return it."""
    try:
        return json.loads(json.dumps(dict(card or {})))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidParameterError(
            f"The parameter 'card' of save must be a dict that JSON can hold, got {shortened(card)} "
            f"({error})."
        ) from error


def _for_file(tensor: Tensor, half: bool) -> Tensor:
    """A copy that does not share memory with a different tensor."""
    dtype = torch.float16 if half and tensor.dtype == torch.float32 else tensor.dtype
    return tensor.detach().to("cpu", dtype, copy=True, memory_format=torch.contiguous_format)
