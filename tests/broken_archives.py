"""Broken .npz files and submission zips, read by `kps submit` and `kps validate`."""

import gzip
import io
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from broken_inputs import DEEP, HUGE, LFS_POINTER, TEXTS, Command, Row, compact
from builders import iter_results, make_predictions

from kps.files import write_json

NAME = "results.json"
CENTRAL, LOCAL = b"PK\x01\x02", b"PK\x03\x04"
PLACES = [("absent", lambda path: None), ("a folder", Path.mkdir), ("a link in a loop", lambda p: p.symlink_to(p))]


def npz(function: Callable[[bytes], bytes]) -> Callable[[Path], Command]:
    """Break the bytes of a sound archive of predictions."""

    def make(folder: Path) -> Command:
        path = folder / "run.npz"
        make_predictions(3).save(path)
        path.write_bytes(function(path.read_bytes()))
        return ["submit", path, "--out", folder / "out"]

    return make


def arrays(**changes: Any) -> Callable[[Path], Command]:
    """Change arrays of a sound archive; None removes one."""
    values = {**vars(make_predictions(3)), **changes}
    return npz(lambda content: saved(np.savez, **{key: value for key, value in values.items() if value is not None}))


def saved(save: Callable[..., None], *values: Any, **named: Any) -> bytes:
    file = io.BytesIO()
    save(file, *values, **named)
    return file.getvalue()


def with_header(shape: str) -> bytes:
    """An archive whose first array states another shape than it has."""
    values = {name: saved(np.save, value) for name, value in vars(make_predictions(3)).items()}
    values["detection_id"] = values["detection_id"].replace(
        b"(3,), }" + b" " * (len(shape) - 4), f"{shape}, }}".encode()
    )
    assert shape.encode() in values["detection_id"]
    return zipped([(f"{name}.npy", value) for name, value in values.items()])


