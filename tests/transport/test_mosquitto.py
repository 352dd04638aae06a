"""The broker of the tests is the real one and can be killed and restarted on its port."""

from __future__ import annotations

import pytest

from shelfvision.errors import BrokerError
from shelfvision.transport.mosquitto import Mosquitto


def test_it_starts_restarts_and_is_killed(mosquitto):
    port, first = mosquitto.port, mosquitto.pid
    mosquitto.restart(kill=True)
    assert mosquitto.port == port
    assert mosquitto.pid not in {None, first}
    mosquitto.stop()
    assert mosquitto.pid is None


def test_a_port_in_use_is_one_clear_error(mosquitto, tmp_path):
    second = Mosquitto(tmp_path / "second", port=mosquitto.port)
    with pytest.raises(BrokerError, match=f"port {mosquitto.port}"):
        second.start()


def test_passwords_are_checked(mosquitto_factory):
    broker = mosquitto_factory(passwords={"edge": "secret"})
    assert broker.section("edge").password.get_secret_value() == "secret"
