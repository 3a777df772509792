"""Files that are either whole or absent, the one error, fields of JSON, progress, and work shared by processes."""

import hashlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence, Sized
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from itertools import islice
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Lock, Thread
from types import ModuleType
from typing import Any, BinaryIO, TypeVar
from uuid import uuid4

import orjson


class InputError(Exception):
    """What was expected, what was got, in which file and item: one clear line, which the command line prints.

    `code` names what is wrong with an item of the raw data, see `kps.data.checks.KINDS`.
    """

    def __init__(self, message: object, code: str = "") -> None:
        super().__init__(" ".join(str(message).split()))
        self.code = code


T, R = TypeVar("T"), TypeVar("R")
MAX_RATIO = 400  # of content to zip: real content stays far below, and more would only fill the memory
PROGRESS_SECONDS = 15.0
ZIP, NPZ, CHECKPOINT = "a zip archive", "an .npz archive of NumPy arrays", "a PyTorch checkpoint"
_KINDS: list[tuple[bytes | tuple[bytes, ...], str]] = [  # what a file is by its first bytes
    (b"version https://git-lfs", "a Git LFS pointer in place of the file (`git lfs pull` fetches it)"),
    (b"\xef\xbb\xbf", "text with a byte order mark (save it as UTF-8 without one)"),
    ((b"\xff\xfe", b"\xfe\xff", b"[\0", b"{\0", b"\0[", b"\0{"), "text in UTF-16 (save it as UTF-8)"),
    ((b"\x80\2", b"\x80\3", b"\x80\4", b"\x80\5"), "a Python pickle"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"PK\3\4", ZIP),
    (b"\x1f\x8b", "a gzip archive"),
    ((b"BZh", b"\xfd7zXZ", b"(\xb5/\xfd", b"7z\xbc\xaf", b"Rar!"), "a compressed archive"),
]


def open_file(path: Path) -> BinaryIO:
    """Open the file for reading bytes; InputError: the file is absent, or cannot be read."""
    try:
        return open(path, "rb")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None


def read_bytes(path: Path) -> bytes:
    """Return the file's content; InputError: the file is absent or cannot be read."""
    with open_file(path) as file:
        return file.read()


def kind_of(head: bytes) -> str | None:
    """Say what a file is by its first 512 bytes or more ("a gzip archive"), None where they tell nothing."""
    kind = next((kind for start, kind in _KINDS if head.startswith(start)), None)
    if kind == ZIP:
        kind = NPZ if b".npy" in head[:512] else CHECKPOINT if b"data.pkl" in head[:512] else ZIP
    if head[4:11] in (b"ftyphei", b"ftypmif"):
        kind = "an HEIC photo (save it as JPEG)"
    return "a tar archive" if head[257:262] == b"ustar" else kind


def reason_of(path: Path, error: object, *, own: Container[str] = ()) -> str:
    """Say why a file was refused: "got a gzip archive" where it is of no kind of `own`, else the error."""
    kind = None
    with suppress(InputError), open_file(path) as file:
        kind = kind_of(file.read(512))
    return f"got {kind}" if kind and kind not in own else str(error)[:200]


def read_json(path: Path) -> Any:
    """Return the value of a JSON file; InputError: the file is absent or is not JSON in UTF-8."""
    try:
        return orjson.loads(read_bytes(path))
    except orjson.JSONDecodeError as error:
        raise InputError(f"{path}: expected JSON, but {reason_of(path, error)}", "not_json") from None


