"""Looks into an ONNX file without the ``onnx`` package: that it is one, and that all its weights are inside.

The wire format is Protocol Buffers (https://protobuf.dev/programming-guides/encoding/), the field numbers are those of
https://github.com/onnx/onnx/blob/main/onnx/onnx.proto. Nothing is decoded but the places where a tensor may stand.
"""

from __future__ import annotations

from collections.abc import Iterator

from shelfvision.errors import ModelError

MAX_BYTES = 512_000_000
_MAX_DEPTH = 32
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

# message -> field number -> message in it; a tensor is where weights stand
_INSIDE: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_TENSOR_EXTERNAL_DATA, _TENSOR_DATA_LOCATION, _EXTERNAL = 13, 14, 1
_MODEL_IR_VERSION, _MODEL_GRAPH, _MODEL_OPSETS = 1, 7, 8


class _DamagedError(Exception):
    """The bytes are no Protocol Buffers message."""


def check_onnx(data: bytes, *, name: str) -> None:
    """Check that the bytes are an ONNX model with all its weights inside.

    Args:
        data: the whole file.
        name: of the file, for messages.

    Raises:
        ModelError: empty, a pickle or archive (a torch checkpoint), no ONNX, cut off, or with weights in other files.
    """
    if not data:
        raise ModelError(f"{name}: is empty; copy or export it again")
    if data[:2] in {b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"} or data[:4] == b"PK\x03\x04":
        raise ModelError(
            f"{name}: a pickle or archive, not ONNX; such files can run code and are never loaded: export the model"
        )
    view = memoryview(data)
    try:
        seen = {number for number, _, _ in _fields(view)}
        external = _has_external(view, "model", 0)
    except _DamagedError:
        raise ModelError(f"{name}: not an ONNX file, or damaged or cut off; export or copy it again") from None
    if not {_MODEL_IR_VERSION, _MODEL_GRAPH, _MODEL_OPSETS} <= seen:
        raise ModelError(f"{name}: not an ONNX model; export it with `shelfvision export`")
    if external:
        raise ModelError(f"{name}: keeps weights in other files, which are never read; export it into one file")


def _has_external(message: memoryview, kind: str, depth: int) -> bool:
    if depth > _MAX_DEPTH:
        raise _DamagedError
    inside = _INSIDE[kind]
    for number, wire, value in _fields(message):
        if kind == "tensor":
            if number == _TENSOR_EXTERNAL_DATA or (number == _TENSOR_DATA_LOCATION and value == _EXTERNAL):
                return True
        elif number in inside:
            if wire != _BYTES or isinstance(value, int):
                raise _DamagedError
            if _has_external(value, inside[number], depth + 1):
                return True
    return False


def _fields(message: memoryview) -> Iterator[tuple[int, int, memoryview | int]]:
    """Field number, wire type and value of each field; numbers are ints, all else views."""
    at, end = 0, len(message)
    while at < end:
        key, at = _varint(message, at)
        number, wire = key >> 3, key & 7
        value: memoryview | int
        if wire == _VARINT:
            value, at = _varint(message, at)
        elif wire in {_FIXED64, _FIXED32, _BYTES}:
            length = {_FIXED64: 8, _FIXED32: 4}.get(wire, 0)
            if wire == _BYTES:
                length, at = _varint(message, at)
            if length > end - at:
                raise _DamagedError
            value, at = message[at : at + length], at + length
        else:
            raise _DamagedError
        if number == 0:
            raise _DamagedError
        yield number, wire, value


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(message) or shift > 63:
            raise _DamagedError
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
