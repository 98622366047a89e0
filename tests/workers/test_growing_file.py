"""What one thread writes and another reads: in full, in order, and with an end only when told."""

import os
import threading

import pytest

from workers.following import Abandoned, GrowingFile


@pytest.fixture
def path(tmp_path):
    """
    Where the file is written.
    """
    return tmp_path / "file"


@pytest.mark.parametrize("size", [1, 7, 64, 1000, 100_000])
def test_is_read_as_it_was_written(path, size):
    """
    However much is written and read at a time, no read gives less than was asked for before
    the end, and the bytes are the same.
    """
    data, file, chunks = os.urandom(30_000), GrowingFile(), []

    def read():
        while chunk := file.read(size):
            chunks.append(chunk)

    with file.open(path) as target:
        reader = threading.Thread(target=read)
        reader.start()
        for start in range(0, len(data), 777):
            target.write(data[start : start + 777])
    file.complete()
    reader.join()
    file.release()

    assert data == b"".join(chunks)
    assert {len(chunk) for chunk in chunks[:-1]} <= {size}


def test_is_read_whole(path):
    """
    Who asks for all waits for the end; then there is nothing more.
    """
    file = GrowingFile()
    with file.open(path) as target:
        target.write(b"all of it")
    path.rename(path.with_name("elsewhere"))
    file.complete()

    assert file.read() == b"all of it"
    assert (file.read(), file.read(5)) == (b"", b"")
    file.release()


def test_has_no_end_before_it_is_complete(path):
    """
    All that is written has been read, its writer has closed it, and its reader waits.
    """
    file, ends = GrowingFile(), []
    with file.open(path) as target:
        target.write(b"1234")
    assert file.read(4) == b"1234"
    reader = threading.Thread(target=lambda: ends.append(file.read(4)))
    reader.start()
    reader.join(0.05)

    assert ends == []
    file.complete()
    reader.join()
    file.release()
    assert ends == [b""]


def test_gives_nothing_when_it_was_given_up(path):
    """
    Neither an end, which would make an object of it, nor what has been written.
    """
    file = GrowingFile()
    with file.open(path) as target:
        target.write(b"1234")
    file.close()

    for size in (2, 4, 5, -1, 2):
        with pytest.raises(Abandoned):
            file.read(size)
    file.release()


def test_wakes_who_waits_when_it_is_given_up(path):
    """
    A reader that waits for more gets an error.
    """
    file, errors = GrowingFile(), []

    def read():
        with pytest.raises(Abandoned) as caught:
            file.read(1)
        errors.append(caught.value)

    reader = threading.Thread(target=read)
    reader.start()
    file.close()
    reader.join(10)

    assert len(errors) == 1


def test_that_has_shrunk_has_no_end(path):
    """
    What was written and is not there any more is an error.
    """
    file = GrowingFile()
    with file.open(path) as target:
        target.write(b"1234")
    os.truncate(path, 3)
    file.complete()

    with pytest.raises(EOFError, match="4 bytes were written, 3 of them are there"):
        file.read(100)
    file.release()


def test_cannot_be_written_where_there_is_no_room(path):
    """
    A full disk is the writer's error, and what could not be written is not read.
    """
    path.symlink_to("/dev/full")
    file = GrowingFile()
    with pytest.raises(OSError, match="No space left"), file.open(path) as target:
        target.write(bytes(100_000))
    file.complete()

    assert file.read() == b""
    file.release()
