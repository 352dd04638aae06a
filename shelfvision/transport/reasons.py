"""MQTT 5 reason codes that we meet, in words for the person who has to act."""

from __future__ import annotations

SUCCESS = 0x00
NO_MATCHING_SUBSCRIBERS = 0x10
_REASONS = {
    0x10: "nobody subscribes to it (0x10); is the replenishment service set up?",
    0x84: "the broker does not speak MQTT 5 (0x84); use Mosquitto 2 or another MQTT 5 broker",
    0x85: "the broker does not accept our client id (0x85)",
    0x86: "wrong user name or password (0x86); check broker.username and broker.password",
    0x87: "not authorised (0x87); check user name, password and the broker's access list",
    0x88: "the broker is unavailable (0x88)",
    0x8A: "the broker has banned us (0x8A)",
    0x8B: "the broker is shutting down (0x8B)",
    0x8D: "the broker heard nothing from us for too long (0x8D)",
    0x8E: "another client connected with our client id (0x8E); is a second one running with the same ids?",
    0x95: "a packet was larger than the broker takes (0x95)",
    0x97: "the broker's quota is used up (0x97)",
}
SESSION_TAKEN_OVER = 0x8E


def reason_text(code: int) -> str:
    """What an MQTT reason code means for the person who has to act."""
    known = _REASONS.get(code)
    if known is None:
        known = f"reason code 0x{code:02X}"
    return known
