import pytest
from pydantic import TypeAdapter, ValidationError
from support.s3 import BUCKET, s3_client, s3_settings

from models.data.admission import ArchiveLimits
from models.errors import InvalidImage
from workers.addresses import DatasetSource, S3Address, Source, is_allowed
from workers.bucket_files import BucketFiles
from workers.errors import StorageUnavailable, TaskFailed
from workers.imports import Imports
from workers.settings import ConnectionSettings
from workers.storage.open import open_bucket

PREFIX = f"s3://{BUCKET}/models/"


@pytest.fixture
def put(moto):
    """
    Puts an object into a bucket that is not ours; its address.
    """
    client = s3_client(moto)

    def put(key, data):
        client.put_object(Bucket=BUCKET, Key=key, Body=data)
        return f"s3://{BUCKET}/{key}"

    yield put
    client.close()


def importer(moto, limit=100, prefixes=PREFIX):
    """
    An importer that may read below the prefixes.
    """
    return Imports(s3_settings(moto, import_prefixes=prefixes), limit)


def refusal(imports, address, tmp_path):
    """
    The code with which an address is refused; nothing of it is left behind as a whole file.
    """
    with pytest.raises(TaskFailed) as failure:
        imports.fetch(address, tmp_path / "file")
    return failure.value.code, failure.value.message


class TestFetch:
    def test_copies_what_is_allowed(self, moto, put, tmp_path):
        """
        An object below an allowed prefix comes whole.
        """
        address = put("models/deep/gan.pkl", b"weights")

        importer(moto).fetch(address, tmp_path / "file")

        assert (tmp_path / "file").read_bytes() == b"weights"

    def test_reads_nothing_else(self, moto, put, tmp_path):
        """
        An object beside the prefix is refused before anybody is asked, and the setting is named.
        """
        address = put("models-of-others/gan.pkl", b"secret")

        code, message = refusal(importer(moto), address, tmp_path)

        assert code == "source_not_allowed"
        assert "HANDSOFF_IMPORT_PREFIXES" in message
        assert PREFIX in message

    def test_takes_no_giants(self, moto, put, tmp_path):
        """
        A file larger than the limit is not fetched; both sizes and the setting are named.
        """
        address = put("models/large.pkl", b"x" * 101)

        code, message = refusal(importer(moto), address, tmp_path)

        assert code == "source_too_large"
        assert "101 bytes; HANDSOFF_MAX_IMPORT_BYTES allows 100" in message
        assert not (tmp_path / "file").exists()

    def test_names_what_is_not_there(self, moto, tmp_path):
        """
        An address without an object, or without a bucket, fails for good.
        """
        imports = importer(moto, prefixes=f"{PREFIX}, s3://no-such-bucket")

        missing, message = refusal(imports, f"{PREFIX}none.pkl", tmp_path)
        assert (missing, message) == ("source_missing", f"there is no object {PREFIX}none.pkl")
        code, _ = refusal(imports, "s3://no-such-bucket/gan.pkl", tmp_path)
        assert code in {"source_missing", "source_refused"}

    def test_a_server_that_is_away_may_come_back(self, moto, tmp_path):
        """
        Then the step is tried again, not failed.
        """
        settings = s3_settings(
            moto, s3_endpoint_url="http://127.0.0.1:9", import_prefixes="s3://bucket/"
        )

        with pytest.raises(StorageUnavailable):
            Imports(settings, 100).fetch("s3://bucket/key", tmp_path / "file")

    def test_a_folder_without_its_slash_is_told_as_one(self, moto, put, tmp_path):
        """
        Who forgets the `/` at the end hears that it is what is missing.
        """
        put("models/deep/gan.pkl", b"weights")

        code, message = refusal(importer(moto), f"{PREFIX}deep", tmp_path)

        assert code == "source_missing"
        assert "there is no object" in message
        assert "end the address of a dataset's folder with /" in message


