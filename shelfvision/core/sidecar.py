"""What stands beside every model: the JSON that says what it is, takes and gives, and where it came from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from shelfvision.core.faults import fault_lines
from shelfvision.core.letterbox import PADDING
from shelfvision.core.strict_json import loads
from shelfvision.errors import MalformedMessageError, ModelError

INPUT_NAME = "images"
OUTPUT_NAME = "detections"
OUTPUT_COLUMNS = 7  # batch index, x1, y1, x2, y2, score, label
MAX_SIDE = 8192  # pixels of an input; larger pictures are tiled
_MAX_BYTES = 1_000_000

Name = Annotated[str, Field(min_length=1, max_length=200)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class InputSpec(_Strict):
    """The pictures that a detector takes: float32 (b, 3, h, w), letterboxed with the picture at the upper left."""

    size: int = Field(ge=32, le=MAX_SIDE, description="longer side in pixels that accuracy was measured at")
    multiple: int = Field(default=32, ge=1, le=256, description="height and width are multiples of this")
    channels: Literal["bgr"] = Field(default="bgr", description="order of the three colour planes")
    range: Literal["0..255"] = Field(default="0..255", description="values of a pixel; scaling is in the graph")
    padding: int = Field(default=PADDING, ge=0, le=255, description="grey level beside and below the picture")

    @model_validator(mode="after")
    def _whole(self) -> InputSpec:
        if self.size % self.multiple:
            raise ValueError(f"size {self.size} is no multiple of {self.multiple}")
        return self


class Thresholds(_Strict):
    """Scores and overlaps in [0, 1]."""

    least: float = Field(ge=0, le=1, description="the graph gives no box below this score")
    score: float = Field(ge=0, le=1, description="a box is believed from this score on")
    overlap: float = Field(gt=0, le=1, description="IoU above which the weaker of two boxes of a class is dropped")
    overlap_of: dict[Name, Annotated[float, Field(gt=0, le=1)]] = Field(
        default_factory=dict, description="the same for classes that have one of their own"
    )

    @model_validator(mode="after")
    def _ordered(self) -> Thresholds:
        if self.score < self.least:
            raise ValueError(f"score {self.score} lies below least {self.least}, under which the graph gives no boxes")
        return self


class Sidecar(_Strict):
    """A detector's sidecar, ``NAME.json`` beside ``NAME.onnx``."""

    version: Literal[1] = Field(default=1, description="version of this format")
    kind: Literal["detector"] = Field(default="detector", description="what the model does")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="of the ONNX file")
    bytes: int = Field(ge=1, description="length of the ONNX file")
    opset: int = Field(ge=17, le=100, description="of the default ONNX operator set")
    precision: Literal["float32", "int8"] = Field(default="float32", description="of the network's layers")
    input: InputSpec
    labels: list[Name] = Field(min_length=1, max_length=10_000, description="class names by index")
    thresholds: Thresholds
    most: int = Field(ge=1, le=100_000, description="most boxes of one class in one picture")
    provenance: dict[str, JsonValue] = Field(description="data, command, commit, date, scores, parity")

    @model_validator(mode="after")
    def _names_differ(self) -> Sidecar:
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("a class name stands twice in labels")
        if unknown := [name for name in self.thresholds.overlap_of if name not in self.labels]:
            raise ValueError(f"thresholds.overlap_of names {unknown[0]!r}, which is not in labels")
        return self

    def to_json(self) -> str:
        """The text of the file."""
        return self.model_dump_json(indent=2) + "\n"


def parse_sidecar(data: bytes, *, name: str) -> Sidecar:
    """The sidecar in a file's bytes.

    Args:
        data: at most 1 MB of UTF-8 JSON.
        name: of the file, for messages.

    Raises:
        ModelError: not JSON, of another version or kind, or with faults; the first is named.
    """
    try:
        value = loads(data, max_bytes=_MAX_BYTES)
    except MalformedMessageError as error:
        raise ModelError(f"{name}: no sidecar: {error}; export the model again") from None
    if not isinstance(value, dict):
        raise ModelError(f"{name}: no sidecar: expected a JSON object; export the model again")
    if (kind := value.get("kind")) != "detector":
        raise ModelError(f"{name}: describes a model of kind {kind!r}, expected 'detector'; give a detector's file")
    if (version := value.get("version")) != 1:
        raise ModelError(f"{name}: format version {version!r}, this program knows 1; export the model again with it")
    try:
        # JSON has one kind of number: 1 is a fine score
        return Sidecar.model_validate_json(data)
    except ValidationError as error:
        raise ModelError(f"{name}: {fault_lines(error, Sidecar)[0]}; export the model again") from None
