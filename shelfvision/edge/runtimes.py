"""Runs an ONNX graph on ONNX Runtime or OpenVINO behind one small face; ``auto`` takes the quicker one."""

from __future__ import annotations

import importlib.util
import os
import statistics
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import structlog
from numpy.typing import NDArray

from shelfvision.core.detections import FloatArray
from shelfvision.errors import ModelError, UsageError

RuntimeName = Literal["auto", "onnxruntime", "openvino"]
_TRIALS = 3  # runs a runtime that decide between the two
_KEPT_SHAPES = 4  # compiled networks that OpenVINO keeps, one an input shape
_choices: dict[tuple[str, int, tuple[int, ...]], str] = {}
_choosing = threading.Lock()
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Port:
    """One input or output of a graph."""

    name: str
    dtype: str  # as numpy calls it
    shape: tuple[int | None, ...] | None  # None where it is free; None for all where the rank is


class Session(Protocol):
    """A loaded graph."""

    runtime: str
    inputs: list[Port]
    outputs: list[Port]

    def run(self, images: FloatArray) -> NDArray[Any]:
        """The first output for one input. Only one thread at a time."""


class OnnxRuntimeSession:
    """A graph on ONNX Runtime's CPU provider.

    Args:
        data: the ONNX file.
        threads: computing threads.
        exact: has no meaning here: ONNX Runtime computes what the graph says.
    """

    runtime = "onnxruntime"

    def __init__(self, data: bytes, threads: int, *, exact: bool = False) -> None:  # noqa: ARG002 - as OpenVinoSession
        import onnxruntime  # noqa: PLC0415 - it takes 30 MB and 0.1 s that commands without models need not pay

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what goes wrong is raised, and said once
        # threads that spin while they wait win a tenth alone, and double the time of whatever runs beside them
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        self.inputs = [_onnxruntime_port(port) for port in self._session.get_inputs()]
        self.outputs = [_onnxruntime_port(port) for port in self._session.get_outputs()]

    def run(self, images: FloatArray) -> NDArray[Any]:
        """The first output for one input."""
        return np.asarray(self._session.run([self.outputs[0].name], {self.inputs[0].name: images})[0])


class OpenVinoSession:
    """A graph on OpenVINO's CPU plugin, compiled for each input shape (twice as quick as free shapes), a few kept.

    Args:
        data: the ONNX file.
        threads: computing threads.
        exact: compute in float32 also where the processor has bfloat16.
    """

    runtime = "openvino"

    def __init__(self, data: bytes, threads: int, *, exact: bool = False) -> None:
        import openvino  # noqa: PLC0415 - an extra

        self._core = openvino.Core()
        self._model = self._core.read_model(data, b"")
        self._options: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,  # several processes would pin to the same cores
        }
        if exact:
            self._options["INFERENCE_PRECISION_HINT"] = "f32"
        self.inputs = [_openvino_port(port) for port in self._model.inputs]
        self.outputs = [_openvino_port(port) for port in self._model.outputs]
        self._compiled: OrderedDict[tuple[int, ...], Any] = OrderedDict()

    def run(self, images: FloatArray) -> NDArray[Any]:
        """The first output for one input."""
        request = self._compiled.get(images.shape)
        if request is None:
            model = self._model.clone()
            model.reshape({self.inputs[0].name: list(images.shape)})
            request = self._core.compile_model(model, "CPU", self._options).create_infer_request()
            self._compiled[images.shape] = request
            if len(self._compiled) > _KEPT_SHAPES:
                self._compiled.popitem(last=False)
        self._compiled.move_to_end(images.shape)
        request.infer({0: images}, share_inputs=True)
        return np.array(request.get_output_tensor(0).data)


SESSIONS: dict[str, Callable[..., Session]] = {"onnxruntime": OnnxRuntimeSession, "openvino": OpenVinoSession}


def installed_runtimes() -> list[str]:
    """Names of the runtimes that can be used here."""
    return [name for name in SESSIONS if importlib.util.find_spec(name) is not None]


def usable_threads(threads: int | None) -> int:
    """The number asked for, or that of the cores that this process may use."""
    return threads or len(os.sched_getaffinity(0))


