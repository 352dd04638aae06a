"""What a site file may say: one YAML for a store. ``site_file`` reads and checks it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    SecretStr,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from shelfvision.core.catalogue import Product
from shelfvision.core.events import Identifier
from shelfvision.core.planogram import CameraPlan, Slot, check_polygon
from shelfvision.errors import GeometryError

Corner = Annotated[tuple[float, float], Field(description="x, y in pixels of the camera's size")]


class Section(BaseModel):
    """A part of the site file; unknown keys are faults."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_value(cls, value: Any, info: ValidationInfo) -> Any:
        # pydantic would take true for 1, and YAML takes `on` and `yes` for true
        wants_it = info.field_name is not None and cls.model_fields[info.field_name].annotation is bool
        if not wants_it and _holds_bool(value):
            raise ValueError("true and false mean nothing here (YAML reads yes, no, on, off as such; quote text)")
        return value


def _holds_bool(value: Any) -> bool:
    return isinstance(value, bool) or (isinstance(value, list | tuple) and any(_holds_bool(item) for item in value))


class StoreSection(Section):
    """Which store this is."""

    id: Identifier = Field(description="short id, used in topics")
    name: str = Field(default="", max_length=200, description="what people call the store")
    timezone: str = Field(default="UTC", description="IANA name, such as Europe/Berlin")

    @field_validator("timezone")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"{value!r} is no IANA time zone, such as Europe/Berlin") from None
        return value


class BrokerSection(Section):
    """Where the MQTT broker listens and how we prove who we are."""

    url: str = Field(default="mqtt://127.0.0.1:1883", description="mqtt:// or mqtts:// host and port")
    username: str | None = Field(default=None, description="user name, if the broker wants one")
    password: SecretStr | None = Field(default=None, description="password; better ${ENV} than plain text")
    password_file: Path | None = Field(default=None, description="file whose first line is the password")
    ca_file: Path | None = Field(default=None, description="certificate authority that signed the broker's certificate")
    cert_file: Path | None = Field(default=None, description="our client certificate")
    key_file: Path | None = Field(default=None, description="key of our client certificate")

    @field_validator("url")
    @classmethod
    def _mqtt(cls, value: str) -> str:
        parts = urlsplit(value)
        try:
            port = parts.port
        except ValueError:
            raise ValueError("the port must be a number from 1 to 65535") from None
        if parts.scheme not in {"mqtt", "mqtts"} or not parts.hostname or port == 0:
            raise ValueError("expected mqtt://host:port or mqtts://host:port")
        if parts.username or parts.password or parts.path.strip("/") or parts.query:
            raise ValueError("only host and port belong into the url; user and password have keys of their own")
        return value

    @model_validator(mode="after")
    def _one_password(self) -> BrokerSection:
        if self.password is not None and self.password_file is not None:
            raise ValueError("give password or password_file, not both")
        return self

    @property
    def host(self) -> str:
        """Host name or address."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """TCP port; 8883 for mqtts and 1883 for mqtt when the url names none."""
        parts = urlsplit(self.url)
        return parts.port or (8883 if parts.scheme == "mqtts" else 1883)

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted."""
        return urlsplit(self.url).scheme == "mqtts"


class DeviceSection(Section):
    """The edge device that runs `shelfvision watch`."""

    id: Identifier = Field(default="edge-1", description="device id, used in topics")
    outbox: Path = Field(
        default=Path("var/outbox.sqlite"),
        description="file that holds events until the service has them; relative to the working folder",
    )
    outbox_max_mb: int = Field(
        default=256, ge=1, le=65_536, description="size at which old low-priority events give way"
    )
    delivery: Literal["watermark", "broker"] = Field(
        default="watermark",
        description="watermark: events go when the service has stored them; broker: when the broker took them (weaker)",
    )
    presence_window_seconds: float = Field(
        default=300, ge=5, le=86_400, description="length of the windows in which presence is counted"
    )

    @field_validator("id")
    @classmethod
    def _not_reserved(cls, value: str) -> str:
        if value in {"tasks", "ranking"}:
            raise ValueError(f"{value!r} is a topic of the store itself; choose another id")
        return value


