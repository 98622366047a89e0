"""What a resource is before it is ready: the document that is written before the 202. Pure."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Resource(BaseModel):
    """The beginning of a generator, a dataset, a generation or any other resource.

    Attributes:
        collection: as in the URL, e.g. `label-generators`.
        job_id: the job that makes it ready; None for a dataset that is still open.
        spec: its parameters (a model of `workers.params`, dumped), as they were asked for.
        parents: ids of the resources it is made of, by role, e.g. `{"generator": "gen_…"}`.
        licence: free text of the user's, carried into every card made from it.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: int = 1
    id: str
    tenant: str
    collection: str
    name: str = ""
    licence: str = ""
    created_at: datetime
    job_id: str | None = None
    parents: dict[str, str] = Field(default_factory=dict)
    spec: dict[str, Any] = Field(default_factory=dict)