def open_session(
    data: bytes,
    *,
    name: str,
    key: str,
    runtime: RuntimeName = "auto",
    threads: int | None = None,
    shape: tuple[int, ...],
    exact: bool = False,
) -> Session:
    """Load a graph.

    Args:
        data: the ONNX file.
        name: of the file, for messages.
        key: what tells models apart (their hash); ``auto`` decides once for each.
        runtime: which; ``auto`` measures those that are installed, and does without one that fails.
        threads: computing threads; all cores when absent.
        shape: of the input that ``auto`` measures with.
        exact: no reduced precision.

    Raises:
        ModelError: the runtime cannot be imported or refuses the graph; under ``auto``, each of them does.
        UsageError: the runtime is not installed.
    """
    count = usable_threads(threads)
    there = installed_runtimes()
    if runtime != "auto":
        if runtime not in there:
            extra = "shelfvision[openvino]" if runtime == "openvino" else "shelfvision"
            raise UsageError(f"the runtime {runtime} is not installed: pip install '{extra}'")
        return _load(runtime, data, name, count, exact=exact)
    with _choosing:
        chosen = _choices.get((key, count, shape))
        if chosen is None and len(there) > 1:
            images = np.random.default_rng(0).integers(0, 256, shape).astype(np.float32)
            session = _quickest(_load_working(there, data, name, count, images, exact=exact), images, name)
            _choices[key, count, shape] = session.runtime
            return session
    return _load(chosen or there[0], data, name, count, exact=exact)


def _load_working(
    there: Sequence[str], data: bytes, name: str, threads: int, images: FloatArray, *, exact: bool
) -> list[Session]:
    """The runtimes that load the graph and run it once, which compiles and fills caches; others are told in the log.

    Raises:
        ModelError: none does; why, of each.
    """
    sessions: list[Session] = []
    faults: list[str] = []
    for runtime in there:
        try:
            session = _load(runtime, data, name, threads, exact=exact)
            run_graph(session, images, name)
        except ModelError as error:
            faults.append(str(error))
            continue
        sessions.append(session)
    if not sessions:
        raise ModelError("; ".join(faults))
    for fault in faults:
        _log.warning("a runtime that fails is left out", problem=fault)
    return sessions


def _quickest(sessions: Sequence[Session], images: FloatArray, name: str) -> Session:
    """The one with the least median time; they take turns, so that a busy moment hits all."""
    if len(sessions) == 1:
        return sessions[0]
    times: dict[str, list[float]] = {session.runtime: [] for session in sessions}
    for _ in range(_TRIALS):
        for session in sessions:
            begun = time.perf_counter()
            run_graph(session, images, name)
            times[session.runtime].append(time.perf_counter() - begun)
    return min(sessions, key=lambda session: statistics.median(times[session.runtime]))


def run_graph(session: Session, images: FloatArray, name: str) -> NDArray[Any]:
    """The graph's first output.

    Raises:
        ModelError: the runtime failed.
    """
    try:
        return session.run(images)
    except Exception as error:  # the runtimes raise classes of their own that share no base
        raise ModelError(f"{name}: {session.runtime} failed on an input of {images.shape}: {_first(error)}") from error


def _load(runtime: str, data: bytes, name: str, threads: int, *, exact: bool) -> Session:
    try:
        return SESSIONS[runtime](data, threads, exact=exact)
    except ImportError as error:
        raise ModelError(f"{name}: {runtime} cannot be imported: {_first(error)}; install it again") from error
    except Exception as error:  # the runtimes raise classes of their own that share no base
        raise ModelError(f"{name}: {runtime} cannot load it: {_first(error)}; export the model again") from error


def _first(error: Exception) -> str:
    """The first line that says something, short."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300]


def _onnxruntime_port(port: Any) -> Port:
    kinds = {"float": "float32", "float16": "float16", "int64": "int64", "uint8": "uint8", "double": "float64"}
    kind = str(port.type).removeprefix("tensor(").removesuffix(")")
    shape = tuple(side if isinstance(side, int) else None for side in port.shape)
    return Port(port.name, kinds.get(kind, kind), shape)


def _openvino_port(port: Any) -> Port:
    kinds = {"f32": "float32", "f16": "float16", "i64": "int64", "u8": "uint8", "f64": "float64"}
    kind = port.get_element_type().get_type_name()
    ranked = port.get_partial_shape()
    shape = None if ranked.rank.is_dynamic else tuple(None if d.is_dynamic else d.get_length() for d in ranked)
    return Port(port.get_any_name(), kinds.get(kind, kind), shape)
