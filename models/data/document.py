"""The base of all JSON documents that are stored. Pure."""

from pydantic import BaseModel, ConfigDict


class Document(BaseModel):
    """Frozen; an unknown field is an error that names it, and so is a number that JSON lacks."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
