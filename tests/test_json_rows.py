"""Rows of a list are read one by one, whatever the chunks they come in."""

import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kps.json_rows
from kps.errors import InputError
from kps.json_rows import iter_json_rows

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.text(max_size=6)
    | st.sampled_from(['"', "}\\"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def read_all(text: bytes, chunk: int) -> list[tuple[int, Any]]:
    file = io.BytesIO(text)
    return list(iter_json_rows(lambda size: file.read(min(size, chunk)), "some.json"))


@settings(deadline=None)
@given(
    st.lists(st.dictionaries(st.text(max_size=3), VALUES, max_size=3), max_size=5),
    st.integers(1, 50),
    st.sampled_from([None, 1]),
    st.booleans(),
)
def test_rows_equal_those_of_a_whole_read(
    rows: list, chunk: int, indent: int | None, ascii_only: bool
) -> None:
    text = json.dumps(rows, indent=indent, ensure_ascii=ascii_only).encode(errors="surrogatepass")
    text = b" \n" * 40 + text + b"\n" * 200
    assert read_all(text, chunk) == list(enumerate(rows))


@pytest.mark.parametrize("chunk", [1, 3, 1000])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "expected a JSON list, but got 'an empty file'"),
        (b'{"a": 1}', "expected a JSON list"),
        (b"\xef\xbb\xbf[]", "expected a JSON list"),
        (b"[", "row 0: expected an object, but the file ends"),
        (b"[1]", "row 0: expected an object, but got '1"),
        (b"[{},]", "row 1: expected an object"),
        (b"[{} {}]", "row 1: expected a comma"),
        (b"[{}", "row 1: expected a comma or the end of the list, but the file ends"),
        (b'[{"a": 1}, {"a": "x', "row 1: expected the end of the object"),
        (b'[{"a": NaN}]', "row 0: expected JSON"),
        (b'[{"a": 1e999}]', "row 0: expected JSON"),
        (b'[{"a": [1}]]', "row 0: expected JSON"),
        (b'[{}, {"\xff": 1}]', "row 1: expected JSON"),
        (b"[{}]{}", "expected nothing after the list"),
    ],
)
def test_a_broken_list_is_named_with_its_row(text: bytes, message: str, chunk: int) -> None:
    with pytest.raises(InputError, match=r"some\.json: ") as caught:
        read_all(text, chunk)
    assert message in str(caught.value)


@pytest.mark.parametrize("filler", [b" ", b'"', b"[", b"{"])
def test_a_row_without_end_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch, filler: bytes) -> None:
    monkeypatch.setattr(kps.json_rows, "MAX_ROW_BYTES", 10_000)
    served = 0

    def read(size: int) -> bytes:
        nonlocal served
        served += 1000
        return b'[{"a": ' if served == 1000 else filler * 1000

    with pytest.raises(InputError, match="row 0: expected at most 10000 bytes"):
        list(iter_json_rows(read, "some.json"))
    assert served < 20_000