class TestFolder:
    def test_is_read_in_place(self, moto, put):
        """
        Objects below an allowed prefix are files, those beside it are none; the empty objects
        that stand for folders are left out.
        """
        for key in ("", "images/", "images/a b.png", "images/ü+%.png"):
            put(f"models/set1/{key}", key.encode() if key.endswith("g") else b"")
        put("models/set10/c.png", b"")

        files = importer(moto).folder(f"{PREFIX}set1/")

        assert files.names == ("images/a b.png", "images/ü+%.png")
        assert [files.read(name).decode() for name in files.names] == list(files.names)

    def test_reads_nothing_else(self, moto, put):
        """
        A folder that is not allowed, or only a part of which is, is not even listed.
        """
        put("models-of-others/a.png", b"secret")

        for address in (f"s3://{BUCKET}/models-of-others/", f"s3://{BUCKET}/"):
            with pytest.raises(TaskFailed, match="HANDSOFF_IMPORT_PREFIXES") as failure:
                importer(moto).folder(address)
            assert failure.value.code == "source_not_allowed"

    def test_sizes_count_together(self, moto, put):
        """
        What is listed may have no more bytes than one file; nothing is read to find out.
        """
        for name in ("a", "b"):
            put(f"models/heavy/{name}.png", bytes(60))

        with pytest.raises(TaskFailed) as failure:
            importer(moto, limit=119).folder(f"{PREFIX}heavy/")
        assert failure.value.code == "source_too_large"
        assert "120 bytes; HANDSOFF_MAX_IMPORT_BYTES allows 119" in failure.value.message
        assert len(importer(moto, limit=120).folder(f"{PREFIX}heavy/").names) == 2

    @pytest.mark.parametrize("inside", [(), ("", ".DS_Store", "images/")])
    def test_without_files_is_missing(self, moto, put, inside):
        """
        A prefix below which nothing lies, or nothing but junk and folders, is a mistake.
        """
        for key in inside:
            put(f"models/hollow/{key}", b"")

        with pytest.raises(TaskFailed, match="no files below s3://tests/models/") as failure:
            importer(moto).folder(f"{PREFIX}{'hollow' if inside else 'nowhere'}/")
        assert failure.value.code == "source_missing"

    def test_a_bucket_that_cannot_be_listed_is_told(self, moto):
        """
        A bucket that is not there fails for good, in words that name the address.
        """
        imports = importer(moto, prefixes="s3://no-such-bucket")

        with pytest.raises(TaskFailed, match="s3://no-such-bucket/a/") as failure:
            imports.folder("s3://no-such-bucket/a/")
        assert failure.value.code in {"source_missing", "source_refused"}

    def test_deleted_and_large_objects_are_faults_of_their_own(self, moto, put):
        """
        What a real server says of a missing object names the file; an object that is too large is
        given up in the middle, and the next one is read all the same.
        """
        for name, size in (("a", 3_000_000), ("b", 1), ("c", 1)):
            put(f"models/mixed/{name}", bytes(size))
        store, client = open_bucket(s3_settings(moto), BUCKET), s3_client(moto)
        files = BucketFiles(store, "models/mixed/", "set", ArchiveLimits(file_bytes=1000))
        client.delete_object(Bucket=BUCKET, Key="models/mixed/b")
        client.close()

        with pytest.raises(InvalidImage, match="a: is larger than 1,000 bytes"):
            files.read("a")
        with pytest.raises(InvalidImage, match="b: was deleted"):
            files.read("b")
        assert files.read("c") == bytes(1)

    def test_a_server_that_is_away_may_come_back(self, moto):
        """
        Then the step is tried again, not failed.
        """
        settings = s3_settings(
            moto, s3_endpoint_url="http://127.0.0.1:9", import_prefixes="s3://bucket/"
        )

        with pytest.raises(StorageUnavailable):
            Imports(settings, 100).folder("s3://bucket/set/")


