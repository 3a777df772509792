"""Fields of a JSON object, of the type that they must have: NumPy would take "1" and true for numbers.

All raise InputError that names the field; the caller adds file and row.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kps.errors import InputError

MAX_INTEGER = 2**63 - 1
MAX_COORDINATE = 1e9  # px; no photo is near, and areas stay finite
NUMBERS = frozenset({int, float})  # types; a bool is neither
_SHOWN = 40  # characters of a wrong value


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
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
