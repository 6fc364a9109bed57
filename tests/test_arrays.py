"""Files of arrays: what is read, and that all that is none raises alike."""

from __future__ import annotations

from contextlib import suppress
from zipfile import ZipFile

import numpy as np
import pytest

from rmtfl.arrays import load

HEADER = "{'descr': '<f8', 'fortran_order': False, 'shape': (3,)}"


def array_file(header=HEADER, numbers=3):
    """The bytes of a .npy file with a header as given."""
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + np.arange(float(numbers)).tobytes()


def test_an_array_and_an_archive(tmp_path):
    place = tmp_path / "a.npy"
    place.write_bytes(array_file())
    assert load(place).tolist() == [0, 1, 2]
    with ZipFile(place, "w") as archive:
        archive.writestr("y.npy", array_file())
        archive.writestr("notes.txt", "not an array")
    found = load(place)
    assert found["y"].tolist() == [0, 1, 2] and found["notes.txt"] == b"not an array"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"1 2 3",
        b"PK\x03\x04",
        array_file(numbers=2),
        array_file("{'descr': '<f8', 'shape': (3,"),  # not closed
        array_file("{b'descr': '<f8', 'fortran_order': False, 'shape': (3,)}"),
        array_file("{'descr': '|O', 'fortran_order': False, 'shape': (3,)}"),
    ],
)
def test_what_is_no_file_of_arrays(tmp_path, content):
    place = tmp_path / "a.npy"
    place.write_bytes(content)
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        load(place)
    assert str(raised.value)


def test_random_damage_is_never_anything_else(tmp_path):
    rng, place = np.random.default_rng(5), tmp_path / "a.npy"
    for _ in range(300):
        content = bytearray(array_file())
        content[rng.integers(8, 128)] = rng.integers(256)
        place.write_bytes(content)
        with suppress(ValueError):
            assert isinstance(load(place), np.ndarray)
