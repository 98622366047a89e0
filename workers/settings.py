"""What a process of HandsOff is told from outside: environment variables `HANDSOFF_…`."""

import re
import tempfile
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from workers.retention_rules import DEFAULT, parse_rules

_PREFIX = re.compile(r"s3://[^/\s]+(/\S*)?")
# Without a password: that belongs into OTEL_EXPORTER_OTLP_HEADERS.
_COLLECTOR = r"^https?://[^\s@?#]+$"
Seconds = Annotated[float, Field(gt=0)]


class ConnectionSettings(BaseSettings):
    """Where Redis and the bucket are; the service and the workers share these.

    Attributes:
        redis_url: `redis://…`, `rediss://…` or `unix:///absolute/path.sock`.
        store_url: `file:///absolute/folder` or `s3://bucket/prefix`.
        s3_endpoint_url: the S3 server as we reach it; none for Amazon's.
        s3_public_endpoint_url: the same server as clients reach it: only signs URLs.
        s3_access_key, s3_secret_key: without them boto3 looks where it always looks.
        s3_checksums: boto3's; many servers reject what `when_supported` sends.
        import_prefixes: below which `s3://` addresses may be registered, separated by commas,
            e.g. `s3://models/,s3://teams/{tenant}/`, with the id of the tenant who asks in the
            second; none at first. They are read with our S3 keys.
        webhook_allow: networks of receivers that may be private, or on this machine, separated by
            commas, e.g. `10.1.0.0/16,127.0.0.0/8`; none at first. Plain http is for these alone.
        log_format: `console` for people, `json` for log collectors.
        otel_endpoint: where an OpenTelemetry collector takes OTLP over HTTP, e.g.
            `http://collector:4318`; without it nothing is traced. It needs the extra `otel`.
    """

    model_config = SettingsConfigDict(
        env_prefix="HANDSOFF_",
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,  # Errors are printed, and there are passwords among the inputs.
    )

    redis_url: str = Field(repr=False)  # It may hold a password.
    store_url: str
    s3_endpoint_url: str | None = None
    s3_public_endpoint_url: str | None = None
    s3_access_key: str | None = None
    s3_secret_key: SecretStr | None = None
    s3_region: str = "us-east-1"
    s3_checksums: Literal["when_required", "when_supported"] = "when_required"
    import_prefixes: Annotated[tuple[str, ...], NoDecode] = ()
    webhook_allow: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = ()
    log_format: Literal["console", "json"] = "console"
    otel_endpoint: Annotated[str | None, Field(pattern=_COLLECTOR)] = None

    @field_validator("import_prefixes", "webhook_allow", mode="before")
    @classmethod
    def _split(cls, given: object) -> object:
        if not isinstance(given, str):
            return given
        return tuple(prefix.strip() for prefix in given.split(",") if prefix.strip())

    @field_validator("import_prefixes")
    @classmethod
    def _are_addresses(cls, prefixes: tuple[str, ...]) -> tuple[str, ...]:
        for prefix in prefixes:
            if not _PREFIX.fullmatch(prefix):
                raise ValueError(f"a prefix is s3://bucket/ or s3://bucket/folder/, got {prefix!r}")
        return prefixes


class WorkerSettings(ConnectionSettings):
    """What a worker or the reaper is told.

    Attributes:
        lease_seconds: how long a step stays a silent worker's; renewed well before.
        max_attempts: how often a step is tried when workers die or faults pass.
        retry_delay_seconds: before a second attempt; four times as long before each further one.
        job_timeout_seconds: how long one step may run.
        drain_seconds: after SIGTERM, how long a step may take to reach its next report.
        stop_seconds: how long a step may take to stop once it is made to; then the process exits.
        reap_seconds: between two rounds of the reaper.
        device: `auto`, `cpu`, `cuda` or `cuda:1`.
        threads: of PyTorch on the CPU; 0 means all cores.
        lpips_trunk: file of the ImageNet weights that LPIPS needs, if there is one.
        scratch: folder for the files of running steps; those of dead workers are removed.
        max_import_bytes: of one file that is fetched from an `s3://` address, or of all objects
            of a folder together.
        retention: what is kept for how long, where a tenant has no rules of its own; see
            `workers.retention_rules`.
    """

    lease_seconds: Seconds = 20
    max_attempts: int = Field(default=3, ge=1)
    retry_delay_seconds: float = Field(default=2, ge=0)
    job_timeout_seconds: Seconds = 24 * 3600
    drain_seconds: Seconds = 5
    stop_seconds: Seconds = 2.5
    reap_seconds: Seconds = 2
    device: str = "auto"
    threads: int = Field(default=0, ge=0)
    lpips_trunk: Path | None = None
    scratch: Path = Field(default_factory=lambda: Path(tempfile.gettempdir(), "handsoff-scratch"))
    max_import_bytes: int = Field(default=16 << 30, ge=1)
    retention: str = DEFAULT

    @field_validator("retention")
    @classmethod
    def _are_rules(cls, rules: str) -> str:
        parse_rules(rules)
        return rules
