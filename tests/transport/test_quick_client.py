"""Our shortened reading and writing of packets agrees with paho's own, and garbage breaks nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from shelfvision.transport.quick_client import MalformedPropertiesError, QuickClient, UserProperties, read_properties

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=200)
pairs = st.lists(st.tuples(texts, texts), max_size=5)


def paho_properties(user: list[tuple[str, str]]) -> Properties:
    properties = Properties(PacketTypes.PUBLISH)
    if user:
        properties.UserProperty = user
    return properties


@given(pairs)
def test_user_properties_are_packed_as_paho_packs_them(user):
    assert UserProperties(user).pack() == paho_properties(user).pack()


@given(pairs, st.integers(0, 1), st.integers(0, 2**32 - 1), texts, st.binary(max_size=50), st.binary(max_size=20))
def test_properties_are_read_as_paho_reads_them(  # noqa: PLR0917 - one argument a property
    user, format_indicator, expiry, text, data, rest
):
    properties = paho_properties(user)
    properties.PayloadFormatIndicator = format_indicator
    properties.MessageExpiryInterval = expiry
    properties.ContentType = text
    properties.ResponseTopic = text
    properties.CorrelationData = data
    properties.TopicAlias = 7
    properties.SubscriptionIdentifier = 300
    packed = properties.pack()
    assert read_properties(b"xy" + packed + rest, 2) == (user, 2 + len(packed))


@given(st.binary(max_size=60))
def test_garbage_is_read_or_refused_but_never_read_beyond_its_end(data):
    try:
        found, end = read_properties(data, 0)
    except MalformedPropertiesError:
        return
    assert end <= len(data)
    assert all(isinstance(key, str) and isinstance(value, str) for key, value in found)


@pytest.mark.parametrize("name", ["_sock_recv", "_sock_send", "_handle_publish", "_handle_pubackcomp"])
def test_the_installed_paho_still_has_the_methods_that_we_shorten(name):
    assert callable(getattr(QuickClient.__mro__[1], name, None))
