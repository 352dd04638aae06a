"""The service's memory: what devices sent, what is believed of slots, the tasks. One transaction a step."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import delete, func, select, update

from shelfvision.config import Site
from shelfvision.core.messages import Ack
from shelfvision.service import ingest, live_state
from shelfvision.service.database import Database
from shelfvision.service.live_state import LiveMessage
from shelfvision.service.schema import cameras, dead_letters, devices, inbox, products, slots, watermarks
from shelfvision.service.task_rows import delete_old
from shelfvision.service.upsert import upsert
from shelfvision.transport.inbox import Delivery

_MAX_DEAD_LETTERS = 10_000
_DELETE_AT_ONCE = 5_000


def open_store(url: str, store: str | None = None) -> Store:
    """Open or make the service's database.

    Args:
        url: ``sqlite:///path``, the bare path of an SQLite file, or ``postgresql://user:password@host/name``.
        store: store id that the database is (or becomes) bound to; None takes what is there.

    Raises:
        StoreError: one line that says why it cannot be used.
    """
    return Store(Database(url, store))


class Store:
    """What the service knows, behind transactions. Thread-safe; implements ``transport.inbox.InboxStore``."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._listeners: list[Callable[[ingest.Taken], None]] = []

    def close(self) -> None:
        """Close the database."""
        self.database.close()

    def on_applied(self, listener: Callable[[ingest.Taken], None]) -> None:
        """Call ``listener`` with what a batch did, after its commit and in order; it must be quick."""
        self._listeners.append(listener)

    def apply(self, deliveries: Sequence[Delivery]) -> Mapping[str, Ack]:
        """Store and apply messages in one transaction; see ``InboxStore.apply``.

        Raises:
            StoreError: nothing was stored; trying again is safe.
        """
        with self.database.write() as connection:
            taken = ingest.ingest(connection, deliveries)
        for listener in self._listeners:
            listener(taken)
        return taken.acks

    def watermarks(self) -> Mapping[str, Ack]:
        """The watermark of every known device in the epoch that was heard last."""
        query = select(watermarks.c.device, watermarks.c.epoch, watermarks.c.seq).join(
            devices, (devices.c.device == watermarks.c.device) & (devices.c.epoch == watermarks.c.epoch)
        )
        with self.database.read() as connection:
            return {row.device: Ack(epoch=row.epoch, seq=row.seq) for row in connection.execute(query)}

    def adopt_site(self, site: Site) -> None:
        """Copy products, cameras and slots from the site file; what it no longer names stays as history."""
        device = site.device.id
        with self.database.write() as connection:
            connection.execute(update(products).values(planned=False))
            connection.execute(update(cameras).values(planned=False))
            connection.execute(update(slots).values(planned=False))
            product_rows = [
                {
                    "sku": product.sku,
                    "name": product.name,
                    "category": product.category,
                    "unit_value": product.unit_value,
                    "backroom_units": product.backroom_units,
                    "position": position,
                    "planned": True,
                }
                for position, product in enumerate(site.catalogue)
            ]
            upsert(connection, products, product_rows, replace=tuple(product_rows[0])[1:])
            camera_rows = [
                {
                    "device": device,
                    "camera": camera.id,
                    "position": position,
                    "planned": True,
                    "width": camera.size[0],
                    "height": camera.size[1],
                }
                for position, camera in enumerate(site.cameras)
            ]
            upsert(connection, cameras, camera_rows, replace=tuple(camera_rows[0])[2:])
            slot_rows: list[dict[str, Any]] = []
            for camera in site.cameras:
                for slot in camera.plan().slots:
                    slot_rows.append(
                        {
                            "device": device,
                            "slot": slot.id,
                            "camera": camera.id,
                            "sku": slot.sku,
                            "position": len(slot_rows),
                            "planned": True,
                            "capacity": slot.capacity,
                            "facings": slot.facings,
                            "priority": slot.priority,
                            "polygon": json.dumps(slot.polygon),
                            "changes": 0,
                            "refills": 0,
                        }
                    )
            names = ("camera", "sku", "position", "planned", "capacity", "facings", "priority", "polygon")
            upsert(connection, slots, slot_rows, replace=names)

    def keep_live(self, messages: Sequence[LiveMessage]) -> None:
        """Keep slot states, camera and device status, in the order in which they came."""
        with self.database.write() as connection:
            live_state.keep(connection, messages)

    def forget(self, now: float, retention_days: float) -> int:
        """Delete raw events and closed tasks past their retention; how many events went.

        Events are known by their watermark, so a repeat of a deleted one is still recognised. Counts by hour,
        stockouts and what is not applied yet stay.
        """
        before = now - retention_days * 86_400
        with self.database.write() as connection:
            old = (
                select(inbox.c.device, inbox.c.epoch, func.max(inbox.c.seq).label("last"))
                .join(watermarks, (watermarks.c.device == inbox.c.device) & (watermarks.c.epoch == inbox.c.epoch))
                .where(inbox.c.received_at < before, inbox.c.seq <= watermarks.c.seq)
                .group_by(inbox.c.device, inbox.c.epoch)
            )
            gone = 0
            for row in connection.execute(old).all():
                where = (inbox.c.device == row.device, inbox.c.epoch == row.epoch, inbox.c.received_at < before)
                first = connection.scalar(select(func.min(inbox.c.seq)).where(*where)) or 0
                last = min(row.last, first + _DELETE_AT_ONCE)
                gone += connection.execute(delete(inbox).where(*where, inbox.c.seq <= last)).rowcount
            newest = connection.scalar(select(func.max(dead_letters.c.id))) or 0
            connection.execute(
                delete(dead_letters).where(
                    (dead_letters.c.received_at < before) | (dead_letters.c.id <= newest - _MAX_DEAD_LETTERS)
                )
            )
            delete_old(connection, before)
        return gone
