"""Checks of `net_params`: the optimizer, batches, callbacks and held-out images of `skorch.NeuralNet`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

import torch
from skorch.callbacks import Callback
from skorch.exceptions import SkorchException
from torch.utils.data import DataLoader, TensorDataset

from .._common.validation import Rule, optional, shortened
from ..errors import InvalidParameterError
from ..training.callbacks import NEEDED_CALLBACKS, OPTIONAL_CALLBACKS

__all__ = ["check_net_params", "net_params_at_fault"]

PREFIXES = ("optimizer", "callbacks", "iterator_train")
KNOWN = (*PREFIXES, "train_split")
SPLIT = optional(
    Rule(
        "a function that splits a data set, such as skorch.dataset.ValidSplit(5) (or pass X_val and "
        "y_val to fit, or set early_stopping and validation_fraction)",
        lambda value: callable(value) and not isinstance(value, type),
    )
)
MISTAKES = (AttributeError, IndexError, KeyError, TypeError, ValueError, SkorchException)
OWN = "it is a parameter of the estimator itself"
ELSEWHERE = {  # the replacements of skorch's parameters
    "module": "the estimator's own parameters shape the network",
    "criterion": "set objective",
    "dataset": "the images are X of fit",
    "iterator_valid": "held-out images are scored without it",
    "iterator_train__batch_size": "set batch_size",
    "iterator_train__collate_fn": "whole batches are taken at once",
    "predict_nonlinearity": "predictions follow from Bayes' theorem",
    "classes": "the classes are those of y",
    "device": OWN,
    "compile": OWN,
    "verbose": OWN,
    "warm_start": OWN,
}


def check_net_params(net_params: Mapping[str, Any] | None, rules: Mapping[str, Rule]) -> None:
    """Raise one error with the reason and the remedy for every invalid entry.

    The optimizer and the batches are tried on a single number, so that arguments that torch rejects are found
    before training.

    Parameters
    ----------
    net_params : mapping, optional
        The estimator's parameter.
    rules : mapping of str to Rule
        Rules of the estimator's parameters that `net_params` may also set.

    Raises
    ------
    InvalidParameterError
        With a line for each mistake.
    """
    if not isinstance(net_params, dict) or not net_params:  # the estimator's rules report anything but a dict
        return
    mistakes = [*_mistaken_names(net_params, rules), *_mistaken_values(net_params, rules)]
    mistakes += _mistaken_callbacks(net_params) or []
    if not mistakes:
        mistakes = [*_tried("optimizer", _try_optimizer, net_params)]
        mistakes += _tried("iterator_train", _try_batches, net_params)
    if mistakes:
        start = "The parameter 'net_params' of GenerativeBayesClassifier "
        lines = "\n".join(f"- {mistake}" for mistake in mistakes)
        raise InvalidParameterError(
            start + (mistakes[0] if len(mistakes) == 1 else f"does not fit:\n{lines}")
        )


@contextmanager
def net_params_at_fault(net_params: Mapping[str, Any] | None) -> Iterator[None]:
    """Context manager in which an error from options of skorch becomes one that names `net_params`.

    Errors of other types pass, including subclasses of the usual types, which a callback raises on purpose.
    """
    try:
        yield
    except MISTAKES as error:
        if not net_params or type(error) not in MISTAKES:
            raise
        raise InvalidParameterError(
            "The parameter 'net_params' of GenerativeBayesClassifier has options that fail in training "
            f"({type(error).__name__}: {shortened(str(error))}), of {shortened(list(net_params))}. Callbacks "
            "may monitor entries of history_: train_loss and train_bpd, and for held-out images valid_bpd, "
            "valid_accuracy and valid_log_loss."
        ) from error


def _mistaken_names(net_params: Mapping[Any, Any], rules: Mapping[str, Rule]) -> Iterator[str]:
    """Mistakes of entries that are set elsewhere or unknown."""
    for name in net_params:
        if not isinstance(name, str):
            yield f"must have names of skorch's parameters, got {shortened(name)}."
            continue
        known = name in rules or name in KNOWN or name.split("__")[0] in PREFIXES
        reason = ELSEWHERE.get(name, None if known else ELSEWHERE.get(name.split("__")[0]))
        if reason:
            yield f"must not set {shortened(name)}: {reason}."
        elif not known:
            near = get_close_matches(name, [*KNOWN, *rules, *ELSEWHERE], n=1)
            guess = f" Did you mean {near[0]!r}?" if near else ""
            yield (
                f"has {shortened(name)}, which is unknown; known are {', '.join([*KNOWN, *rules])}, and "
                f"parameters of the first three, such as optimizer__weight_decay.{guess}"
            )


def _mistaken_values(net_params: Mapping[Any, Any], rules: Mapping[str, Rule]) -> Iterator[str]:
    """Mistakes of entries that are also parameters of the estimator."""
    for name, rule in (*rules.items(), ("train_split", SPLIT)):
        if name in net_params and not rule.accepts(net_params[name]):
            yield f"has {name!r}, which must be {rule.description}, got {shortened(net_params[name])}."


def _mistaken_callbacks(net_params: Mapping[Any, Any]) -> list[str]:
    """Mistakes of values that are not callbacks, and of settings of needed or unknown callbacks."""
    given = net_params.get("callbacks") or []
    if not isinstance(given, list | tuple) or not all(map(_is_callback, given)):
        return [
            f"has 'callbacks', which must be a list of skorch's callbacks, or of pairs of a name and a "
            f"callback, got {shortened(given)}."
        ]
    names = [_name_of(each) for each in given]
    used = {*NEEDED_CALLBACKS, *OPTIONAL_CALLBACKS}
    mistakes = [
        f"has a callback {shortened(name)}, but this name is taken. Choose a different name."
        for position, name in enumerate(names)
        if isinstance(given[position], tuple) and (name in used or name in names[:position])
    ]
    for key, value in net_params.items():
        if not (isinstance(key, str) and key.startswith("callbacks__")):
            continue
        name, *deeper = key.removeprefix("callbacks__").split("__")
        if name in NEEDED_CALLBACKS:
            mistakes.append(f"must not set {shortened(key)}: training needs the callback {name!r} as it is.")
        elif name in OPTIONAL_CALLBACKS and (deeper or not (value is None or _is_callback(value))):
            mistakes.append(
                f"has {shortened(key)}, which must be None or a callback, got {shortened(value)}."
            )
        elif name not in OPTIONAL_CALLBACKS and not any(name.startswith(each) for each in names):
            mistakes.append(f"has {shortened(key)}, but there is no callback {shortened(name)}.")
    return mistakes


def _is_callback(value: Any) -> bool:
    if isinstance(value, tuple):
        return len(value) == 2 and isinstance(value[0], str) and _is_callback(value[1])
    return isinstance(value, Callback) or (isinstance(value, type) and issubclass(value, Callback))


def _name_of(callback: Any) -> str:
    if isinstance(callback, tuple):
        return str(callback[0])
    return callback.__name__ if isinstance(callback, type) else type(callback).__name__


def _tried(name: str, use: Callable[[Any, dict[str, Any]], None], net_params: Mapping[str, Any]) -> list[str]:
    """Mistakes found by calling a class of the user or of torch with its arguments."""
    settings = {
        key.removeprefix(f"{name}__"): value
        for key, value in net_params.items()
        if key.startswith(f"{name}__")
    }
    if not settings and name not in net_params:
        return []
    try:
        use(net_params.get(name), settings)
    except Exception as error:  # a class of the user may raise anything
        given = shortened({key: value for key, value in net_params.items() if key.startswith(name)})
        return [f"has {given}, which cannot work ({type(error).__name__}: {shortened(str(error))})."]
    return []


def _try_optimizer(kind: Any, settings: dict[str, Any]) -> None:
    settings.pop("param_groups", None)  # they name parameters of the network
    settings = {"lr": 1e-3} | settings
    weight = torch.zeros(1, requires_grad=True)
    optimizer = (kind or torch.optim.Adam)([weight], **settings)
    if not hasattr(optimizer, "param_groups"):
        raise TypeError("it does not create an optimizer of torch")
    weight.grad = torch.zeros(1)
    optimizer.step(lambda: torch.zeros(1))


def _try_batches(kind: Any, settings: dict[str, Any]) -> None:
    settings = {"shuffle": True} | settings
    batches = (kind or DataLoader)(TensorDataset(torch.zeros(1)), batch_size=1, **settings)
    if not hasattr(batches, "__iter__"):
        raise TypeError("it does not create batches")