class TestAddresses:
    @pytest.mark.parametrize(
        ("address", "prefixes", "allowed"),
        [
            ("s3://a/b/c", ("s3://a/b/",), True),
            ("s3://a/b/c", ("s3://a/b",), True),
            ("s3://a/bc", ("s3://a/b",), False),
            ("s3://ab/c", ("s3://a",), False),
            ("s3://a/c", ("s3://x/", "s3://a"), True),
            ("s3://a/b/c", (), False),
            ("s3://a/b/", ("s3://a/b",), True),
            ("s3://a/b/", ("s3://a/b/",), True),
            ("s3://a/", ("s3://a/b/",), False),
        ],
    )
    def test_prefixes_end_where_a_slash_is(self, address, prefixes, allowed):
        """
        With or without a slash at its end, a prefix is a folder and never half a name.
        """
        assert allowed is is_allowed(address, prefixes)

    def test_are_read_literally(self):
        """
        Nothing is decoded: a key may hold what would mean something in other URLs.
        """
        found = S3Address.parse("s3://my-bucket/a b/%2e%2e?x#y")

        assert found == S3Address("my-bucket", "a b/%2e%2e?x#y")

    @pytest.mark.parametrize(
        ("address", "key", "is_folder"),
        [
            ("s3://bucket/", "", True),
            ("s3://bucket/a/", "a/", True),
            ("s3://bucket/a/b", "a/b", False),
        ],
    )
    def test_folders_end_with_a_slash(self, address, key, is_folder):
        """
        A whole bucket is one too.
        """
        found = S3Address.parse(address)

        assert (found.key, found.is_folder) == (key, is_folder)

    def test_folders_are_for_datasets(self):
        """
        A checkpoint is one file, and an address that cannot be one says why.
        """
        assert TypeAdapter(DatasetSource).validate_python("s3://bucket/a/") == "s3://bucket/a/"
        with pytest.raises(ValidationError, match="ends in / as a folder does; name a single"):
            TypeAdapter(Source).validate_python("s3://bucket/a/")

    @pytest.mark.parametrize(
        "address",
        ["", "file:///etc/passwd", "s3://", "s3://b", "s3://bucket", "s3://bucket//",
         "s3://bucket//x", "s3://bucket/a//", "s3://bucket/../", "s3://bucket/a/../b",
         "s3://bu cket/x", "S3://bucket/x", "s3://user@host/x"],
    )  # fmt: skip
    def test_of_another_form_are_none(self, address):
        """
        Whatever is no bucket and key is refused.
        """
        with pytest.raises(ValueError):
            S3Address.parse(address)


class TestTenants:
    PREFIXES = f"s3://{BUCKET}/of/{{tenant}}/"

    def test_read_below_their_own_name(self, moto, put, tmp_path):
        """
        Where a prefix says `{tenant}`, each tenant reads below its own name and no other's.
        """
        address = put("of/one/gan.pkl", b"weights")
        imports = importer(moto, prefixes=self.PREFIXES)

        imports.of("one").fetch(address, tmp_path / "file")
        code, message = refusal(imports.of("two"), address, tmp_path)

        assert (tmp_path / "file").read_bytes() == b"weights"
        assert code == "source_not_allowed"
        assert "of/two/" in message

    def test_without_one_nothing_matches(self, moto, put, tmp_path):
        """
        Nobody's name is in no address.
        """
        address = put("of/one/gan.pkl", b"weights")

        code, _ = refusal(importer(moto, prefixes=self.PREFIXES), address, tmp_path)

        assert code == "source_not_allowed"


class TestSettings:
    def test_prefixes_are_separated_by_commas(self, monkeypatch):
        """
        As operators write them: `s3://models/, s3://team/gan/`; none at first.
        """
        urls = {"redis_url": "x", "store_url": "x"}
        assert ConnectionSettings(**urls).import_prefixes == ()
        monkeypatch.setenv("HANDSOFF_IMPORT_PREFIXES", "s3://models/, s3://team/gan/,")

        found = ConnectionSettings(**urls).import_prefixes

        assert found == ("s3://models/", "s3://team/gan/")

    @pytest.mark.parametrize("wrong", ["models/", "https://models/", "s3://", "s3:///x"])
    def test_what_is_no_prefix_is_refused(self, wrong):
        """
        A prefix that could match nothing, or everything, is a mistake.
        """
        with pytest.raises(ValidationError, match="a prefix is s3://bucket/"):
            ConnectionSettings(redis_url="x", store_url="x", import_prefixes=wrong)
