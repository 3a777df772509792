"""Reading lists of JSON objects row by row: memory is bounded by what is read at a time, not by the file.

Rows are parsed a megabyte at a time where the text can be cut between two of them. Where it cannot, brackets
are counted and rows parsed one by one, so that a message names the row.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson

from kps.files import InputError, kind_of

Read = Callable[[int], bytes]
Row = dict[str, Any]

MAX_ROW_BYTES = 4 * 2**20  # 882 numbers of 20 characters take 20 kB
CHUNK_BYTES = 2**20
# A whole string, a bracket, or a quote whose string does not end in what was read so far.
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\]"]', re.DOTALL)
_NEXT_ROW = re.compile(rb"[ \t\r\n]*,[ \t\r\n]*\{")
_NUMBER_OR_WORD = re.compile(rb'[^,:{}\[\]" \t\r\n]*')
_SPACE = b" \t\r\n"


def iter_json_rows(read: Read, where: str) -> Iterator[tuple[int, Row]]:
    """Yield (row number from 0, row) of a JSON list of objects.

    Args:
        read: as a binary file's: returns at most that many bytes, none at the end.
        where: names the file in messages.

    Raises:
        InputError: not a list of objects in UTF-8, a row that is broken or absurdly long; names file and row.
    """
    scanner = _Scanner(read, where)
    scanner.enter(b"[", "a JSON list")
    yield from enumerate(_rows(scanner))
    scanner.end()


def read_json_lists(read: Read, where: str, takers: Mapping[str, Callable[[int, Row], None]]) -> set[str]:
    """Hand the rows of an object's lists to their takers, in the file's order; return the keys found.

    Args:
        read: as for `iter_json_rows`.
        where: names the file in messages.
        takers: of a key whose value is a list of objects, what gets (row number from 0, row). The values of
            other keys are dropped; each may be as long as a row may be.

    Raises:
        InputError: not an object, a key twice, a wanted value that is no list of objects, or broken JSON.
    """
    scanner, found = _Scanner(read, where), set()
    scanner.enter(b"{", "a JSON object")
    for key in _keys(scanner):
        if key in found:
            raise InputError(f"{where}: expected each key once, but {key[:40]!r} repeats")
        found.add(key)
        if key in takers:
            scanner.where = f"{where}: {key}"
            scanner.enter(b"[", "a list of objects")
            for number, row in enumerate(_rows(scanner)):
                takers[key](number, row)
            scanner.where = where
        else:
            scanner.value(key[:40])
    scanner.end()
    return found


def _rows(scanner: "_Scanner") -> Iterator[Row]:
    """Yield the objects of the list whose opening bracket was read, and step over the closing one."""
    number = 0
    while scanner.has_next(b"]", "row", number):
        rows = scanner.rows(number)
        yield from rows
        number += len(rows)


def _keys(scanner: "_Scanner") -> Iterator[str]:
    """Yield the keys of the object whose opening brace was read; the caller reads each key's value."""
    number = 0
    while scanner.has_next(b"}", "key", number):
        if scanner.peek() != b'"':
            raise scanner.broken("expected a key in quotes")
        key = scanner.value("key")
        if scanner.peek() != b":":
            raise scanner.broken("expected a colon after a key")
        scanner.start += 1
        yield key
        number += 1


class _Scanner:
    """A window on the text: `start` is where reading goes on."""

    def __init__(self, read: Read, where: str) -> None:
        self.read, self.where = read, where
        self.buffer, self.start = b"", 0
        self.one_by_one = False  # what was read so far could not be cut between two rows

    def more(self) -> bool:
        """Drop what was used and read on; False at the end of the file."""
        chunk = self.read(CHUNK_BYTES)
        self.buffer, self.start, self.one_by_one = self.buffer[self.start :] + chunk, 0, False
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

    def enter(self, bracket: bytes, what: str) -> None:
        """Step over an opening bracket."""
        if self.peek() != bracket:
            raise self.broken(f"expected {what}")
        self.start += 1

    def end(self) -> None:
        """Refuse what stands after the outermost value."""
        if self.peek():
            raise self.broken("expected nothing after the closing bracket")

    def has_next(self, closing: bytes, what: str, number: int) -> bool:
        """Step to the next row or key, over a comma after the first, or over the closing bracket (False)."""
        byte = self.peek()
        if byte == closing:
            self.start += 1
            return False
        if number:
            if byte != b",":
                raise self.broken(f"{what} {number}: expected a comma or the closing bracket")
            self.start += 1
        return True

    def rows(self, number: int) -> list[Row]:
        """Return the rows up to the last that certainly ends in what was read, at least one."""
        cut = -1 if self.one_by_one else self.last_row_end()
        if cut < 0:
            return [self.row(number)]
        try:
            # Text that is a list of values when brackets are put around it was cut between two of them.
            rows = orjson.loads(b"[" + self.buffer[self.start : cut] + b"]")
        except orjson.JSONDecodeError:
            self.one_by_one = True
            return [self.row(number)]
        for index, row in enumerate(rows):
            if not isinstance(row, dict):
                raise InputError(f"{self.where}: row {number + index}: expected an object, but got {str(row)[:20]!r}")
        self.start = cut
        return rows

    def last_row_end(self) -> int:
        """Where the last object ends that another seems to follow, or -1; inside a row it may look so too."""
        cut = len(self.buffer)
        while (cut := self.buffer.rfind(b"}", self.start, cut)) >= 0:
            if _NEXT_ROW.match(self.buffer, cut + 1):
                return cut + 1
        return -1

    def row(self, number: int) -> Row:
        """Read one object."""
        if self.peek() != b"{":
            raise self.broken(f"row {number}: expected an object")
        return self.value(f"row {number}")

    def value(self, what: str) -> Any:
        """Read one value of any kind."""
        text = self.bracketed(what) if self.peek() in (b"{", b"[", b'"') else self.number_or_word()
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise InputError(f"{self.where}: {what}: expected JSON, but {error}") from None

    def number_or_word(self) -> bytes:
        """Return the text of a number, true, false or null."""
        while (stop := _NUMBER_OR_WORD.match(self.buffer, self.start).end()) == len(self.buffer):
            if stop - self.start > MAX_ROW_BYTES or not self.more():
                break
        text, self.start = self.buffer[self.start : stop], stop
        return text

    def bracketed(self, what: str) -> bytes:
        """Return the text from an opening bracket to its partner, or of a string."""
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
                raise InputError(f"{self.where}: {what}: expected at most {MAX_ROW_BYTES} bytes, but it is longer")
            place -= self.start
            if not self.more():
                raise InputError(f"{self.where}: {what}: expected its end, but the file ends in it")

    def broken(self, expected: str) -> InputError:
        """Say what stands where something else was expected."""
        got = self.buffer[self.start : self.start + 20].decode(errors="replace")
        got = got and (kind_of(self.buffer) or repr(got))
        return InputError(f"{self.where}: {expected}, but " + (f"got {got}" if got else "the file ends"))