class ModelsSection(Section):
    """Which trained networks the edge device uses."""

    detector: str = Field(
        default="default",
        min_length=1,
        description="default: the package's own where it has one; none; or an ONNX file with its sidecar beside it",
    )
    runtime: Literal["auto", "onnxruntime", "openvino"] = Field(
        default="auto", description="auto: the quicker of those that are installed, measured at the start"
    )
    threads: int | None = Field(
        default=None, ge=1, le=256, description="computing threads; the device's cores when absent"
    )


class SlotSection(Section):
    """The place of one SKU in one camera's picture."""

    id: Identifier = Field(description="slot id, unique on the device")
    polygon: list[Corner] = Field(min_length=3, max_length=64, description="corners in pixels of the camera's size")
    sku: str = Field(min_length=1, max_length=64, description="SKU of the catalogue")
    facings: int = Field(default=1, ge=1, le=1000, description="units side by side when full")
    capacity: int | None = Field(default=None, ge=1, le=10_000, description="units that fit; facings when absent")
    priority: float = Field(default=1.0, gt=0, le=100, allow_inf_nan=False, description="weight in the ranking")

    @model_validator(mode="after")
    def _room(self) -> SlotSection:
        if self.capacity is not None and self.capacity < self.facings:
            raise ValueError(f"capacity {self.capacity} is less than the {self.facings} facings side by side")
        return self


_CORNERS: TypeAdapter[list[Corner]] = TypeAdapter(list[Corner])
_SIZE: TypeAdapter[tuple[int, int]] = TypeAdapter(tuple[int, int])


def _is_sane(size: tuple[int, int]) -> bool:
    return all(16 <= side <= 16_384 for side in size)


def _polygon_faults(camera: Any) -> Iterator[InitErrorDetails]:
    """What is wrong with the shapes of a camera's slots; what is no list of corners is another check's business."""
    if not isinstance(camera, dict):
        return
    slots = camera.get("slots")
    try:
        size = _SIZE.validate_python(camera.get("size"))
    except ValidationError:
        return
    if not _is_sane(size):
        return
    for index, slot in enumerate(slots if isinstance(slots, list) else []):
        try:
            corners = _CORNERS.validate_python(slot.get("polygon") if isinstance(slot, dict) else None)
            if len(corners) >= 3:
                check_polygon(tuple(corners), size)
        except ValidationError:
            continue
        except GeometryError as error:
            fault = PydanticCustomError("geometry", "{text}", {"text": str(error)})
            yield {"type": fault, "loc": ("slots", index, "polygon"), "input": slot}


