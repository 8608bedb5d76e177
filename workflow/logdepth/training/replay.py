"""Steps on a GPU without the cost of launching their kernels one by one: CUDA graphs."""

from collections.abc import Callable

import torch

# Steps of a graph: launching it is then a hundredth of a percent of its work.
MOST = 10
# Steps taken one kernel after the other before one is recorded: libraries set themselves up.
_WARM_UP = 3


class Replayed:
    """A step that is recorded once as a CUDA graph, and replayed.

    A recorded step does what the step itself does, if that keeps everything that lasts in the same
    memory and never waits for the device.
    """

    def __init__(self, step: Callable[[], None]) -> None:
        self._step = step
        self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self.forget()

    def forget(self) -> None:
        """Record anew: the step has changed."""
        self._cold = _WARM_UP
        self._graphs: dict[int, torch.cuda.CUDAGraph] = {}

    def __call__(self, times: int) -> None:
        """Take the step so many times."""
        while times:
            if self._cold:
                self._cold -= 1
                times -= 1
                self._aside(self._step)
            else:
                count = MOST if times >= MOST else 1
                times -= count
                if count not in self._graphs:
                    self._graphs[count] = self._recorded(count)
                self._graphs[count].replay()

    def _aside(self, step: Callable[[], None]) -> None:
        """Run on the stream that a graph is recorded on."""
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            step()
        torch.cuda.current_stream().wait_stream(self._stream)

    def _recorded(self, count: int) -> torch.cuda.CUDAGraph:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self._stream):
            for _ in range(count):
                self._step()
        return graph