def write_json(path: Path, value: Any, *, indent: bool = False) -> None:
    """Write a value (NumPy arrays and scalars included) as JSON, atomically."""
    option = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS | (orjson.OPT_INDENT_2 if indent else 0)
    try:
        content = orjson.dumps(value, option=option)
    except TypeError:  # a name of a file that is not UTF-8
        content = orjson.dumps(readable(value), option=option)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def readable(value: Any) -> Any:
    """Return a value of a JSON file in whose texts bytes that are not UTF-8, of a file's name, read \\xff."""
    if isinstance(value, dict):
        return {readable(key): readable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [readable(item) for item in value]
    is_text = isinstance(value, str)
    return value.encode(errors="surrogateescape").decode(errors="backslashreplace") if is_text else value


def identity(path: Path) -> object:
    """Return what a file or folder has in common under all its names, links too."""
    try:
        found = os.stat(path)
    except OSError:
        return os.path.realpath(path)
    return found.st_dev, found.st_ino


def without_nan(value: Any) -> Any:
    """Return a value for JSON: in dictionaries, however deep, NaN as None and keys as text."""
    if isinstance(value, dict):
        return {str(key): without_nan(part) for key, part in value.items()}
    return None if isinstance(value, float) and value != value else value


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; rename it to `path` on success, remove it otherwise.

    The temporary name keeps the suffix, since some writers choose the format by it. InputError: `path` is a folder, or
    a device or pipe, which a rename would replace.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        what = "it is a folder" if path.is_dir() else "it is none"
        raise InputError(f"{path}: expected a file to write, but {what}")
    with _renamed_to(path) as temporary:
        temporary.touch()
        yield temporary


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`, as `atomic_path` does; InputError: `path` is not an empty folder."""
    path = Path(path)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(f"{path}: expected a new or empty folder, but it exists and holds something")
    with _renamed_to(path.resolve()) as temporary:  # a link stays one
        temporary.mkdir()
        yield temporary


@contextmanager
def _renamed_to(path: Path) -> Iterator[Path]:
    """A name that is not taken in the folder of `path`, which is made; what lies there is renamed or removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem[:50]}.{uuid4().hex[:12]}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def progress(iterable: Iterable[T], *, desc: str, total: int | None = None, unit: str = "item") -> Iterator[T]:
    """Iterate with a progress bar on a terminal; elsewhere (notebooks, logs) print a line every PROGRESS_SECONDS.

    A single item shows nothing.
    """
    if total is None and isinstance(iterable, Sized):
        total = len(iterable)
    if total == 1:
        yield from iterable
        return
    if sys.stderr.isatty():
        from tqdm import tqdm

        yield from tqdm(iterable, desc=desc, total=total, unit=unit, mininterval=1.0)
        return
    of_total = "" if total is None else f" of {total}"
    started = last = time.monotonic()
    for count, item in enumerate(iterable, start=1):
        yield item
        now = time.monotonic()
        if now - last >= PROGRESS_SECONDS:
            print(f"{desc}: {count}{of_total} {unit}s, {now - started:.0f} s", flush=True)
            last = now


MAX_INTEGER = 2**63 - 1
MAX_COORDINATE = 1e9  # px; no photo is near, and areas stay finite
NUMBERS = frozenset({int, float})  # types; a bool is neither


def field(row: Mapping[str, Any], name: str) -> Any:
    """Return a field that must be there."""
    if name not in row:
        raise InputError(f"expected a field {name!r}")
    return row[name]


def integer_field(row: Mapping[str, Any], name: str, default: int | None = None) -> int:
    """Return a whole number that fits 64 bits; null counts as absent where there is a default."""
    value = field(row, name) if default is None else row.get(name)
    if value is None and default is not None:
        return default
    if type(value) is not int or not -MAX_INTEGER <= value <= MAX_INTEGER:
        raise InputError(f"expected a whole number as {name}, but got {shown(value)}")
    return value


def number_field(row: Mapping[str, Any], name: str) -> float:
    """Return a number."""
    value = field(row, name)
    if type(value) not in NUMBERS:
        raise InputError(f"expected a number as {name}, but got {shown(value)}")
    return float(value)


def numbers_field(row: Mapping[str, Any], name: str, count: int) -> list[float]:
    """Return a list of so many numbers."""
    values = field(row, name)
    if not isinstance(values, list) or len(values) != count:
        got = f"{len(values)}" if isinstance(values, list) else type(values).__name__
        raise InputError(f"expected {name} of {count} numbers, but got {got}")
    if not NUMBERS.issuperset(map(type, values)):
        wrong = next(value for value in values if type(value) not in NUMBERS)
        raise InputError(f"expected {name} as numbers, but got {shown(wrong)}")
    return values


def shown(value: Any) -> str:
    """A wrong value, short enough for a message."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def ordered_map(
    function: Callable[[T], R], items: Sequence[T], *, workers: int | None = None, chunk: int = 256
) -> Iterator[R]:
    """Yield function(item) for each item, in the items' order.

    Only two chunks a worker are under way at a time, so memory does not grow with the number of items. An exception is
    raised when its item's turn comes, whatever later items did. The function is of an imported module, or a `partial`
    of such: other processes do not import the caller's script, so a function of it stays in this process, as does what
    is one chunk. `workers` are processes; None takes all cores.
    """
    # A fork server: "spawn" would import anew, and "fork" may copy a thread's lock.
    context = get_context("forkserver")
    chunks = (items[start : start + chunk] for start in range(0, len(items), chunk))
    workers = min(workers or available_cores(), -(-len(items) // chunk))
    if workers <= 1 or getattr(function, "func", function).__module__ == "__main__":
        yield from map(function, items)
        return
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_prepare_worker) as pool:
        pending = [_submit(pool, function, part) for part in islice(chunks, 2 * workers)]
        try:
            while pending:
                results = pending.pop(0).result()
                pending += [_submit(pool, function, part) for part in islice(chunks, 1)]
                yield from results
        finally:
            pool.shutdown(cancel_futures=True)


_starting = Lock()


def _submit(pool: ProcessPoolExecutor, function: Callable[[T], R], part: Sequence[T]) -> Future[list[R]]:
    """Hand a chunk over; a process that this starts does not run the caller's script again.

    The script may have no guard or be standard input.
    """
    with _starting:
        main, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
        try:
            return pool.submit(_map_chunk, function, part)
        finally:
            sys.modules["__main__"] = main


def _prepare_worker() -> None:
    # Ctrl-C reaches every process of a terminal: only the parent's exception is to be seen.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["OPENCV_FOR_THREADS_NUM"] = "1"  # there are as many processes as cores
    Thread(target=lambda: parent_process().join() or os._exit(1), daemon=True).start()  # where that is killed


def _map_chunk(function: Callable[[T], R], part: Sequence[T]) -> list[R]:
    return [function(item) for item in part]
