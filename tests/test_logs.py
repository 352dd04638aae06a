import io
import sys

import structlog

from shelfvision.logs import configure_logs


def test_records_follow_stderr_when_it_is_replaced_and_a_closed_one_stops_nobody(monkeypatch):
    configure_logs()
    log = structlog.get_logger("test")
    first, second = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", first)
    log.warning("one")
    first_text = first.getvalue()
    first.close()
    log.warning("into the void")
    monkeypatch.setattr(sys, "stderr", second)
    log.warning("two")
    assert "one" in first_text
    assert "two" in second.getvalue()
    assert "void" not in second.getvalue()
