"""Reading a JSON list of objects row by row: memory is bounded by one row, not by the file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import orjson

from kps.errors import InputError

MAX_ROW_BYTES = 4 * 2**20  # 882 numbers of 20 characters take 20 kB
CHUNK_BYTES = 2**20
# A whole string, a bracket, or a quote whose string does not end in what was read so far.
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\]"]', re.DOTALL)
_BETWEEN = {"first": re.compile(rb"[ \t\r\n]*"), "next": re.compile(rb"[ \t\r\n]*,[ \t\r\n]*")}
_SPACE = b" \t\r\n"


def iter_json_rows(read: Callable[[int], bytes], where: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (row number from 0, row) of a JSON list of objects.

    Args:
        read: as a binary file's: returns at most that many bytes, none at the end.
        where: names the file in messages.

    Raises:
        InputError: not a list of objects in UTF-8, a row that is broken or absurdly long; names file and row.
    """
    scanner = _Scanner(read, where)
    scanner.expect_list()
    number = 0
    while (text := scanner.next_row(number)) is not None:
        try:
            row = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise InputError(f"{where}: row {number}: expected JSON, but {error}") from None
        yield number, row
        number += 1


class _Scanner:
    """Cuts the text of a list into its objects by counting brackets outside strings."""

    def __init__(self, read: Callable[[int], bytes], where: str) -> None:
        self.read, self.where = read, where
        self.buffer, self.start = b"", 0

    def more(self) -> bool:
        """Drop what was used and read on; False at the end of the file."""
        chunk = self.read(CHUNK_BYTES)
        self.buffer, self.start = self.buffer[self.start :] + chunk, 0
        return bool(chunk)

    def peek(self) -> bytes:
        """Return the next byte that is no white space, or none at the end."""
        while True:
            rest = self.buffer[self.start : self.start + 64].lstrip(_SPACE)
            if rest:
                self.start = self.buffer.index(rest[:1], self.start)
                return rest[:1]
            self.start = min(self.start + 64, len(self.buffer))
            if self.start == len(self.buffer) and not self.more():
                return b""

    def expect_list(self) -> None:
        """Step over the opening bracket."""
        if self.peek() != b"[":
            got = self.buffer[self.start : self.start + 20].decode(errors="replace") or "an empty file"
            raise InputError(f"{self.where}: expected a JSON list, but got {got!r}")
        self.start += 1

    def next_row(self, number: int) -> bytes | None:
        """Return the text of the next object, or None after the last one and the closing bracket."""
        byte = self.peek()
        if byte == b"]":
            self.start += 1
            if self.peek():
                raise InputError(f"{self.where}: expected nothing after the list, but there is more")
            return None
        if number:
            if byte != b",":
                raise self.broken(number, "expected a comma or the end of the list")
            self.start += 1
            byte = self.peek()
        if byte != b"{":
            raise self.broken(number, "expected an object")
        return self.object_text(number)

    def object_text(self, number: int) -> bytes:
        """Return the text from the opening brace at `start` to its partner."""
        depth, place = 0, self.start
        while True:
            for token in _TOKEN.finditer(self.buffer, place):
                mark, place = token.group()[:1], token.end()
                if mark in b"{[":
                    depth += 1
                elif mark in b"}]":
                    depth -= 1
                elif token.end() - token.start() == 1:  # an unfinished string: read it again with more text
                    place = token.start()
                    break
                if depth == 0:
                    text, self.start = self.buffer[self.start : place], place
                    return text
            else:
                place = len(self.buffer)
            if len(self.buffer) - self.start > MAX_ROW_BYTES:
                raise InputError(
                    f"{self.where}: row {number}: expected at most {MAX_ROW_BYTES} bytes, but it is longer"
                )
            place -= self.start
            if not self.more():
                raise self.broken(number, "expected the end of the object")

    def broken(self, number: int, expected: str) -> InputError:
        """Say what stands where something else was expected."""
        got = self.buffer[self.start : self.start + 20].decode(errors="replace")
        return InputError(
            f"{self.where}: row {number}: {expected}, but got {got!r}"
            if got
            else f"{self.where}: row {number}: {expected}, but the file ends"
        )