def archives() -> list[Row]:
    objects = np.array([{"a": 1}, None, 3], dtype=object)
    rows = [
        ("empty", npz(lambda content: b"")),
        ("text", npz(lambda content: b"no archive")),
        ("a Git LFS pointer", npz(lambda content: LFS_POINTER), "got a Git LFS pointer"),
        ("a gzip archive", npz(gzip.compress), "got a gzip archive"),
        ("a pickle", npz(pickle.dumps), "got a Python pickle"),
        ("cut in half", npz(lambda content: content[: len(content) // 2])),
        ("with damaged bytes", npz(lambda content: content[:200] + bytes(40) + content[240:])),
        ("one array", npz(lambda content: saved(np.save, np.zeros(3)))),
        ("a zip of a JSON", npz(lambda content: zipped([(NAME, b"[]")]))),
        ("a zip with nothing", npz(lambda content: zipped([]))),
        ("zeros that fill the memory", npz(lambda content: zipped([("a.npy", bytes(10**8))])), "claims"),
        ("a header of 10^15 numbers", npz(lambda content: with_header(f"({10**15},)")), "detection_id"),
        ("a header that is no header", npz(lambda content: with_header("(((((((((")), "detection_id"),
        ("without scores", arrays(score=None), "score"),
        ("a pickled array", arrays(score=objects), "score"),
        ("scores as text", arrays(score=np.array(["1"] * 3)), "score"),
        ("scores as complex numbers", arrays(score=np.ones(3) * 1j), "score"),
        ("scores of another length", arrays(score=np.ones(4)), "score of shape"),
        ("a score of NaN", arrays(score=np.array([0.5, np.nan, 1])), "finite numbers in score"),
        ("a score of 1e300", arrays(score=np.array([0.5, 1e300, 1])), "finite numbers in score"),
        ("a box score of infinity", arrays(bbox_score=np.array([0.5, np.inf, 1])), "in bbox_score"),
        ("landmarks of 1e300 px", arrays(keypoints=np.full((3, 39, 3), 1e300)), "in keypoints"),
        ("294 landmarks", arrays(keypoints=np.zeros((3, 294, 3))), "keypoints of shape"),
        ("an unknown category", arrays(category_id=np.array([1, 2, 14])), "category ids from 1 to 13"),
        ("image ids as numbers with a point", arrays(image_id=np.ones(3)), "image_id"),
        ("image ids below 0", arrays(image_id=np.array([-1, 1, 2])), "image ids from 0"),
        ("no predictions", npz(lambda content: saved(np.savez, **vars(make_predictions(0)))), "at least one"),
    ]  # fmt: skip
    return [
        *[(name, make, "run.npz: expected", *says) for name, make, *says in rows],
        *[(f"{name} in its place", at("run.npz", place, "submit"), "run.npz") for name, place in PLACES],
    ]


def at(name: str, place: Callable[[Path], Any], command: str) -> Callable[[Path], Command]:
    """Put something else in place of a file."""

    def make(folder: Path) -> Command:
        place(folder / name)
        return [command, folder / name, *(["--out", folder / "out"] if command == "submit" else [])]

    return make


def zipped(entries: list[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in entries:
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return file.getvalue()


def rows_text(change: Callable[[list], Any] = lambda rows: None) -> bytes:
    rows = list(iter_results(make_predictions(3)))
    result = change(rows)
    return compact(rows if result is None else result)


def validate(content: bytes) -> Callable[[Path], Command]:
    def make(folder: Path) -> Command:
        (folder / "s.zip").write_bytes(content)
        return ["validate", folder / "s.zip"]

    return make


def named(*names: str) -> Callable[[Path], Command]:
    return validate(zipped([(name, rows_text()) for name in names]))


def holding(text: bytes) -> Callable[[Path], Command]:
    return validate(zipped([(NAME, text)]))


def patched(mark: bytes, offset: int, layout: str, value: int, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A sound zip with another value in its central (or local) header."""
    content = bytearray(zipped([(NAME, rows_text())], method))
    struct.pack_into(layout, content, content.rindex(mark) + offset, value)
    return bytes(content)


def with_zip64(size: int) -> bytes:
    """A sound zip whose central header states a size of 64 bits."""
    content = bytearray(zipped([(NAME, rows_text())]))
    start = content.rindex(CENTRAL)
    extra = struct.pack("<HHQ", 1, 8, size)
    struct.pack_into("<I", content, start + 24, 2**32 - 1)
    struct.pack_into("<H", content, start + 30, len(extra))
    end = start + 46 + len(NAME)
    content[end:end] = extra
    last = content.rindex(b"PK\x05\x06")
    struct.pack_into("<I", content, last + 12, last - start)
    return bytes(content)


def stored_with_damage() -> bytes:
    """A digit changed in what is stored as it is: only the checksum tells."""
    content = zipped([(NAME, rows_text())], zipfile.ZIP_STORED)
    place = content.index(b'"score":0.') + 10
    return content[:place] + (b"1" if content[place : place + 1] != b"1" else b"2") + content[place + 1 :]


def row(**changes: Any) -> Callable[[Path], Command]:
    def change(rows: list[dict[str, Any]]) -> None:
        rows[1] |= changes

    return holding(rows_text(change))


def with_images(*ids: Any) -> Callable[[Path], Command]:
    """A sound zip beside an information file of these image ids."""

    def make(folder: Path) -> Command:
        write_json(folder / "information.json", {"images": [{"id": image_id} for image_id in ids]})
        return [*holding(rows_text())(folder), "--images", folder / "information.json"]

    return make


def zips() -> list[Row]:
    sound = zipped([(NAME, rows_text())])
    first = struct.unpack_from("<I", sound, sound.rindex(CENTRAL) + 20)[0] // 2
    rows = [
        ("empty", validate(b""), "expected a zip"),
        ("a bare JSON", validate(rows_text()), "expected a zip"),
        ("a gzip archive", validate(gzip.compress(rows_text())), "expected a zip", "got a gzip archive"),
        ("a Git LFS pointer", validate(LFS_POINTER), "expected a zip", "got a Git LFS pointer"),
        ("cut at its end", validate(sound[:-30]), "expected a zip"),
        ("cut in half", validate(sound[: len(sound) // 2]), "expected a zip"),
        ("with nothing in it", named(), "found nothing"),
        ("two files", named(NAME, "other.json"), "nothing else", "other.json"),
        ("a folder", named("folder/", f"folder/{NAME}"), "nothing else", "folder/"),
        ("a name in a folder", named(f"folder/{NAME}"), "without folders", f"folder/{NAME}"),
        ("a name that climbs out", named("../../x.json"), "without folders", "../../x.json"),
        ("an absolute name", named("/x.json"), "without folders", "/x.json"),
        ("backslashes", named("..\\x.json"), "without folders"),
        ("another ending", named("results.txt"), "a .json at the root", "results.txt"),
        ("a name of 10,000 characters", named("a" * 10_000 + ".json"), "a .json at the root"),
        ("a zip in a zip", validate(zipped([("s.zip", sound)])), "a .json at the root", "s.zip"),
        ("a zip called JSON", holding(sound), "expected a JSON list"),
        ("a password", validate(patched(CENTRAL, 8, "<H", 1)), "encrypted"),
        ("patched data", validate(patched(CENTRAL, 8, "<H", 0x20)), "expected a zip"),
        ("strong encryption", validate(patched(CENTRAL, 8, "<H", 0x40)), "expected a zip"),
        ("LZMA", validate(zipped([(NAME, rows_text())], zipfile.ZIP_LZMA)), "deflate"),
        ("bzip2", validate(zipped([(NAME, rows_text())], zipfile.ZIP_BZIP2)), "deflate"),
        ("an unknown method", validate(patched(CENTRAL, 10, "<H", 99)), "deflate"),
        ("a bomb", holding(b" " * 50_000_000), "at most 400 times its zip"),
        ("a size of 2^62 in ZIP64", validate(with_zip64(2**62)), "at most 400 times its zip"),
        ("a size that is too small", validate(patched(CENTRAL, 24, "<I", 500)), "s.zip"),
        ("a size that is too large", validate(patched(CENTRAL, 24, "<I", 10**6)), "damaged", "1000000 bytes"),
        ("a place outside", validate(patched(CENTRAL, 42, "<I", 10**6)), "expected a zip"),
        ("another name inside", validate(patched(LOCAL, 30, "<B", 65)), "expected a zip"),
        ("a wrong checksum", validate(patched(CENTRAL, 16, "<I", 12345)), "damaged", "CRC"),
        ("a changed digit", validate(stored_with_damage()), "damaged", "CRC"),
        ("a cut stream", validate(sound[:first] + bytes(60) + sound[first + 60 :]), NAME),
        ("an empty list", holding(b"[]"), NAME, "at least one result", "empty"),
        ("an object", holding(b'{"rows": []}'), NAME, "expected a JSON list"),
        ("a row of 5 MB", holding(b'[{"a":"' + bytes(range(32, 42)) * 600_000 + b'"}]'), "row 0", "at most"),
        ("a row of brackets", holding(b'[{"a":' + b"[" * DEEP + b"]" * DEEP + b"}]"), "row 0", "expected JSON"),
        ("an unknown photo", with_images(1, 2), "row 2", "image id 3 is not in"),
    ]
    fields = [
        ("881 numbers", row(keypoints=[0] * 881), "keypoints of 882 numbers", "881"),
        ("numbers as text", row(keypoints=["1"] * 882), "keypoints as numbers"),
        ("an unknown category", row(category_id=14), "category id from 1 to 13", "14"),
        ("an id beyond 64 bits", row(image_id=HUGE), "whole number as image_id"),
        ("a score of NaN", row(score=float("nan")), "expected JSON"),
        ("a score that is a list", row(score=[1]), "number as score"),
        ("a score of 1e300", row(score=1e300), "a score within 1e+09", "1e+300"),
    ]
    return [
        *[(name, make, "s.zip", *says) for name, make, *says in rows],
        *[(name, make, f"s.zip: {NAME}: row 1", *says) for name, make, *says in fields],
        *[(f"a JSON {name}", holding(function(rows_text())), "s.zip", says) for name, function, says in TEXTS],
        *[(f"{name} in its place", at("s.zip", place, "validate"), "s.zip") for name, place in PLACES],
        ("an information row without a number", with_images("1"), "information.json: image 0", "'1'"),
    ]
