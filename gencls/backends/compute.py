"""Computation settings of a classifier: precision, kernels, memory and early exit."""

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
    """Computation settings of a classifier.

    Parameters
    ----------
    precision : {"float32", "auto", "bfloat16"}, default="float32"
        Precision of the features of the network; the weights, the likelihood and sampling always use float32.
        ``"auto"`` trains in bfloat16 if the hardware has instructions for it, and predicts in float32; with
        compiled kernels on a CPU it is float32, which is at least as fast there. ``"bfloat16"`` also predicts
        in bfloat16. On a GPU, torch rounds the inputs of float32 convolutions to 10 bits (TF32) unless
        ``torch.backends.cudnn.allow_tf32`` is False.
    compile : bool, default=True
        Whether to use compiled kernels, which are faster and need a compiler. Results are equal up to
        rounding: the probabilities of all images sum to 1 within 5e-5. Dropout drops different features. On a
        CPU, native float32 kernels are compiled once, within seconds, and cached; bfloat16 has no compiled
        kernels there. On a GPU, `torch.compile` takes about a minute, and sampling also replays CUDA graphs.
    gradient_checkpointing : bool, default=False
        Whether training recomputes features in the backward pass: less memory, a third more time.
    early_exit : float, optional
        Margin in nats. After the upper half of the rows, `predict`, and therefore `score`, drops classes that
        are further behind the best class, and scores only the remaining classes in full. This approximation
        saves more time for smaller margins and for more classes. After maximum likelihood training, a margin
        of 7 to 10 changes about one prediction in a hundred, or fewer; hybrid training separates the classes
        further and needs 20 or more for the same. None scores every class in full. Probabilities and
        densities are always exact.
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
        """Return the precision on a device, and whether to use compiled kernels.

        Parameters
        ----------
        device : torch.device
        warn : bool, default=False
            Whether to warn if compiled kernels are requested but unavailable.
        """
        return choose_way(self.precision, device, compile=self.compile, warn=warn)

    def check(self) -> None:
        """Raise if a parameter is invalid."""
        check_parameters("Compute", self.get_params(), RULES)


def make_compute(compute: str | Compute) -> Compute:
    """Create an instance from ``"auto"`` or ``"plain"``, or check a given instance.

    Raises
    ------
    InvalidParameterError
        If the value has a different type, or the instance has an invalid parameter.
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
