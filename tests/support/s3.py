"""How tests get into an S3 server: settings, a plain client, an empty bucket of their own."""

from dataclasses import dataclass
from functools import cache
from uuid import uuid4

import boto3

from workers.settings import ConnectionSettings
from workers.storage.open import open_store
from workers.storage.s3 import S3Clients, S3Store

BUCKET = "tests"


@dataclass(frozen=True)
class S3Endpoint:
    """
    Where a server is and how to get in.
    """

    url: str
    access_key: str
    secret_key: str
    region: str = "us-east-1"
    checks_signatures: bool = True


def s3_settings(endpoint: S3Endpoint, prefix: str = "", **changes) -> ConnectionSettings:
    """
    How HandsOff is told to use a test server.
    """
    values = {
        "redis_url": "unix:///nowhere",
        "store_url": f"s3://{BUCKET}/{prefix}",
        "s3_endpoint_url": endpoint.url,
        "s3_access_key": endpoint.access_key,
        "s3_secret_key": endpoint.secret_key,
        "s3_region": endpoint.region,
    }
    return ConnectionSettings(**values | changes)


def make_bucket(endpoint: S3Endpoint) -> None:
    """
    Create the tests' bucket, unless it is there.
    """
    client = s3_client(endpoint)
    if BUCKET not in [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]:
        client.create_bucket(Bucket=BUCKET)
    client.close()


def s3_client(endpoint: S3Endpoint):
    """
    A plain client, as any other program would make one.
    """
    return boto3.session.Session().client(
        "s3",
        endpoint_url=endpoint.url,
        region_name=endpoint.region,
        aws_access_key_id=endpoint.access_key,
        aws_secret_access_key=endpoint.secret_key,
    )


def s3_store(endpoint: S3Endpoint, **changes) -> S3Store:
    """
    An empty bucket (a prefix nobody has) on a test server.
    """
    return S3Store(BUCKET, f"run-{uuid4().hex}", s3_clients(endpoint, **changes))


@cache
def s3_clients(endpoint: S3Endpoint, **changes) -> S3Clients:
    """
    The clients that HandsOff makes: slow to make, so tests share them.
    """
    return open_store(s3_settings(endpoint, **changes))._clients
