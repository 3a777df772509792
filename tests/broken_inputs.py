"""Ways to break any JSON text, for the tables `broken_raw`, `broken_lists` and `broken_archives`.

A row of a table is: what is broken, a function that writes it into an empty folder and returns the command
that reads it, parts of the message that must come.
"""

import bz2
import gzip
import io
import json
import pickle
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

Command = list[str | Path]
Write = Callable[[Path, Callable[[bytes], bytes]], Command]  # writes a sound file through the function it is given
Row = tuple[Any, ...]  # name, function of the folder, parts of the message
DEEP = 100_000  # brackets inside each other
HUGE = 2**70
LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935\nsize 12345\n"


def zipped(entries: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of the given files."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return file.getvalue()


# Ways to break any JSON text: name, the text made of a sound one, a part of the message.
TEXTS: list[tuple[str, Callable[[bytes], bytes], str]] = [
    ("empty", lambda text: b"", "expected"),
    ("only white space", lambda text: b" \n\t ", "expected"),
    ("cut in half", lambda text: text[: len(text) // 2], "expected"),
    ("without its last byte", lambda text: text[:-1], "expected"),
    ("a number", lambda text: b"5", "expected"),
    ("null", lambda text: b"null", "expected"),
    ("text", lambda text: b'"text"', "expected"),
    ("an HTML page", lambda text: b"<html>404</html>", "expected"),
    ("with a byte order mark", lambda text: b"\xef\xbb\xbf" + text, "got text with a byte order mark"),
    ("in UTF-16", lambda text: text.decode().encode("utf-16"), "got text in UTF-16"),
    ("in UTF-16 without a mark", lambda text: text.decode().encode("utf-16-le"), "got text in UTF-16"),
    ("a gzip archive", gzip.compress, "got a gzip archive"),
    ("a bzip2 archive", bz2.compress, "got a compressed archive"),
    ("a zip archive", lambda text: zipped({"a.json": text}), "got a zip archive"),
    ("an .npz archive", lambda text: zipped({"score.npy": text}), "got an .npz archive"),
    ("a checkpoint", lambda text: zipped({"final/data.pkl": text}), "got a PyTorch checkpoint"),
    ("a pickle", pickle.dumps, "got a Python pickle"),
    ("a Git LFS pointer", lambda text: LFS_POINTER, "got a Git LFS pointer"),
    ("with more after it", lambda text: text + b"]", "expected"),
    ("100,000 brackets", lambda text: b"[" * DEEP, "expected"),
    ("100,000 braces", lambda text: b'{"a":' * DEEP, "expected"),
    ("100,000 brackets and back", lambda text: b'{"x":' + b"[" * DEEP + b"]" * DEEP + b"}", "expected"),
    ("zero bytes", lambda text: bytes(5000), "expected"),
]  # fmt: skip
# Values that no number may be written as: name, JSON text.
NUMBERS = [
    ("NaN", b"NaN"),
    ("Infinity", b"-Infinity"),
    ("1e400", b"1e400"),
    ("400 digits", b"9" * 400),
    ("a leading plus", b"+1"),
    ("100,000 brackets", b"[" * DEEP + b"]" * DEEP),
    ("bytes that are no UTF-8", b'"\xff\xfe"'),
    ("half a surrogate pair", b'"\\ud800"'),
]


def broken_texts(write: Write, name: str, mark: bytes) -> list[Row]:
    """Rows for a kind of JSON file.

    Args:
        write: writes a sound one.
        name: of the file, which the message must name.
        mark: where in the sound text a value is put in another's place: `"scale":2`, say.
    """

    def with_value(value: bytes, text: bytes) -> bytes:
        assert mark in text
        return text.replace(mark, mark[: mark.index(b":") + 1] + value, 1)

    rows = [(what, partial(write, function=function), name, says) for what, function, says in TEXTS]
    values = [(what, partial(with_value, value)) for what, value in NUMBERS]
    return rows + [(what, partial(write, function=function), name, "expected") for what, function in values]


def broken_value(write: Write, change: Callable[[Any], Any]) -> Callable[[Path], Command]:
    """Change the value of a sound JSON file, in place or for what `change` returns."""

    def function(text: bytes) -> bytes:
        value = json.loads(text)
        result = change(value)
        return compact(value if result is None else result)

    return partial(write, function=function)


def update(row: dict[str, Any], **changes: Any) -> None:
    """Change fields of a row; None removes one."""
    row |= changes
    for key in [key for key, value in changes.items() if value is None]:
        del row[key]


def compact(value: Any) -> bytes:
    """JSON without spaces, so that `mark`s are found in it."""
    return json.dumps(value, separators=(",", ":")).encode()
