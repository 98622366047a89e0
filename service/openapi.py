"""What the OpenAPI document says of API keys, once for all routes that need one."""

from typing import Any

from service.auth import OPEN_PATHS
from service.problems import responses

_SCHEME = "api_key"
_METHODS = frozenset({"get", "put", "post", "delete", "patch"})


def declare_keys(document: dict[str, Any]) -> None:
    """Add to a document how a key is sent, and what is answered without a sufficient one."""
    document["components"]["securitySchemes"] = {
        _SCHEME: {
            "type": "http",
            "scheme": "bearer",
            "description": "`Authorization: Bearer ho_…`, where the service has keys; without "
            "any, it asks for none and answers to its own machine alone.",
        }
    }
    declared = responses(401, 403, 429)
    refusals = {str(status): declared[status] for status in (401, 403, 429)}
    for path, operations in document["paths"].items():
        if path in OPEN_PATHS:
            continue
        for method in _METHODS & operations.keys():
            operations[method]["security"] = [{_SCHEME: []}, {}]
            operations[method]["responses"] |= refusals
