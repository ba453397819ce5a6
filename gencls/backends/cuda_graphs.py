"""CUDA graphs, which launch many small kernels at once: single launches take longer than the kernels."""

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
    """A captured sequence of kernels."""

    def replay(self) -> object:
        """Launch the kernels."""


Capture = Callable[[Callable[[], None]], Replay]


class ReplayedCalls:
    """A function that is captured once for each combination of arguments, and then replayed.

    The first call is not captured, because it loads libraries, which is impossible during a capture. A
    capture computes nothing: if it fails, no state has changed, and all further calls are plain.

    Parameters
    ----------
    function : callable
        The kernels must depend only on the arguments. Their inputs and outputs must be tensors that are
        modified in place and never replaced, as a replay uses the same memory. The function returns None.
    capture : callable, optional
        For example, `CudaCapture`. Without it, all calls are plain.
    """

    def __init__(self, function: Callable[..., None], capture: Capture | None):
        self.function = function
        self.capture = capture
        self.warm = False
        self.captured: dict[tuple[Hashable, ...], Replay] = {}

    def __call__(self, *kind: Hashable) -> None:
        """Call the function, or replay the captured call."""
        if self.warm and self.capture is not None and kind not in self.captured:
            self._try(self.capture, kind)
        if kind in self.captured:
            self.captured[kind].replay()
        else:
            self.function(*kind)
        self.warm = True

    def _try(self, capture: Capture, kind: tuple[Hashable, ...]) -> None:
        """Capture this kind of call; after a failure, warn and disable captures."""
        try:
            self.captured[kind] = capture(partial(self.function, *kind))
        except RuntimeError as error:
            self.capture = None
            self.captured.clear()
            reason = str(error.__context__ or error).strip().partition("\n")[0]
            warnings.warn(
                f"compile=True has no effect on sampling, because the capture of a CUDA graph failed "
                f"({reason}). The images are the same.",
                CompilationWarning,
                stacklevel=3,
            )


class CudaCapture:
    """Captures the kernels of functions as graphs that share memory for intermediate results.

    Sharing is safe for any order of replays, because no graph reads the intermediate results of another.

    Parameters
    ----------
    device : torch.device
        A CUDA device with an index.
    """

    def __init__(self, device: torch.device):
        self.device = device
        self.pool = torch.cuda.graph_pool_handle()

    def __call__(self, function: Callable[[], None]) -> torch.cuda.CUDAGraph:
        """Call the function without computing anything, and return a graph of its kernels.

        Raises
        ------
        RuntimeError
            If an operation cannot be captured.
        """
        graph = torch.cuda.CUDAGraph()
        with (
            torch.cuda.device(self.device),
            _restored_after_failure(self.device),
            torch.cuda.graph(graph, self.pool, _stream(self.device), capture_error_mode="thread_local"),
        ):
            function()
        return graph


@cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    """Return the stream of all captures on a device; libraries allocate memory for each stream they see."""
    return torch.cuda.Stream(device)


@contextmanager
def _restored_after_failure(device: torch.device) -> Iterator[None]:
    """Restore the stream and the random number generator after a failed capture, as torch does not."""
    generator = torch.cuda.default_generators[device.index]
    state = generator.clone_state()
    with torch.cuda.stream(torch.cuda.current_stream(device)):
        try:
            yield
        except RuntimeError:
            generator.graphsafe_set_state(state)
            raise
