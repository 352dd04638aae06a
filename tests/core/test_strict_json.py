"""Valid JSON reads as json reads it; everything ambiguous or exhausting is one clear error."""

from __future__ import annotations

import json
import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfvision.core import strict_json
from shelfvision.errors import MalformedMessageError

texts = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]))
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


@given(values, st.booleans(), st.sampled_from([None, 1]))
def test_a_valid_document_reads_as_json_reads_it(value, ascii_only, indent):
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    assert strict_json.loads(text) == value
    assert strict_json.loads(text.encode()) == value


@given(st.binary(max_size=200))
def test_any_bytes_give_a_value_or_a_malformed_message_error(data):
    try:
        value = strict_json.loads(data)
    except MalformedMessageError:
        return
    assert value == json.loads(data.decode())


@given(st.text(alphabet='[]{}",:0123456789.eE+-\\untrfalsNIy \t\x00\ud800', max_size=60))
def test_any_nearly_json_text_gives_a_value_or_a_malformed_message_error(text):
    try:
        value = strict_json.loads(text)
    except MalformedMessageError:
        return
    assert value == json.loads(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("NaN", "NaN"),
        ('{"a": Infinity}', "Infinity"),
        ("[-Infinity]", "Infinity"),
        ("1e999", "beyond a double"),
        ("[-1e999]", "beyond a double"),
        ('{"a": 1, "a": 1}', "stands twice"),
        ('[{"b": {"a": 1, "c": 2, "a": 3}}]', "stands twice"),
        ('{"a": 1, "\\u0061": 2}', "stands twice"),
        (r'"\ud800"', "surrogate"),
        (r'{"\udfff": 1}', "surrogate"),
        (r'["\ude00\ud83d"]', "surrogate"),
        (r'"\u0000"', "NUL"),
        (r'{"a\u0000": 1}', "NUL"),
        ('"\x00"', "no JSON"),
        ('"line\nbreak"', "no JSON"),
        (b'"\xff"', "UTF-8"),
        (b'"\xed\xa0\x80"', "UTF-8"),
        (b"\xef\xbb\xbf{}", "no JSON"),
        ("9223372036854775808", "64 bits"),
        ("9" * 5000, "64 bits"),
        ("", "no JSON"),
        ("{} {}", "no JSON"),
        ("{'a': 1}", "no JSON"),
        ("[1,]", "no JSON"),
    ],
)
def test_what_is_refused_says_why(text, says):
    with pytest.raises(MalformedMessageError, match=says):
        strict_json.loads(text)


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":'])
@pytest.mark.parametrize("closed", [True, False])
def test_a_bomb_of_brackets_is_refused_before_anything_recurses(opening, closed):
    text = opening * 10_000 + ("1" + {"[": "]", '{"a":': "}", '[{"a":': "}]"}[opening] * 10_000 if closed else "")
    with pytest.raises(MalformedMessageError, match="deeper than 32"):
        strict_json.loads(text, max_bytes=1_000_000)


@given(st.integers(0, 60))
def test_depth_counts_nesting_and_not_siblings_or_brackets_in_strings(depth):
    text = "[" * depth + '"[[[[[{{{{\\"[["' + "]" * depth
    if depth > 32:
        with pytest.raises(MalformedMessageError):
            strict_json.loads(text)
    else:
        strict_json.loads(text)
    assert strict_json.loads("[" + ",".join(["[]"] * 100) + "]") == [[]] * 100


def test_length_is_counted_in_bytes():
    assert strict_json.loads('"' + "x" * 98 + '"', max_bytes=100)
    for data in ('"' + "x" * 99 + '"', '"' + "é" * 60 + '"', ('"' + "é" * 60 + '"').encode()):
        with pytest.raises(MalformedMessageError, match="longer than 100 bytes"):
            strict_json.loads(data, max_bytes=100)


def test_an_emoji_written_as_a_surrogate_pair_is_fine():
    assert strict_json.loads(r'"\ud83d\ude00"') == "\U0001f600"


def test_negative_zero_and_tiny_numbers_stay_numbers():
    assert math.copysign(1, strict_json.loads("-0.0")) == -1
    assert strict_json.loads("1e-999") == 0.0


def test_a_string_without_end_costs_no_more_than_its_length():
    """With a naive scanner each of the 30,000 quotes would search to the end again: minutes instead of milliseconds."""
    started = time.process_time()
    with pytest.raises(MalformedMessageError):
        strict_json.loads("[" * 40 + '"' + '\\"' * 30_000)
    with pytest.raises(MalformedMessageError):
        strict_json.loads("[" * 40 + '"\\' * 20_000 + "\\")
    assert time.process_time() - started < 2
