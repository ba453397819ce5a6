"""How a classifier computes: its precision and its kernels."""

from __future__ import annotations

from typing import Literal

import torch
from sklearn.base import BaseEstimator

from .._common.validation import Rule, check_parameters, choice, flag, margin, optional, shortened
from ..errors import InvalidParameterError
from .compilation import choose_way
from .device import PRECISIONS, Precision

__all__ = ["Compute", "make_compute"]

RULES: dict[str, Rule] = {
    "precision": choice(*PRECISIONS),
    "compile": flag(),
    "gradient_checkpointing": flag(),
    "early_exit": optional(margin()),
}


class Compute(BaseEstimator):
    """How a classifier computes.

    Parameters
    ----------
    precision : {"float32", "auto", "bfloat16"}, default="float32"
        Of the network's features; the weights, the likelihood and sampling are always in float32. ``"auto"``
        trains in bfloat16 where the hardware has instructions for it, and predicts in float32; with compiled
        kernels on a CPU it is float32, which is as fast there. ``"bfloat16"`` predicts in it, too. On a GPU,
        torch rounds the inputs of convolutions in float32 to 10 bits (TF32) unless
        ``torch.backends.cudnn.allow_tf32`` is False.
    compile : bool, default=True
        Whether compiled kernels make training and predictions faster; a compiler is needed. Results are the
        same up to rounding, which moves the sum over all images to at most 5e-5 from 1, and with dropout
        different features are dropped. On a CPU they are our own, for float32, compiled within seconds the
        first time and kept; in bfloat16 there, nothing is compiled. On a GPU `torch.compile` makes them, in
        about a minute, and sampling then replays CUDA graphs, too.
    gradient_checkpointing : bool, default=False
        Whether training computes features twice instead of keeping them: a third slower, in less memory.
    early_exit : float, optional
        Nats by which a class may lie behind the best one after the upper half of the rows without being
        dropped: in `predict`, and therefore in `score`, only the remaining classes are scored in full, and an
        image with one remaining class is done. This is an approximation that saves time, the more the smaller
        the margin and the more classes there are; after maximum likelihood about one prediction in a hundred
        changes at 7 to 10, or fewer; hybrid training separates the classes further, and needs 20 or more for
        that. None scores every class in full; probabilities and densities are always exact.
    """

    def __init__(
        self,
        precision: Literal["float32", "auto", "bfloat16"] = "float32",
        compile: bool = True,
        gradient_checkpointing: bool = False,
        early_exit: float | None = None,
    ):
        self.precision = precision
        self.compile = compile
        self.gradient_checkpointing = gradient_checkpointing
        self.early_exit = early_exit

    def resolve(self, device: torch.device, *, warn: bool = False) -> tuple[Precision, bool]:
        """The precision in which to compute on a device, and whether compiled kernels do.

        Parameters
        ----------
        device : torch.device
        warn : bool, default=False
            Whether to warn if nothing can be compiled.
        """
        return choose_way(self.precision, device, compile=self.compile, warn=warn)

    def check(self) -> None:
        """Raise if a parameter is wrong."""
        check_parameters("Compute", self.get_params(), RULES)


def make_compute(compute: str | Compute) -> Compute:
    """Turn ``"auto"``, ``"plain"`` or an instance into one.

    Raises
    ------
    InvalidParameterError
        If it is something else, or has a wrong parameter.
    """
    if isinstance(compute, str) and compute in ("auto", "plain"):
        return Compute(compile=compute == "auto")
    if not isinstance(compute, Compute):
        raise InvalidParameterError(
            "The parameter 'compute' of GenerativeBayesClassifier must be 'auto', 'plain' or an instance of "
            f"gencls.Compute, got {shortened(compute)}."
        )
    compute.check()
    return compute
