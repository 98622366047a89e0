import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from models.data.npy import read_npy
from models.errors import InvalidImage


def npy(array, version=None):
    """
    An .npy file as numpy writes it.
    """
    target = io.BytesIO()
    np.lib.format.write_array(target, np.asarray(array), version)
    return target.getvalue()


def headed(header, numbers=b"", length=None):
    """
    An .npy file with a header written by hand.
    """
    length = len(header) if length is None else length
    return b"\x93NUMPY\x01\x00" + length.to_bytes(2, "little") + header + numbers


@settings(deadline=None)
@given(
    arrays(
        st.sampled_from([np.uint8, np.int64, ">i4", np.float32, ">f8", bool, np.float16]),
        array_shapes(max_dims=4, max_side=4),
        elements=st.integers(0, 1),
    ),
    st.booleans(),
    st.sampled_from([(1, 0), (2, 0), (3, 0)]),
)
def test_reads_what_numpy_wrote(array, transpose, version):
    """
    Any array of numbers, of any byte order, in C's order or Fortran's, in all versions.
    """
    array = array.T if transpose else array

    found = read_npy(npy(array, version), "a.npy", "biuf")

    np.testing.assert_array_equal(found, array)
    assert found.dtype == array.dtype


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "is no whole .npy file: it is empty"),
        (b"\x93NUMPY\x01\x00", "is no whole .npy file"),
        (b"PK\3\4", "begins with b'PK"),
        (npy([1, 2])[:-1], "has 15 bytes of numbers, but its shape (2,) takes 16"),
        (npy([1, 2]) + b"1", "has 17 bytes of numbers"),
        (npy(np.zeros((0, 3), int)), "is empty: its shape is (0, 3)"),
        (npy([{}]), "holds '|O', not plain numbers"),
        (npy(["a"]), "holds '<U1', not plain numbers"),
        (npy([1j]), "holds '<c16', not plain numbers"),
        (npy(np.zeros(2, "i4,f4")), "not plain numbers"),
        (npy([1.5]), "holds float64 numbers; save it as whole numbers"),
        (headed(b"{'descr': '<i8', 'fortran_order': False, 'shape': (9" + b"9" * 30 + b",)}"), ""),
        (headed(b"{'descr': '<i8', 'fortran_order': False, 'shape': (-1,)}"), "is not numpy's"),
        (headed(b"{'descr': '<i8', 'fortran_order': print(), 'shape': (1,)}"), "is not numpy's"),
        (headed(b"(" * 4000), "is not numpy's"),
        (headed(b" " * 5000), "its header takes 5,010 bytes"),
        (headed(b"{}", length=60_000), "its header takes 60,010 bytes"),
    ],
)
def test_other_files_are_refused(data, problem):
    """
    What is no array of the wanted numbers is told with what was found; nothing is evaluated.
    """
    with pytest.raises(InvalidImage) as caught:
        read_npy(data, "a.npy", "biu")

    assert caught.value.name == "a.npy"
    assert problem in caught.value.problem


def test_a_shape_that_lies_allocates_nothing():
    """
    A file of a few bytes that claims a billion billion numbers is refused by its size.
    """
    data = headed(b"{'descr': '<i8', 'fortran_order': False, 'shape': (999999999, 999999999), }")

    with pytest.raises(InvalidImage, match="has 0 bytes of numbers"):
        read_npy(data, "a.npy", "i")


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=4))
def test_damage_anywhere_is_an_array_or_our_error(changes):
    """
    Whatever bytes are changed, the file is read or refused, and never breaks the reader.
    """
    data = bytearray(npy(np.arange(6).reshape(2, 3)))
    for position, value in changes:
        data[position % len(data)] = value

    try:
        found = read_npy(bytes(data), "a.npy", "biuf")
    except InvalidImage:
        return
    assert found.nbytes == 48
