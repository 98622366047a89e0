import pytest

from models.data.problems import LIMIT, Problems
from models.errors import InvalidDataset, InvalidImage


def test_no_problem_is_no_error():
    """
    An empty list of problems raises nothing.
    """
    Problems().check()


def test_all_problems_come_in_one_error():
    """
    An error carries every problem in order, and its message counts them and shows the first.
    """
    problems = Problems()
    problems.add("a.png", "is blue")
    problems.note(InvalidImage("b.png", "is red"))

    with pytest.raises(InvalidDataset, match=r"^2 problems.*first: a\.png: is blue$") as caught:
        problems.check()
    assert caught.value.problems == (("a.png", "is blue"), ("b.png", "is red"))
    assert caught.value.complete


def test_one_problem_speaks_for_itself():
    """
    A single problem is the whole message.
    """
    problems = Problems()
    problems.add("a.png", "is blue")

    with pytest.raises(InvalidDataset, match=r"^a\.png: is blue$"):
        problems.check()


def test_the_list_ends():
    """
    A dataset of nothing but faults is given up with the first of them.
    """
    problems = Problems()
    for number in range(LIMIT - 1):
        problems.add(f"{number}.png", "is blue")

    with pytest.raises(InvalidDataset, match=f"^{LIMIT} or more problems") as caught:
        problems.add("last.png", "is blue")
    assert not caught.value.complete
    assert len(caught.value.problems) == LIMIT


def test_the_list_need_not_end():
    """
    Who wants to go on without the bad files hears of all of them.
    """
    problems = Problems(limit=None)
    for number in range(LIMIT + 9):
        problems.add(f"{number}.png", "is blue")

    assert len(problems.found) == LIMIT + 9


def test_takes_over_what_others_found():
    """
    A list that ended elsewhere is noted whole; one that was given up there ends this one too.
    """
    problems = Problems()
    problems.add("a.png", "is blue")
    problems.extend(InvalidDataset([("b.png", "is red")]))

    with pytest.raises(InvalidDataset) as caught:
        problems.extend(InvalidDataset([("archive", "is too large")], complete=False))

    assert [file for file, _ in caught.value.problems] == ["a.png", "b.png", "archive"]
    assert not caught.value.complete
