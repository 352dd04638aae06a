"""Tables of the service's database. Times are POSIX seconds; SQL is kept portable between SQLite and PostgreSQL."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

SCHEMA_VERSION = 1

metadata = MetaData()

meta = Table(
    "meta",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)

# --- delivery: what came in, and how far each device is known without holes ---

watermarks = Table(
    "watermarks",
    metadata,
    Column("device", String(64), primary_key=True),
    Column("epoch", String(32), primary_key=True),
    Column("seq", BigInteger, nullable=False),  # everything up to here is applied
    Column("highest", BigInteger, nullable=False),  # the highest seq stored; above ``seq`` there is a hole
    Column("used_at", Double, nullable=False),
)

inbox = Table(
    "inbox",
    metadata,
    Column("device", String(64), primary_key=True),
    Column("epoch", String(32), primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("event_id", String(64)),
    Column("type", String(64)),
    Column("time", Double),
    Column("received_at", Double, nullable=False),
    Column("payload", LargeBinary),  # None for a place in the sequence that a dead letter took
    Index("inbox_received_at", "received_at"),
)

gaps = Table(
    "gaps",
    metadata,
    Column("device", String(64), primary_key=True),
    Column("epoch", String(32), primary_key=True),
    Column("first_seq", BigInteger, primary_key=True),
    Column("last_seq", BigInteger, primary_key=True),
    Column("reason", String(500)),
    Column("received_at", Double, nullable=False),
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("device", String(64), nullable=False),
    Column("epoch", String(32)),
    Column("seq", BigInteger),
    Column("topic", String(300), nullable=False),
    Column("received_at", Double, nullable=False),
    Column("fault", String(500), nullable=False),
    Column("raw", LargeBinary, nullable=False),
)

devices = Table(
    "devices",
    metadata,
    Column("device", String(64), primary_key=True),
    Column("epoch", String(32)),  # the epoch that was heard last; its watermark is the one acknowledged
    Column("status", String(16)),  # online, offline; None before the first status message
    Column("status_since", Double),
    Column("version", String(64)),
    Column("backlog", Integer),
    Column("dropped", BigInteger),
    Column("last_received_at", Double),
    Column("last_event_at", Double),  # time of the newest event applied, by the device's clock
    Column("clock_lag", Double),  # received_at - event time of the newest event, seconds; for display only
)

cameras = Table(
    "cameras",
    metadata,
    Column("device", String(64), primary_key=True),
    Column("camera", String(64), primary_key=True),
    Column("position", Integer, nullable=False),  # order in the site file
    Column("planned", Boolean, nullable=False),  # stands in the site file now
    Column("width", Integer),
    Column("height", Integer),
    Column("status", String(16)),
    Column("status_since", Double),
    Column("fps", Double),
    Column("error", String(500)),
    Column("updated_at", Double),
)

# --- what the store sells and where it stands: copied from the site file at start ---

products = Table(
    "products",
    metadata,
    Column("sku", String(64), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("category", String(100), nullable=False),
    Column("unit_value", Double, nullable=False),
    Column("backroom_units", Integer),
    Column("position", Integer, nullable=False),
    Column("planned", Boolean, nullable=False),
)

slots = Table(
    "slots",
    metadata,
    Column("device", String(64), primary_key=True),
    Column("slot", String(64), primary_key=True),
    Column("camera", String(64), nullable=False),
    Column("sku", String(64), nullable=False),
    Column("position", Integer, nullable=False),  # walking order: order in the site file
    Column("planned", Boolean, nullable=False),
    Column("capacity", Integer, nullable=False),
    Column("facings", Integer, nullable=False),
    Column("priority", Double, nullable=False),
    Column("polygon", Text),  # JSON [[x, y], ...] in pixels of the camera's size
    # believed: from stock events in order of seq; never unknown; None before the first
    Column("condition", String(16)),
    Column("condition_since", Double),
    Column("condition_at", Double),  # device time of the newest stock event
    Column("fullness", Double),
    Column("seen_facings", Integer),
    Column("confidence", Double),
    Column("changes", Integer, nullable=False),  # times that the condition became another one
    Column("refills", Integer, nullable=False),  # times that it became in_stock
    Column("muted_change", Integer),  # value of ``changes`` at which staff said that there is nothing to refill
    # live: the newest retained state message, for reading
    Column("live_state", String(16)),
    Column("live_since", Double),
    Column("live_at", Double),  # device time
    Column("live_from", Double),  # when, by our clock, we first heard of this live state
    Column("live_fullness", Double),
    Column("live_facings", Integer),
    Column("live_confidence", Double),
    Column("live_obstructed", Boolean),
    Column("live_last_known", String(16)),
)

# --- what happened, counted ---

activity = Table(
    "activity",
    metadata,
    Column("sku", String(64), primary_key=True),
    Column("device", String(64), primary_key=True),
    Column("slot", String(64), primary_key=True),
    Column("hour", Integer, primary_key=True),  # POSIX hour: floor(seconds / 3600)
    Column("pick_ups", Integer, nullable=False),  # units, shoppers only
    Column("put_backs", Integer, nullable=False),
    Column("touches", Integer, nullable=False),
    Column("staff_units", Integer, nullable=False),  # units moved by staff
    Column("holds", Integer, nullable=False),  # put-backs with a linked pick-up
    Column("hold_seconds", Double, nullable=False),  # sum over holds
    Column("available_seconds", Double, nullable=False),  # in stock and in view
    Index("activity_hour", "hour"),
)

traffic = Table(
    "traffic",
    metadata,
    Column("device", String(64), primary_key=True),
    Column("camera", String(64), primary_key=True),
    Column("hour", Integer, primary_key=True),
    Column("passes", Integer, nullable=False),
    Column("stops", Integer, nullable=False),
)

stockouts = Table(
    "stockouts",
    metadata,
    Column("device", String(64), primary_key=True),
    Column("slot", String(64), primary_key=True),
    Column("change", Integer, primary_key=True),  # slots.changes at the stockout
    Column("sku", String(64), nullable=False),
    Column("onset_at", Double, nullable=False),
    Column("alerted_at", Double, nullable=False),
    Column("ended_at", Double),
    Column("false_alarm", Boolean, nullable=False),
    Column("note", String(200)),
    Index("stockouts_onset_at", "onset_at"),
)

# --- restock tasks ---

tasks = Table(
    "tasks",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("place", String(140), unique=True),  # "device/slot" while not closed: at most one such task a slot
    Column("version", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("device", String(64), nullable=False),
    Column("slot", String(64), nullable=False),
    Column("sku", String(64), nullable=False),
    Column("name", String(200), nullable=False),
    Column("units", Integer, nullable=False),
    Column("condition", String(16), nullable=False),
    Column("onset_at", Double),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Column("opened_at", Double, nullable=False),
    Column("claimed_by", String(100)),
    Column("claimed_at", Double),
    Column("done_at", Double),
    Column("note", String(300)),
    Column("closed_reason", String(200)),
    Column("slot_changes", Integer, nullable=False),  # slots.changes when the condition was last taken over
    Column("slot_refills", Integer, nullable=False),  # slots.refills when the task was made
    Column("rank", Integer),
    Column("value", Double, nullable=False),
    Column("reasons", Text, nullable=False),  # JSON list
    Column("workable", Boolean, nullable=False),
    Index("tasks_state", "state"),
    Index("tasks_slot", "device", "slot", "created_at"),
)

task_commands = Table(
    "task_commands",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("task", String(64), nullable=False),
    Column("content", Text, nullable=False),  # JSON of the command without its key
    Column("at", Double, nullable=False),
    Column("result", Text),  # task document after it; None when it lost
    Column("conflict", String(500)),  # why it lost
    Index("task_commands_at", "at"),
)

documents = Table(
    "documents",
    metadata,
    Column("name", String(64), primary_key=True),  # "ranking", "rates"
    Column("at", Double, nullable=False),
    Column("body", Text, nullable=False),
)
