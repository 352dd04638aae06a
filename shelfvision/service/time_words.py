"""Times in the words of the page, in the store's time zone."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo


def span_words(seconds: float) -> str:
    """A duration as people say it: ``12 min``, ``2 h 5 min``, ``3 days``. The page's script counts on alike."""
    minutes = int(max(0.0, seconds) // 60)
    if minutes < 1:
        return "under a minute"
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes and hours < 12 else f"{hours} h"
    return f"{hours // 24} days"


def clock_words(time: datetime, now: datetime, zone: ZoneInfo) -> str:
    """A moment as people say it: ``14:32``, ``yesterday 14:32``, ``Mon 14:32``, ``3 Mar 14:32``, ``3 Mar 2024``."""
    local, today = time.astimezone(zone), now.astimezone(zone).date()
    clock = f"{local:%H:%M}"
    days = (today - local.date()) / timedelta(days=1)
    if days == 0:
        return clock
    if days == 1:
        return f"yesterday {clock}"
    if 1 < days < 7:
        return f"{local:%a} {clock}"
    if local.year == today.year:
        return f"{local.day} {local:%b} {clock}"
    return f"{local.day} {local:%b %Y}"
