"""From settings to a store: the one place where a kind of store is chosen."""

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from workers.settings import ConnectionSettings
from workers.storage.base import ObjectStore
from workers.storage.local import LocalStore

if TYPE_CHECKING:
    from boto3.session import Session
    from mypy_boto3_s3 import S3Client


def open_store(settings: ConnectionSettings) -> ObjectStore:
    """The store that `settings.store_url` names; nothing is sent yet.

    Raises:
        ValueError: the URL is neither `file:///absolute/folder` nor `s3://bucket/prefix`.
    """
    url = urlsplit(settings.store_url)
    if url.scheme == "file" and not url.netloc and url.path.startswith("/"):
        return LocalStore(Path(unquote(url.path)))
    if url.scheme == "s3" and url.netloc:
        return _open_s3(settings, url.netloc, url.path)
    wanted = "file:///absolute/folder or s3://bucket/prefix"
    raise ValueError(f"store_url must be {wanted}, got {settings.store_url!r}")


def open_bucket(settings: ConnectionSettings, bucket: str) -> ObjectStore:
    """Any bucket on the S3 server of the settings, wherever our own store is."""
    return _open_s3(settings, bucket, "")


def _open_s3(settings: ConnectionSettings, bucket: str, prefix: str) -> ObjectStore:
    # boto3 takes half a second to import, and those with a folder need not have it.
    import boto3

    from workers.storage.s3 import S3Clients, S3Store

    # Making one is not thread-safe; using what it made is.
    session = boto3.session.Session()
    data = _client(session, settings, settings.s3_endpoint_url)
    address = settings.s3_public_endpoint_url
    public = _client(session, settings, address) if address else data
    hasty = _client(session, settings, settings.s3_endpoint_url, attempts=1, seconds=2)
    return S3Store(bucket, prefix, S3Clients(data, public, hasty))


def _client(
    session: "Session",
    settings: ConnectionSettings,
    endpoint: str | None,
    attempts: int = 5,
    seconds: int = 60,
) -> "S3Client":
    from botocore.config import Config

    secret = settings.s3_secret_key
    config: Any = Config(
        signature_version="s3v4",
        # A bucket as a part of the host name needs DNS that our own servers do not have.
        s3={"addressing_style": "path"},
        request_checksum_calculation=settings.s3_checksums,
        response_checksum_validation=settings.s3_checksums,
        retries={"mode": "standard", "total_max_attempts": attempts},
        connect_timeout=min(5, seconds),
        read_timeout=seconds,
        max_pool_connections=32,
        tcp_keepalive=True,
    )
    return session.client(
        "s3",
        endpoint_url=endpoint,
        region_name=settings.s3_region,
        aws_access_key_id=settings.s3_access_key,
        aws_secret_access_key=secret.get_secret_value() if secret else None,
        config=config,
    )
