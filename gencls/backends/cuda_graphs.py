"""CUDA graphs: many small kernels are launched at once, as launching them one by one takes the most time."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import Protocol

import torch

from ..errors import CompilationWarning

__all__ = ["CudaCapture", "ReplayedCalls"]


class Replay(Protocol):
    """A captured computation."""

    def replay(self) -> object:
        """Compute it again."""


Capture = Callable[[Callable[[], None]], Replay]


class ReplayedCalls:
    """A function that is captured once for each of its arguments, and replayed when these recur.

    The very first call is plain: it loads the libraries, which is not possible in a capture. Capturing
    computes nothing, so that after a failure nothing has changed, and all further calls are plain.

    Parameters
    ----------
    function : callable
        Its arguments determine the computation. Its numbers lie in tensors that are changed in place and
        never replaced, as a replay reads and writes these. It returns nothing.
    capture : callable, optional
        Such as `CudaCapture`; without it all calls are plain.
    """

    def __init__(self, function: Callable[..., None], capture: Capture | None):
        self.function = function
        self.capture = capture
        self.warm = False
        self.captured: dict[tuple[Hashable, ...], Replay] = {}

    def __call__(self, *kind: Hashable) -> None:
        """Make the call, or replay it."""
        if self.warm and self.capture is not None and kind not in self.captured:
            self._try(self.capture, kind)
        if kind in self.captured:
            self.captured[kind].replay()
        else:
            self.function(*kind)
        self.warm = True

    def _try(self, capture: Capture, kind: tuple[Hashable, ...]) -> None:
        """Capture this kind of call; if that fails, warn and capture no more."""
        try:
            self.captured[kind] = capture(partial(self.function, *kind))
        except RuntimeError as error:
            self.capture = None
            self.captured.clear()
            reason = str(error.__context__ or error).strip().partition("\n")[0]
            warnings.warn(
                f"compile=True has no effect on sampling, as no CUDA graph could be captured ({reason}). The "
                "images are the same.",
                CompilationWarning,
                stacklevel=3,
            )


class CudaCapture:
    """Captures what functions launch on a device, as graphs that share their memory for intermediate results.

    Sharing is safe, in whatever order they are replayed, as none reads the results of a different one.

    Parameters
    ----------
    device : torch.device
        A CUDA device, with its index.
    """

    def __init__(self, device: torch.device):
        self.device = device
        self.pool = torch.cuda.graph_pool_handle()

    def __call__(self, function: Callable[[], None]) -> torch.cuda.CUDAGraph:
        """Call the function without computing anything, and return a graph of the kernels that it launched.

        Raises
        ------
        RuntimeError
            If something cannot be captured.
        """
        graph = torch.cuda.CUDAGraph()
        with (
            torch.cuda.device(self.device),
            _left_as_found(self.device),
            torch.cuda.graph(graph, self.pool, _stream(self.device), capture_error_mode="thread_local"),
        ):
            function()
        return graph


@cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    """The one for all captures on a device, as libraries keep memory for each stream that they have seen."""
    return torch.cuda.Stream(device)


@contextmanager
def _left_as_found(device: torch.device) -> Iterator[None]:
    """Undo what torch does not when a capture fails: its stream stays, and random numbers can't be drawn."""
    generator = torch.cuda.default_generators[device.index]
    state = generator.clone_state()
    with torch.cuda.stream(torch.cuda.current_stream(device)):
        try:
            yield
        except RuntimeError:
            generator.graphsafe_set_state(state)
            raise
