"""Runs a function in a child made by fork: a process of its own to kill, without importing torch anew."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import traceback
from collections.abc import Callable

import cv2
import torch

# A child can train only if autograd has no threads in its parent. It starts one for each GPU at the first backward
# pass, and after an export to ONNX it believes in one. So that pass is made here, before any test, and sees none.
os.environ["CUDA_VISIBLE_DEVICES"] = ""
torch.ones((), requires_grad=True).backward()


class Forked:
    """A child that runs ``work`` and exits with what it returns.

    Args:
        work: is called in the child; what it writes to stdout can be read here, line by line.
    """

    def __init__(self, work: Callable[[], int]) -> None:
        ours, theirs = os.pipe()
        take, give = os.pipe()
        sys.stdout.flush()
        threads = cv2.getNumThreads()
        cv2.setNumThreads(1)  # a child would have OpenCV's locks without the threads that hold them
        self.pid = os.fork()
        if not self.pid:
            os.close(ours)
            os.close(give)
            _run(work, take, theirs)
        cv2.setNumThreads(threads)
        os.close(theirs)
        os.close(take)
        self._output, self._input = os.fdopen(ours), os.fdopen(give, "w")

    def readline(self) -> str:
        """The next line of the child's stdout; empty at its end."""
        return self._output.readline()

    def tell(self, text: str = "\n") -> None:
        """Give the child something to read from stdin; nothing happens when it has ended."""
        with contextlib.suppress(BrokenPipeError):
            self._input.write(text)
            self._input.flush()

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    def wait(self) -> int:
        """Read what is left of its output; its exit code, negative for the signal that ended it."""
        self._output.read()
        _, status = os.waitpid(self.pid, 0)
        for file in (self._output, self._input):
            with contextlib.suppress(BrokenPipeError):
                file.close()
        return os.waitstatus_to_exitcode(status)


def _run(work: Callable[[], int], take: int, give: int) -> None:
    """Never returns: the child must not go on with the parent's tests."""
    code = 3
    try:
        os.dup2(take, 0)
        os.dup2(give, 1)
        sys.stdin, sys.stdout = os.fdopen(0, closefd=False), os.fdopen(1, "w", buffering=1, closefd=False)
        code = work()
        sys.stdout.flush()
    except BaseException:  # noqa: BLE001 - whatever it was, the child ends here and says why
        traceback.print_exc()
    finally:
        os._exit(code)
