"""The wire shapes of webhooks and their deliveries. Pure: no store, no Redis."""

from datetime import datetime
from typing import Annotated, Literal, Self, get_args

from pydantic import BaseModel, Field, StringConstraints

from service.schemas import Name, Page, examples
from workers.params import Params
from workers.receivers import MAX_URL
from workers.webhooks import Delivery, Webhook

JobEvent = Literal["job.succeeded", "job.failed", "job.cancelled"]
JOB_EVENTS: tuple[JobEvent, ...] = get_args(JobEvent)


class WebhookRequest(Params):
    """Where to tell, and of what."""

    model_config = examples(
        {"url": "https://hooks.example.org/handsoff", "events": ["job.succeeded", "job.failed"]}
    )

    url: Annotated[str, StringConstraints(min_length=1, max_length=MAX_URL)] = Field(
        description="https:// and public; see HANDSOFF_WEBHOOK_ALLOW for others"
    )
    events: Annotated[tuple[JobEvent, ...], Field(min_length=1, max_length=8)] = JOB_EVENTS
    name: Name = ""


class WebhookBody(BaseModel):
    """A webhook, without its secret."""

    id: str
    url: str
    events: list[str]
    name: str
    created_at: datetime
    links: dict[str, str]

    @classmethod
    def of(cls, webhook: Webhook) -> Self:
        """The wire shape of a webhook."""
        here = f"/v1/webhooks/{webhook.id}"
        links = {"self": here, "deliveries": f"{here}/deliveries", "test": f"{here}/test"}
        fields = set(cls.model_fields) & set(Webhook.model_fields)
        return cls(**webhook.model_dump(mode="json", include=fields), links=links)


class NewWebhookBody(WebhookBody):
    """A webhook that was just made, with its secret."""

    secret: str = Field(description="of HMAC-SHA256; shown here and nowhere else")


class AttemptBody(BaseModel):
    """One try to deliver."""

    at: datetime
    status: int | None = Field(description="of the answer; null where there was none")
    milliseconds: int
    error: str | None = Field(description="null where it was delivered")


class DeliveryBody(BaseModel):
    """An event on its way to a webhook."""

    id: str = Field(description="the same in the event itself, however often it is sent")
    webhook_id: str
    type: str
    job_id: str | None
    state: str = Field(description="pending, delivered or given_up")
    created_at: datetime
    attempts: list[AttemptBody]
    next_at: datetime | None = Field(description="of the next attempt, if there is one")

    @classmethod
    def of(cls, delivery: Delivery) -> Self:
        """The wire shape of a delivery."""
        return cls(**delivery.model_dump(mode="json", include=set(cls.model_fields)))


class WebhookPage(Page[WebhookBody]):
    """All webhooks."""


class DeliveryPage(Page[DeliveryBody]):
    """A page of deliveries."""
