"""Lists of JSON objects read row by row: memory is bounded by what is read at a time, not by the file.

Rows are parsed a megabyte at a time where the text can be cut between two of them. Where it cannot, brackets are
counted and rows parsed one by one, so that a message names the row. (ijson has to lex a file once a list, three times
in all.)
"""

import re
from collections.abc import Callable, Collection, Iterator
from typing import Any

import orjson

from kps.files import InputError, kind_of
from kps.schema import CATEGORIES, NUM_LANDMARKS

Read = Callable[[int], bytes]
Row = dict[str, Any]
Take = Callable[[bytes], int]  # gets the text of a list of many rows, says how many it took: all, or 0

MAX_ROW_BYTES = 4 * 2**20  # 882 numbers of 20 characters take 20 kB
CHUNK_BYTES = 2**20
# A whole string, a bracket, or a quote whose string does not end in what was read so far.
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\]"]', re.DOTALL)
_NEXT_ROW = re.compile(rb"[ \t\r\n]*,[ \t\r\n]*\{")
_NUMBER_OR_WORD = re.compile(rb'[^,:{}\[\]" \t\r\n]*')
_SPACE = re.compile(rb"[ \t\r\n]*")


def iter_json_rows(read: Read, where: str, take: Take | None = None) -> Iterator[tuple[int, Row]]:
    """Yield (row number from 0, row) of a JSON list of objects.

    Args:
        read: as a binary file's: returns at most that many bytes, none at the end.
        where: names the file in messages; InputError names the row that is broken, no object, or absurdly long.
        take: those that it does not take are yielded.
    """
    scanner = _Scanner(read, where)
    scanner.step(b"[", "expected a JSON list")
    yield from scanner.rows(take)
    scanner.end()


def iter_json_lists(
    read: Read, where: str, keys: Collection[str], take: Take | None = None
) -> Iterator[tuple[str, Iterator[tuple[int, Row]]]]:
    """Yield the key and the numbered rows of an object's lists of objects, in the file's order.

    Args:
        read, where: as for `iter_json_rows`; InputError also where a key comes twice.
        keys: whose lists are wanted. The values of others are dropped; each may be as long as a row may be.
        take: as for `iter_json_rows`, of the list "annotations".
    """
    scanner, found = _Scanner(read, where), set()
    scanner.step(b"{", "expected a JSON object")
    while scanner.has_next(b"}", "key", len(found)):
        if scanner.peek() != b'"':
            raise scanner.broken("expected a key in quotes")
        key = scanner.value("key")
        scanner.step(b":", "expected a colon after a key")
        if key in found:
            raise InputError(f"{where}: expected each key once, but {key[:40]!r} repeats")
        found.add(key)
        if key not in keys:
            scanner.value(key[:40])
            continue
        scanner.where = f"{where}: {key}"
        scanner.step(b"[", "expected a list of objects")
        rows = scanner.rows(take if key == "annotations" else None)
        yield key, rows
        for _ in rows:  # that were not asked for
            pass
        scanner.where = where
    scanner.end()


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
            self.start = _SPACE.match(self.buffer, self.start).end()
            if self.start < len(self.buffer) or not self.more():
                return self.buffer[self.start : self.start + 1]

    def step(self, mark: bytes, expected: str) -> None:
        """Step over a mark that must come next."""
        if self.peek() != mark:
            raise self.broken(expected)
        self.start += 1

    def end(self) -> None:
        """Refuse what stands after the outermost value."""
        if self.peek():
            raise self.broken("expected nothing after the closing bracket")

    def has_next(self, closing: bytes, what: str, number: int) -> bool:
        """Step to the next row or key, over a comma after the first, or over the closing bracket (False)."""
        if self.peek() == closing:
            self.start += 1
            return False
        if number:
            self.step(b",", f"{what} {number}: expected a comma or the closing bracket")
        return True

    def rows(self, take: Take | None = None) -> Iterator[tuple[int, Row]]:
        """Yield the objects of the list whose opening bracket was read, numbered, and step over the closing one."""
        number, self.one_by_one = 0, False
        while self.has_next(b"]", "row", number):
            rows = self.some_rows(number, take)
            if isinstance(rows, int):
                number += rows
                continue
            for row in rows:
                if not isinstance(row, dict):
                    raise InputError(f"{self.where}: row {number}: expected an object, but got {str(row)[:20]!r}")
                yield number, row
                number += 1

    def some_rows(self, number: int, take: Take | None) -> list[Any] | int:
        """Return the rows up to the last that certainly ends in what was read, at least one, or how many were taken."""
        cut = len(self.buffer)
        while (cut := -1 if self.one_by_one else self.buffer.rfind(b"}", self.start, cut)) >= 0:
            if _NEXT_ROW.match(self.buffer, cut + 1):  # inside a row it may look so too
                break
        if cut >= 0:
            # Text that is a list of values when brackets are put around it was cut between two of them.
            text = b"[" + self.buffer[self.start : cut + 1] + b"]"
            try:
                rows = (take and take(text)) or orjson.loads(text)
            except orjson.JSONDecodeError:
                self.one_by_one = True
            else:
                self.start = cut + 1
                return rows
        if self.peek() != b"{":
            raise self.broken(f"row {number}: expected an object")
        return [self.value(f"row {number}")]

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
                if mark == b'"' and token.end() - token.start() == 1:  # unfinished: read it again with more text
                    place = token.start()
                    break
                depth += (mark in b"{[") - (mark in b"}]")
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


_KEYPOINTS = re.compile(rb'"keypoints":( ?)\[')
_ZEROS = {  # how they are written before and after a category's own numbers, by the space before a list
    space: [
        {
            one.id: ((zero + comma) * (3 * one.first_index), (comma + zero) * (3 * (NUM_LANDMARKS - one.slice.stop)))
            for one in CATEGORIES
        }
        for zero in (b"0", b"0.0")
    ]
    for space, comma in ((b"", b","), (b" ", b", "))
}


def own_numbers(text: bytes) -> tuple[list[Row], list[bytes]]:
    """Return the rows of a list's text, their keypoints left empty, and the text of each one's own numbers.

    What stands in the slots of other categories, most of the text, is compared with zeros instead of parsed: many times
    as fast. ValueError: other slots are filled, or written in another way; or another error where something is amiss.
    """
    if not (found := _KEYPOINTS.search(text)):
        raise ValueError("expected keypoints")
    kept, spans, place = [], [], 0
    while (start := text.find(found[0], place)) >= 0:
        start += len(found[0])
        kept.append(text[place:start])
        place = text.find(b"]", start)
        spans.append((start, place))
    rows = orjson.loads(b"".join([*kept, text[place:]]))
    if len(rows) != len(spans) or any(row["keypoints"] for row in rows):
        raise ValueError("expected keypoints once a row")
    for around in _ZEROS[found[1]]:
        numbers = []
        for row, (start, stop) in zip(rows, spans, strict=True):
            before, after = around[row["category_id"]]
            if not (text.startswith(before, start) and text.endswith(after, start, stop)):
                break
            numbers.append(text[start + len(before) : stop - len(after)])
        else:
            return rows, numbers
    raise ValueError("expected zeros in the slots of other categories")
