"""Processes that render side by side."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import cv2


def single_threaded_pool(workers: int) -> ProcessPoolExecutor:
    """Fresh processes in which OpenCV uses one thread each."""
    return ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=cv2.setNumThreads,
        initargs=(1,),
    )
