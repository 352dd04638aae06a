"""A trained network as it is used: an ONNX file and its sidecar, checked and loaded; no torch."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shelfvision.core.detections import FloatArray
from shelfvision.core.sidecar import INPUT_NAME, MAX_SIDE, OUTPUT_COLUMNS, OUTPUT_NAME, Sidecar, parse_sidecar
from shelfvision.edge.onnx_file import MAX_BYTES, check_onnx
from shelfvision.edge.runtimes import Port, RuntimeName, open_session, run_graph
from shelfvision.errors import ModelError

_PICKLES = frozenset({".bin", ".ckpt", ".joblib", ".npy", ".npz", ".pickle", ".pkl", ".pt", ".pth", ".tar"})
_MAX_SIDECAR_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model file that was checked against its sidecar, but not loaded into a runtime."""

    path: Path
    data: bytes
    sidecar: Sidecar


def read_model(path: Path) -> ModelFile:
    """Read and check a model and its sidecar.

    Args:
        path: ``NAME.onnx``; its sidecar is ``NAME.json`` beside it.

    Raises:
        ModelError: missing, no ONNX, a pickle, larger than 512 MB, weights in other files, no or a faulty sidecar,
            or not the file that the sidecar describes.
    """
    if path.suffix.lower() in _PICKLES:
        raise ModelError(
            f"{path}: looks like a checkpoint that can run code; give an .onnx file of `shelfvision export`"
        )
    if path.is_dir():
        raise ModelError(f"{path}: is a folder; give the .onnx file, or run `shelfvision export` on a checkpoint")
    if path.suffix.lower() != ".onnx":
        raise ModelError(f"{path}: expected a file NAME.onnx with NAME.json beside it")
    data = _read(path, MAX_BYTES, "model file")
    beside = path.with_suffix(".json")
    if not beside.is_file():
        check_onnx(data, name=str(path))  # what is no ONNX at all is told first
        raise ModelError(f"{beside}: the model's sidecar is missing; copy it too, or export the model again")
    sidecar = parse_sidecar(_read(beside, _MAX_SIDECAR_BYTES, "sidecar"), name=str(beside))
    check_onnx(data, name=str(path))
    if len(data) != sidecar.bytes or hashlib.sha256(data).hexdigest() != sidecar.sha256:
        raise ModelError(
            f"{path}: not the file that {beside.name} describes (its sha256 differs); copy both again or export anew"
        )
    return ModelFile(path, data, sidecar)


class Model:
    """A network on a runtime.

    Args:
        file: what ``read_model`` gave.
        runtime: ``auto`` measures those that are installed and takes the quickest.
        threads: computing threads; all cores when absent.
        exact: no reduced precision (OpenVINO uses bfloat16 where the processor has it).

    Attributes:
        runtime: the name of the one that is used.

    Raises:
        ModelError: the runtime refuses the graph, or its inputs and outputs are not the contract's.
        UsageError: the runtime is not installed.
    """

    def __init__(
        self, file: ModelFile, *, runtime: RuntimeName = "auto", threads: int | None = None, exact: bool = False
    ) -> None:
        self.path, self.sidecar = file.path, file.sidecar
        self._name = str(file.path)
        spec = file.sidecar.input
        # half as high as wide: about what a camera's picture takes
        height = max(spec.multiple, spec.size * 5 // 8 // spec.multiple * spec.multiple)
        self._session = open_session(
            file.data,
            name=self._name,
            key=file.sidecar.sha256,
            runtime=runtime,
            threads=threads,
            shape=(1, 3, height, spec.size),
            exact=exact,
        )
        self.runtime = self._session.runtime
        self._lock = threading.Lock()
        _check_ports(self._name, self._session.inputs, self._session.outputs)

    def run(self, images: FloatArray) -> FloatArray:
        """What the graph finds; may be called from several threads.

        Args:
            images: (b, 3, h, w) float32, BGR 0..255; h and w multiples of the sidecar's.

        Returns:
            (m, 7): batch index, x1, y1, x2, y2 in pixels of the input, score, label.

        Raises:
            ModelError: an input of the wrong shape, or the runtime failed.
        """
        multiple = self.sidecar.input.multiple
        sides = images.shape[2:]
        fits = images.ndim == 4 and images.shape[1] == 3 and images.shape[0] > 0
        if not fits or any(side % multiple or not 0 < side <= MAX_SIDE for side in sides):
            raise ModelError(
                f"{self._name}: an input of shape {images.shape}, expected (b, 3, h, w) with multiples of {multiple}"
            )
        with self._lock:
            found = run_graph(self._session, np.ascontiguousarray(images, np.float32), self._name)
        if found.ndim != 2 or found.shape[1] != OUTPUT_COLUMNS:
            raise ModelError(f"{self._name}: gave an output of shape {found.shape}, expected (m, {OUTPUT_COLUMNS})")
        if len(found) and not 0 <= found[:, 6].max() < len(self.sidecar.labels):
            raise ModelError(
                f"{self._name}: found class {found[:, 6].max():g}, but its sidecar names {len(self.sidecar.labels)} "
                "classes; export it again"
            )
        return np.asarray(found, np.float32)


def _check_ports(name: str, inputs: Sequence[Port], outputs: Sequence[Port]) -> None:
    """The graph must have the contract's one input and one output."""
    wanted_input, wanted_output = (None, 3, None, None), (None, OUTPUT_COLUMNS)
    for what, ports, expected, fits in (
        ("input", inputs, f"{INPUT_NAME!r} float32 (*, 3, *, *)", _is(inputs, INPUT_NAME, wanted_input)),
        ("output", outputs, f"{OUTPUT_NAME!r} float32 (*, {OUTPUT_COLUMNS})", _is(outputs, OUTPUT_NAME, wanted_output)),
    ):
        if not fits:
            found = ", ".join(_describe(port) for port in ports) or "none"
            raise ModelError(f"{name}: its {what} is {found}, expected {expected}; export it with `shelfvision export`")


def _is(ports: Sequence[Port], name: str, shape: tuple[int | None, ...]) -> bool:
    """Whether this is the one port, where what is free must be free; runtimes may not know an output's shape."""
    if len(ports) != 1 or ports[0].name != name or ports[0].dtype != "float32":
        return False
    there = ports[0].shape
    if there is None:
        return name == OUTPUT_NAME
    if len(there) != len(shape):
        return False
    return all(
        side == wanted or (side is None and wanted is not None) for side, wanted in zip(there, shape, strict=True)
    )


def _describe(port: Port) -> str:
    shape = "any shape" if port.shape is None else f"({', '.join('*' if s is None else str(s) for s in port.shape)})"
    return f"{port.name!r} {port.dtype} {shape}"


def _read(path: Path, most: int, what: str) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise ModelError(f"{path}: not a file")
        with path.open("rb") as file:
            data = file.read(most + 1)
    except FileNotFoundError:
        raise ModelError(f"{path}: no such {what}; check the path") from None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError:  # a NUL character in the name
        raise ModelError(f"{str(path)!r}: not a file name") from None
    if len(data) > most:
        raise ModelError(f"{path}: larger than {most // 1_000_000} MB; this is no {what} of ours")
    return data
