import json
import random

import pydantic_core
import pytest

from models.data.formats.json_pieces import MAX_PIECE, NotJson, beginning, entries, lists, parse

KEYS = ("images", "things")
SOME = rb"""{"info": {"a": "x,]}\"\\", "b": [1, {}]}, "images": [{"a": "\\"}, {"b": [[]]}],
  "n": 5, "things": [], "more": [{"things": [8]}]} """


def in_pieces(data):
    """
    What the lists of a json hold, parsed an entry at a time.
    """
    return {
        key: [parse(data, entry) for entry in entries(data, span)]
        for key, span in lists(data, KEYS).items()
    }


def at_once(data):
    """
    The same by the parser alone.
    """
    content = pydantic_core.from_json(data)
    return {key: content[key] for key in KEYS if isinstance(content.get(key), list)}


def outcome(read, data):
    """
    What a way to read makes of a json, "none" if it says that it is none.
    """
    try:
        return repr(read(data))
    except ValueError:
        return "none"


def refusal(data):
    """
    What a json is refused for.
    """
    with pytest.raises(NotJson) as caught:
        in_pieces(data)
    return str(caught.value)


@pytest.mark.parametrize("seed", range(2))
def test_whatever_is_json_is_what_the_parser_says(seed):
    """
    Of jsons that were changed at random places, those that the parser refuses are refused, and
    the others hold what it finds in them.
    """
    stream = random.Random(seed)
    tokens = [bytes([each]) for each in b'{}[]",:\\ 1a\xff\n'] + [b"", b"null"]
    kinds = set()
    for _ in range(1500):
        data = bytearray(SOME)
        for _ in range(stream.choice([0, 1, 1, 2, 3])):
            place = stream.randrange(1, len(data))
            data[place : place + stream.randint(0, 2)] = stream.choice(tokens)

        found, wanted = outcome(in_pieces, bytes(data)), outcome(at_once, bytes(data))

        assert found == wanted, bytes(data)
        kinds.add(found == "none")
    assert kinds == {True, False}


@pytest.mark.parametrize("shift", range(3))
def test_strings_may_hold_anything_anywhere(shift):
    """
    Quotes, brackets, commas and backslashes in strings part nothing, at whatever place of a
    large file they stand.
    """
    stream = random.Random(shift)
    texts = ["".join(stream.choices('\\"[]{},x', k=stream.randint(0, 400))) for _ in range(1500)]
    content = {"images": [{text: [text]} for text in texts], "things": texts}
    data = b" " * shift + json.dumps(content).encode()

    assert len(data) > 2**19
    assert in_pieces(data) == content


class TestFaults:
    @pytest.mark.parametrize(
        "data",
        [
            b'{"images": [{"a": 1},\n {"a" 2}]}',
            b'{"images": [{"a": 1} {"a": 2}]}',
            b'{"images": [1,\n2,\n  [3, 4}, 5], "things": [6]}',
            b'{\n"images":\n [1, "abc',
            b'{"n": [1, 2}}',
            b'{"images": [1,]}',
        ],
    )
    def test_are_told_by_line_and_column_of_the_whole(self, data):
        """
        What is no JSON is told where it is, in the parser's words.
        """
        with pytest.raises(ValueError) as wanted:
            pydantic_core.from_json(data)

        found = refusal(data)

        place = str(wanted.value).partition(" at ")[2]
        assert found.endswith(f"at {place}")

    @pytest.mark.parametrize(
        ("data", "problem"),
        [
            (b'{"images": [1}, "things": []}', "expected `]` at line 1 column 14"),
            (b'{"images": [1]', "EOF while parsing a list or an object at line 1 column 15"),
            (b'{"images": [1] "n": 2}', "trailing characters at line 1 column 15"),
            (b'{"images": []}\n {}', "trailing characters at line 1 column 15"),
            (b'{"a":' * 300, "recursion limit exceeded at line 1"),
        ],
    )
    def test_between_entries_are_told_too(self, data, problem):
        """
        What goes wrong where no entry is has words of its own.
        """
        assert refusal(data).startswith(problem)

    def test_of_a_bracket_are_found_where_it_lacks(self):
        """
        An entry without its end swallows all that follows, and is told all the same.
        """
        many = b'{"a": 1},\n' * (MAX_PIECE // 10)

        found = refusal(b'{"images": [\n{"a": [1, 2},\n' + many + b"6]}")

        assert found == "expected `,` or `]` at line 2 column 12"

    def test_of_size_are_told(self):
        """
        An entry too large to be parsed is told with its size, and where it is.
        """
        text = b'"' + b"x" * MAX_PIECE + b'"'

        assert refusal(b'{"images": [7,\n' + text + b"]}") == (
            f"an entry of {MAX_PIECE + 3:,} bytes, over {MAX_PIECE:,}, at line 1 column 15"
        )


def test_what_is_not_wanted_may_be_large():
    """
    Other members of any size are passed over.
    """
    other = [list(range(1000))] * (MAX_PIECE // 3000)
    data = json.dumps({"other": other, "images": [1], "last": {"deep": other}}).encode()

    assert in_pieces(data) == {"images": [1]}


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf", b" \n\t"])
def test_begins_with_what_is_no_blank(mark):
    """
    A byte order mark and blanks stand before the json.
    """
    assert beginning(mark + b"{}") == len(mark)
    assert in_pieces(mark + SOME) == in_pieces(SOME)
