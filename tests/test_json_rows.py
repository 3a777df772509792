"""Rows of lists are read bit by bit, whatever the chunks they come in."""

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import kps.data.rows
from kps.data.rows import iter_json_lists, iter_json_rows
from kps.files import InputError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=6) | st.sampled_from(['"', "}\\"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def read_all(text: bytes, chunk: int) -> list[tuple[int, Any]]:
    file = io.BytesIO(text)
    return list(iter_json_rows(lambda size: file.read(min(size, chunk)), "some.json"))


def read_lists(text: bytes, chunk: int = 1000) -> dict[str, list]:
    """The numbered rows of the lists under a and b."""
    file = io.BytesIO(text)
    found = iter_json_lists(lambda size: file.read(min(size, chunk)), "some.json", ("a", "b"))
    return {key: list(rows) for key, rows in found}


OBJECTS = st.lists(st.dictionaries(st.text(max_size=3), VALUES, max_size=3), max_size=5)


@given(OBJECTS, st.integers(1, 50), st.sampled_from([None, 1]), st.booleans())
def test_rows_equal_those_of_a_whole_read(rows: list, chunk: int, indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(rows, indent=indent, ensure_ascii=ascii_only).encode(errors="surrogatepass")
    text = b" \n" * 40 + text + b"\n" * 200
    assert read_all(text, chunk) == list(enumerate(rows))


@given(
    st.dictionaries(st.sampled_from(["a", "b"]), OBJECTS),
    st.dictionaries(st.text(max_size=2).filter(lambda key: key not in ("a", "b")), VALUES, max_size=4),
    st.integers(1, 50),
    st.sampled_from([None, 1]),
    st.randoms(use_true_random=False),
)
def test_lists_of_an_object_equal_those_of_a_whole_read(
    lists: dict, others: dict, chunk: int, indent: int | None, random: Any
) -> None:
    value = lists | others
    keys = list(value)
    random.shuffle(keys)
    text = json.dumps({key: value[key] for key in keys}, indent=indent).encode(errors="surrogatepass")
    assert read_lists(b" \n" + text + b"\n", chunk) == {key: list(enumerate(rows)) for key, rows in lists.items()}


def test_rows_that_are_not_asked_for_are_passed_over() -> None:
    file = io.BytesIO(b'{"a": [{}, {"x": 1}], "b": [{"y": 2}]}')
    lists = iter_json_lists(file.read, "some.json", ("a", "b"))
    assert [list(rows) if key == "b" else key for key, rows in lists] == ["a", [(0, {"y": 2})]]


def test_rows_are_parsed_many_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = []
    loads = kps.data.rows.orjson.loads
    monkeypatch.setattr(kps.data.rows.orjson, "loads", lambda text: parsed.append(text) or loads(text))
    rows = [{"a": [1, 2], "b": {"c": "},{"}} for _ in range(1000)]
    assert read_all(json.dumps(rows).encode(), 10_000) == list(enumerate(rows))
    assert len(parsed) < 200


BROKEN = {
    read_lists: [
        (b"", "expected a JSON object, but the file ends"),
        (b"[]", "expected a JSON object, but got '["),
        (b"{", "expected a key in quotes, but the file ends"),
        (b"{a: 1}", "expected a key in quotes"),
        (b'{"c" 1}', "expected a colon after a key, but got '1"),
        (b'{"c":}', "c: expected JSON"),
        (b'{"c":1 2}', "key 1: expected a comma or the closing bracket, but got '2"),
        (b'{"c":1,}', "expected a key in quotes, but got '}"),
        (b'{"c":[1', "c: expected its end, but the file ends in it"),
        (b'{"c":tru}', "c: expected JSON"),
        (b'{"a":{}}', "a: expected a list of objects, but got '{"),
        (b'{"a":[{}], "c":1, "a":[]}', "expected each key once, but 'a' repeats"),
        (b'{"a":[{}, 1]}', "a: row 1: expected an object, but got '1"),
        (b'{"a":[{}], "b":[{}, {}, {"x": nul}]}', "b: row 2: expected JSON"),
        (b'{"a":[{}]', "key 1: expected a comma or the closing bracket, but the file ends"),
        (b'{"a":[{}]}]', "expected nothing after the closing bracket"),
    ],
    read_all: [
        (b"", "expected a JSON list, but the file ends"),
        (b'{"a": 1}', "expected a JSON list"),
        (b"[", "row 0: expected an object, but the file ends"),
        (b"[1]", "row 0: expected an object, but got '1"),
        (b"[{},]", "row 1: expected an object"),
        (b"[{}", "row 1: expected a comma or the closing bracket, but the file ends"),
        (b'[{"a": 1}, {"a": "x', "row 1: expected its end, but the file ends in it"),
        (b'[{"a": NaN}]', "row 0: expected JSON"),
        (b'[{"a": [1}]]', "row 0: expected JSON"),
        (b'[{}, {"\xff": 1}]', "row 1: expected JSON"),
    ],
}


@pytest.mark.parametrize("chunk", [1, 3, 1000])
@pytest.mark.parametrize(
    ("read", "text", "message"), [(read, *case) for read, cases in BROKEN.items() for case in cases]
)
def test_what_is_broken_is_named_with_key_and_row(read: Callable, text: bytes, message: str, chunk: int) -> None:
    with pytest.raises(InputError, match=r"some\.json: ") as caught:
        read(text, chunk)
    assert message in str(caught.value)


@pytest.mark.parametrize("row", ["5", "null", "[]", '"},{"'])
def test_what_is_no_object_is_named_among_many_rows(row: str) -> None:
    rows = ["{}"] * 50
    rows[30] = row
    with pytest.raises(InputError, match="row 30: expected an object"):
        read_all(f"[{','.join(rows)}]".encode(), 1000)


@pytest.mark.parametrize(
    ("start", "filler", "message"),
    [
        *[(b'[{"a": ', filler, "row 0: expected at most 10000 bytes") for filler in (b" ", b'"', b"[", b"{")],
        *[(b'{"c": ' + start, filler, "c: expected") for start, filler in ((b"", b"1"), (b'"', b"a"), (b"", b"["))],
    ],
)
def test_a_value_without_end_does_not_fill_the_memory(
    monkeypatch: pytest.MonkeyPatch, start: bytes, filler: bytes, message: str
) -> None:
    monkeypatch.setattr(kps.data.rows, "MAX_ROW_BYTES", 10_000)
    served = []

    def read(size: int) -> bytes:
        served.append(filler * 1000 if served else start)
        return served[-1]

    with pytest.raises(InputError, match=rf"some\.json: {message}"):
        list(iter_json_rows(read, "some.json") if start[:1] == b"[" else iter_json_lists(read, "some.json", ()))
    assert len(served) < 20
