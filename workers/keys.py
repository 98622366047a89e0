"""Where everything lies in the bucket, and how ids are made. Pure: strings in, strings out.

{tenant}/jobs/{id}/spec.json | cancel.json | end.json
{tenant}/uploads/{id}/upload.json | content
{tenant}/idempotency/{sha256 of the key}.json
{tenant}/webhooks/{id}/webhook.json | pending/{name}.json | deliveries/{name}.json
{tenant}/deleted/{resource id}.json            what is being, and was lately, deleted
{tenant}/retention.json                       what is kept for how long, where the tenant has rules
{tenant}/{collection}/{id}/resource.json      written before the 202
{tenant}/{collection}/{id}/{FINAL}            written last: with it the resource is ready
{tenant}/{collection}/{id}/attempts/{n}/…     results that are not bit-reproducible
{tenant}/{collection}/{id}/snapshots/…        where a step stands that has not ended
{tenant}/datasets/{id}/items/{key}.png | {key}.{member of a kind}    as they came
{tenant}/datasets/{id}/fitted/…                                     changed by the ingest
{tenant}/generations/{id}/data/shard-000000.tar …
_access/{keys | quotas}/…                      who may ask, and how much: no tenant's, see `ACCESS`
"""

from collections.abc import Mapping

# The JSON that makes a resource of a collection ready, always written last.
FINAL: Mapping[str, str] = {
    "generators": "card.json",
    "encoders": "card.json",
    "datasets": "manifest.json",
    "inversions": "report.json",
    "label-generators": "card.json",
    "generations": "manifest.json",
    "evaluations": "report.json",
}

# What an id starts with tells what it names.
PREFIX: Mapping[str, str] = {
    "jobs": "job",
    "uploads": "upl",
    "generators": "gen",
    "encoders": "enc",
    "datasets": "dst",
    "inversions": "inv",
    "label-generators": "lbl",
    "generations": "gnn",
    "evaluations": "evl",
    "webhooks": "whk",
    "deliveries": "dlv",
}


ACCESS = "_access"
"""The folder of API keys and quotas, which belong to no tenant; no tenant is called so."""


def access(kind: str, name: str, version: int) -> str:
    """A version of an API key (of `keys`, by its id) or of what a tenant may use (`quotas`)."""
    return f"{ACCESS}/{kind}/{name}/{version:06d}.json"


def job(tenant: str, job_id: str, name: str) -> str:
    """A job's document: `spec.json`, `cancel.json` or `end.json`."""
    return f"{tenant}/jobs/{job_id}/{name}"


def inside(tenant: str, collection: str, resource_id: str, path: str) -> str:
    """An object of a resource, e.g. `data/shard-000000.tar` of a generation."""
    return f"{tenant}/{collection}/{resource_id}/{path}"


def description(tenant: str, collection: str, resource_id: str) -> str:
    """The document that a resource begins with."""
    return inside(tenant, collection, resource_id, "resource.json")


def final(tenant: str, collection: str, resource_id: str) -> str:
    """The document that makes a resource ready."""
    return inside(tenant, collection, resource_id, FINAL[collection])


def shard(index: int) -> str:
    """A shard's path inside its generation."""
    return f"data/shard-{index:06d}.tar"


def deleted(tenant: str, resource_id: str) -> str:
    """That a resource is being, or was lately, deleted."""
    return f"{tenant}/deleted/{resource_id}.json"


def retention(tenant: str) -> str:
    """What a tenant keeps for how long."""
    return f"{tenant}/retention.json"


def idempotency(tenant: str, digest: str) -> str:
    """Which request an Idempotency-Key of that SHA-256 belongs to."""
    return f"{tenant}/idempotency/{digest}.json"


def fragment(index: int) -> str:
    """What the worker that made a shard says of it, inside the generation."""
    return f"shards/{index:06d}.json"


SNAPSHOTS = "snapshots/"
"""The folder of a resource for the state of a step that has not ended."""

ITEMS = "items/"
"""The folder of a dataset in which labelled pictures are kept as they came."""

FITTED = "fitted/"
"""The folder for what ingesting changed, so that it can begin anew from what came."""


def item(key: str, member: str = "png", folder: str = ITEMS) -> str:
    """The path of a file of a labelled picture inside its dataset.

    Args:
        key: the picture's name; it has no dot.
        member: the end of the file's name: the picture's own, or that of a kind of label.
        folder: where it lies.
    """
    return f"{folder}{key}.{member}"
