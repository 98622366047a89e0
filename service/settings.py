"""The service's settings: the workers' (store, Redis), and what only HTTP needs."""

from pathlib import Path

from pydantic import Field

from service.door import AuthMode
from workers.settings import ConnectionSettings

GIBIBYTE = 1 << 30
MEBIBYTE = 1 << 20


class ServiceSettings(ConnectionSettings):
    """Read from the environment, `HANDSOFF_…`.

    Attributes:
        host, port: where to listen.
        allow_remote: whether hosts other than this one may be listened on; see `service.auth`.
        auth: when API keys are asked for; see `service.door.AuthMode`.
        quota_jobs, quota_images, quota_bytes, quota_rpm: what each tenant with a key may use,
            where nothing else is said of it; 0 for no limit. See `service.quota`.
        max_body_bytes: of JSON bodies.
        max_item_bytes: of one labelled image, both files and their wrapping.
        max_upload_bytes: of one upload through the service.
        reserve_bytes: room in the store that no request may fill.
        domains: a JSON file of presets for datasets, beside those that are built in.
        url_seconds: for which presigned URLs hold.
        shutdown_seconds: after which open streams are cut off at shutdown.
    """

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    allow_remote: bool = False
    auth: AuthMode = AuthMode.AUTO
    quota_jobs: int = Field(default=100, ge=0)
    quota_images: int = Field(default=1_000_000, ge=0)
    quota_bytes: int = Field(default=0, ge=0)
    quota_rpm: int = Field(default=6000, ge=0)
    max_body_bytes: int = Field(default=MEBIBYTE, ge=1024)
    max_item_bytes: int = Field(default=64 * MEBIBYTE, ge=1024)
    max_upload_bytes: int = Field(default=50 * GIBIBYTE, ge=1)
    reserve_bytes: int = Field(default=256 * MEBIBYTE, ge=0)
    domains: Path | None = None
    url_seconds: int = Field(default=3600, ge=60, le=7 * 24 * 3600)
    shutdown_seconds: int = Field(default=10, ge=1)
