"""How strongly training pictures are changed; every strength is off at 0."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class AugmentSettings(BaseModel):
    """Strengths and probabilities of augmentation, in the order in which they are applied.

    With everything at 0 a picture is only letterboxed, as in evaluation.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    copy_paste: float = Field(
        0.2, ge=0, le=1, description="Share of pictures onto which products of others are pasted."
    )
    mosaic: float = Field(0.5, ge=0, le=1, description="Share of inputs that are put together from four pictures.")
    zoom_in: float = Field(
        0.5, ge=0, le=4, description="Pictures grow up to 1 + this; what is cut off is a random crop."
    )
    zoom_out: float = Field(0.5, ge=0, le=4, description="Pictures shrink down to 1 / (1 + this).")
    stretch: float = Field(0.1, ge=0, le=1, description="Width against height changes by up to this share.")
    rotate: float = Field(2.0, ge=0, le=45, description="Rotation up to so many degrees, either way.")
    flip: float = Field(0.5, ge=0, le=1, description="Share of pictures that are mirrored left to right.")
    light: float = Field(0.5, ge=0, le=1, description="Strength of brightness, contrast and gamma changes.")
    colour: float = Field(0.5, ge=0, le=1, description="Strength of hue, saturation and colour temperature changes.")
    grey: float = Field(0.02, ge=0, le=1, description="Share of pictures that lose their colours.")
    blur: float = Field(0.3, ge=0, le=1, description="Strength of motion blur, defocus and lost resolution.")
    noise: float = Field(0.3, ge=0, le=1, description="Strength of sensor noise.")
    compression: float = Field(0.3, ge=0, le=1, description="Strength of JPEG compression.")
    least_visible: float = Field(
        0.4, ge=0, le=1, description="A box of which a crop leaves less than this share becomes an ignore region."
    )
    least_pixels: float = Field(
        3.0, ge=0, description="A box with a side of fewer pixels in the input becomes an ignore region."
    )
    most_hidden: float = Field(
        0.6, ge=0, le=1, description="A box of which something pasted covers more than this share is ignored."
    )


AUGMENT_OFF = AugmentSettings(
    copy_paste=0,
    mosaic=0,
    zoom_in=0,
    zoom_out=0,
    stretch=0,
    rotate=0,
    flip=0,
    light=0,
    colour=0,
    grey=0,
    blur=0,
    noise=0,
    compression=0,
)
