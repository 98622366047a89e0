import pytest

from service.files import digests, is_shown, parse_range


class TestParseRange:
    @pytest.mark.parametrize(
        ("header", "start", "end"),
        [
            ("bytes=0-3", 0, 4),
            ("bytes=4-", 4, 10),
            ("bytes=-3", 7, 10),
            ("bytes=-99", 0, 10),
            ("bytes=8-99", 8, 10),
            ("bytes=9-9", 9, 10),
        ],
    )
    def test_reads_what_rfc_9110_writes(self, header, start, end):
        """
        First and last byte are both meant; a minus in front means the last so many.
        """
        part = parse_range(header, 10)

        assert (start, end, f"bytes {start}-{end - 1}/10") == (
            part.start,
            part.end,
            part.content_range,
        )

    @pytest.mark.parametrize(
        "header", [None, "", "bytes=-", "bytes=a-b", "bytes=0-1,4-5", "lines=1-2", "bytes=5-2"]
    )
    def test_passes_over_what_it_does_not_serve(self, header):
        """
        A malformed range, several ranges or other units are answered with the whole file.
        """
        assert parse_range(header, 10) is None

    @pytest.mark.parametrize(
        ("header", "size"), [("bytes=10-", 10), ("bytes=-0", 10), ("bytes=0-", 0)]
    )
    def test_says_what_lies_behind_the_end(self, header, size):
        """
        A range without a byte of the file is an error that names the file's size.
        """
        with pytest.raises(ValueError, match=f"the file has {size} bytes"):
            parse_range(header, size)


class TestDigests:
    def test_are_found_in_manifests_and_cards(self):
        """
        Shards, files, items and an ensemble all tell their digests, each in its way.
        """
        final = {
            "shards": [{"path": "data/shard-000000.tar", "sha256": "a"}],
            "ensemble": {"path": "attempts/2/ensemble.safetensors", "sha256": "b"},
            "items": [
                {"image": "i.png", "mask": "m.png", "sha256": {"image": "c", "mask": "d"}},
            ],
        }

        assert digests("datasets", final) == {
            "data/shard-000000.tar": "a",
            "attempts/2/ensemble.safetensors": "b",
            "i.png": "c",
            "m.png": "d",
        }

    def test_of_other_resources_are_left_out(self):
        """
        A lineage names files of the resources that this one was made from.
        """
        assert digests("generations", {"lineage": {"ensemble": {"path": "x", "sha256": "a"}}}) == {}

    def test_of_a_generator_is_its_card_s(self):
        """
        A generator's card is about one file, whose digest it has at the top.
        """
        assert digests("generators", {"sha256": "a"}) == {"generator.safetensors": "a"}
        assert digests("generators", None) == {}


class TestIsShown:
    def test_shows_the_attempt_that_counts(self):
        """
        Of several attempts users see the one that the last document names, all files of it.
        """
        final = {"preview": "attempts/12/preview.png"}

        assert is_shown("attempts/12/ensemble.safetensors", final)
        assert not is_shown("attempts/1/ensemble.safetensors", final)
        assert not is_shown("attempts/12/preview.png", None)

    @pytest.mark.parametrize("path", ["resource.json", "shards/000000.json"])
    def test_hides_what_is_ours(self, path):
        """
        Our own notes are no results.
        """
        assert not is_shown(path, {})