class CameraSection(Section):
    """One camera and the slots that it sees."""

    id: Identifier = Field(description="camera id, unique on the device")
    source: str = Field(
        min_length=1, description="file path, rtsp:// or http(s):// address, usb:0, /dev/video0 or sim:NAME?seed=1"
    )
    size: tuple[int, int] = Field(description="width, height in pixels that the polygons were drawn on")
    fps: float = Field(default=5, gt=0, le=120, allow_inf_nan=False, description="frames processed a second at most")
    slots: list[SlotSection] = Field(default_factory=list, max_length=2000, description="slots of this camera")

    @field_validator("size")
    @classmethod
    def _sane(cls, value: tuple[int, int]) -> tuple[int, int]:
        if not _is_sane(value):
            raise ValueError("width and height must be from 16 to 16384 pixels")
        return value

    @model_validator(mode="wrap")
    @classmethod
    def _polygons(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Polygons are checked against the size, also when something else in the camera is wrong."""
        faults: list[InitErrorDetails] = []
        camera: Self | None = None
        try:
            camera = handler(value)
        except ValidationError as error:
            # ErrorDetails is what from_exception_data takes but for its message, which it makes anew
            for fault in error.errors(include_url=False):
                kind = fault["type"]
                again: InitErrorDetails = {
                    "type": PydanticCustomError("value_error", "{text}", {"text": fault["msg"]})
                    if kind == "value_error"
                    else kind,
                    "loc": fault["loc"],
                    "input": fault["input"],
                    "ctx": fault.get("ctx", {}),
                }
                faults.append(again)
        faults.extend(_polygon_faults(value))
        if faults or camera is None:
            raise ValidationError.from_exception_data(cls.__name__, faults)
        return camera

    def plan(self) -> CameraPlan:
        """The slots as the core knows them."""
        return CameraPlan(
            self.id,
            self.size,
            tuple(
                Slot(s.id, tuple(s.polygon), s.sku, s.facings, s.capacity or s.facings, s.priority) for s in self.slots
            ),
        )


class ReplenishmentSection(Section):
    """How the service estimates demand, ranks and hands out tasks."""

    half_life_days: float = Field(default=7, gt=0, le=3650, description="age at which a pick-up counts half")
    horizon_hours: float = Field(default=4, gt=0, le=720, description="time until the next regular refill")
    rank_by: Literal["lost_value", "pickups"] = Field(default="lost_value", description="order of the restock tasks")
    task_minutes: float = Field(default=3, gt=0, le=480, description="staff effort for one task")
    claim_minutes: float = Field(default=30, gt=0, le=1440, description="a claimed task goes back to open after this")
    confirm_minutes: float = Field(
        default=10, gt=0, le=1440, description="a task reported done opens again if no refill is seen within this"
    )
    expire_hours: float = Field(default=24, gt=0, le=720, description="an open task nobody takes expires after this")
    retention_days: float = Field(default=90, gt=0, le=3650, description="raw events are deleted after this")


class UserSection(Section):
    """One person who may use the web page and API."""

    name: str = Field(
        min_length=1,
        max_length=100,
        pattern=r"^\S(.*\S)?$",
        description="login name; tasks show it as the one who claimed them",
    )
    role: Literal["staff", "manager"] = Field(
        default="staff", description="a manager may also give back or close what another person has claimed"
    )
    password_hash: SecretStr = Field(description="argon2 hash, as `shelfvision password` prints it; never the password")

    @field_validator("password_hash")
    @classmethod
    def _argon2(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value().startswith("$argon2id$"):
            raise ValueError(
                "expected an argon2id hash such as $argon2id$v=19$...; make one with `shelfvision password`"
            )
        return value


class WebSection(Section):
    """Who may open the web page, and how it is encrypted.

    Without users it works without login, and only for this machine (loopback).
    """

    users: list[UserSection] = Field(default_factory=list, max_length=1000, description="nobody: loopback only")
    cert_file: Path | None = Field(default=None, description="TLS certificate chain of the web page, PEM")
    key_file: Path | None = Field(default=None, description="key of the certificate, PEM")
    public_url: str | None = Field(
        default=None, description="https address that people open when a reverse proxy on this machine does TLS"
    )
    session_hours: float = Field(default=12, gt=0, le=720, description="a login lasts this long")

    @field_validator("public_url")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme != "https" or not parts.hostname or parts.username or parts.path.strip("/") or parts.query:
            raise ValueError("expected only scheme and host, such as https://shelf.example.com")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _whole(self) -> WebSection:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file belong together; give both or none")
        if self.public_url is not None and not self.users:
            raise ValueError("public_url needs users: without login the page is for this machine only")
        names = [user.name.casefold() for user in self.users]
        twice = sorted({user.name for user in self.users if names.count(user.name.casefold()) > 1})
        if twice:
            raise ValueError(f"user {twice[0]!r} stands there twice; keep one")
        return self


class Site(Section):
    """Everything one store's edge device and replenishment service need to know."""

    version: Literal[1] = Field(default=1, description="version of this file's format")
    store: StoreSection
    broker: BrokerSection = BrokerSection()
    device: DeviceSection = DeviceSection()
    models: ModelsSection = ModelsSection()
    catalogue: list[Product] = Field(
        min_length=1, description="products here, or the path of a CSV with the same columns"
    )
    cameras: list[CameraSection] = Field(min_length=1, description="at least one camera")
    replenishment: ReplenishmentSection = ReplenishmentSection()
    web: WebSection = WebSection()
