"""The product detector: backbone, neck and head as one network."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Self, cast

import torch
from torch import Tensor, nn

from shelfvision.errors import ModelError
from shelfvision.models.backbones import STRIDES, Backbone, make_backbone
from shelfvision.models.head import DecoupledHead
from shelfvision.models.layers import ACTIVATIONS
from shelfvision.models.neck import PathAggregation


@dataclass(frozen=True, slots=True)
class DetectorConfig:
    """All that is needed to build the network again.

    Raises:
        ModelError: a value that no network can be built from.
    """

    labels: tuple[str, ...]
    backbone: str = "csp_nano"
    neck: tuple[int, int, int] = (64, 128, 256)  # channels at strides 8, 16, 32
    head: int = 64  # channels of the towers
    activation: str = "silu"

    def __post_init__(self) -> None:
        faults = {
            "labels: expected at least one class name": len(self.labels) > 0,
            "labels: a class name comes twice": len(set(self.labels)) == len(self.labels),
            f"neck: expected three even widths, found {self.neck}": len(self.neck) == 3
            and all(width > 0 and width % 2 == 0 for width in self.neck),
            f"head: expected a positive width, found {self.head}": self.head > 0,
            f"activation: expected one of {', '.join(ACTIVATIONS)}, found {self.activation!r}": self.activation
            in ACTIVATIONS,
        }
        wrong = [fault for fault, right in faults.items() if not right]
        if wrong:
            raise ModelError("\n".join(f"detector {fault}" for fault in wrong))

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """From what ``to_json`` gave.

        Raises:
            ModelError: a key is missing or unknown, or a value is wrong.
        """
        try:
            known: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
            return cls(**known)
        except TypeError as error:
            raise ModelError(f"detector configuration: {error}") from error


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the network says at each of its n points, finest map first."""

    boxes: Tensor  # (b, n, 4) x1, y1, x2, y2 in pixels of the input
    logits: Tensor  # (b, n, c) one a class; sigmoid gives class probability times expected overlap
    points: Tensor  # (n, 2) centres x, y of the points in pixels of the input
    strides: Tensor  # (n,) pixels between the points of its map


class Detector(nn.Module):
    """Finds boxes of ``config.labels`` in pictures.

    Args:
        config: the layout.
        pretrained: begin with the backbone's ImageNet weights.

    Raises:
        ModelError: the backbone is unknown or its weights cannot be had.
    """

    mean: Tensor

    def __init__(self, config: DetectorConfig, *, pretrained: bool = False) -> None:
        super().__init__()
        self.config = config
        self.backbone = make_backbone(config.backbone, pretrained=pretrained, activation=config.activation)
        plan = cast("Backbone", self.backbone)
        self.neck = PathAggregation(plan.channels, config.neck, config.activation)
        self.head = DecoupledHead(config.neck, config.head, len(config.labels), config.activation)
        self.register_buffer("mean", torch.tensor(plan.mean).view(1, 3, 1, 1), persistent=False)
        self.scale, self.rgb = plan.scale, plan.rgb

    @property
    def stages(self) -> nn.ModuleList:
        """The backbone's parts from the input on; freezing begins here."""
        return cast("Backbone", self.backbone).stages

    def forward(self, images: Tensor) -> Prediction:
        """Pictures (b, 3, h, w), float, blue first, 0 to 255; h and w are multiples of 32."""
        x = images.flip(1) if self.rgb else images
        if self.scale != 1 or self.rgb:
            x = (x - self.mean) * self.scale
        maps = self.neck(self.backbone(x))
        logits, boxes, points, strides = [], [], [], []
        for (scores, raw), level, stride in zip(self.head(maps), maps, STRIDES, strict=True):
            corner = _grid(level)  # (h * w, 2)
            # as YOLOX: the centre is an offset from the cell's corner, the sides are exponentials, both in strides
            centre = (raw[..., :2].float() + corner) * stride
            half = raw[..., 2:].float().clamp(max=8.0).exp() * (stride / 2)
            boxes.append(torch.cat([centre - half, centre + half], dim=-1))
            logits.append(scores.float())
            points.append((corner + 0.5) * stride)
            strides.append(torch.full_like(corner[:, 0], stride))
        return Prediction(torch.cat(boxes, 1), torch.cat(logits, 1), torch.cat(points), torch.cat(strides))


def _grid(level: Tensor) -> Tensor:
    """(h * w, 2) columns and rows of a map's cells."""
    rows = torch.arange(level.shape[2], device=level.device, dtype=torch.float32)
    columns = torch.arange(level.shape[3], device=level.device, dtype=torch.float32)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack([x, y], dim=-1).reshape(-1, 2)
