"""A field has the JSON type that it must have, or is named."""

from typing import Any

import pytest

from kps.files import InputError, field, integer_field, number_field, numbers_field, shown

ROW = {"whole": 5, "real": 0.5, "many": [1, 2.5], "nothing": None}


def test_values_come_back_as_they_are() -> None:
    assert field(ROW, "nothing") is None
    assert integer_field(ROW, "whole") == 5
    assert integer_field(ROW, "nothing", default=3) == integer_field(ROW, "absent", default=3) == 3
    assert integer_field({"whole": 0}, "whole", default=3) == 0
    assert number_field(ROW, "whole") == 5.0 and number_field(ROW, "real") == 0.5
    assert numbers_field(ROW, "many", 2) is ROW["many"]


@pytest.mark.parametrize("function", [field, integer_field, number_field])
def test_an_absent_field_is_named(function: Any) -> None:
    with pytest.raises(InputError, match="expected a field 'absent'"):
        function(ROW, "absent")


@pytest.mark.parametrize("value", ["5", True, 5.0, None, [5], 2**63, -(2**63)])
def test_only_whole_numbers_of_64_bits_are_integers(value: Any) -> None:
    with pytest.raises(InputError, match="expected a whole number as x"):
        integer_field({"x": value}, "x")


@pytest.mark.parametrize("value", ["0.5", True, None, [0.5]])
def test_only_numbers_are_numbers(value: Any) -> None:
    with pytest.raises(InputError, match="expected a number as x"):
        number_field({"x": value}, "x")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1], "expected x of 2 numbers, but got 1"),
        ("12", "expected x of 2 numbers, but got str"),
        ([1, "2"], "expected x as numbers, but got '2'"),
        ([1, True], "expected x as numbers, but got True"),
        ([1, None], "expected x as numbers, but got None"),
    ],
)
def test_only_lists_of_numbers_are_such(value: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        numbers_field({"x": value}, "x", 2)


def test_a_long_value_is_shown_in_part() -> None:
    assert shown("a" * 1000) == "'" + "a" * 39 + "..."
