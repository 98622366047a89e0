"""The Python client of a HandsOff service. Needs httpx and pydantic, nothing else of ours."""

from service.client._client import Client
from service.client._errors import (
    ApiError,
    BadRequest,
    ClientError,
    ConnectionFailed,
    CorruptDownload,
    JobCancelled,
    JobFailed,
    Misused,
    NotAllowed,
    NotFound,
    ServiceFault,
    Timeout,
)
from service.client._models import (
    LABELS,
    Depth,
    Estimate,
    File,
    Job,
    JobState,
    Keypoints,
    Label,
    Progress,
    Resource,
    Segmentation,
)
from service.client._uploads import Upload

__all__ = [
    "LABELS",
    "ApiError",
    "BadRequest",
    "Client",
    "ClientError",
    "ConnectionFailed",
    "CorruptDownload",
    "Depth",
    "Estimate",
    "File",
    "Job",
    "JobCancelled",
    "JobFailed",
    "JobState",
    "Keypoints",
    "Label",
    "Misused",
    "NotAllowed",
    "NotFound",
    "Progress",
    "Resource",
    "Segmentation",
    "ServiceFault",
    "Timeout",
    "Upload",
]
