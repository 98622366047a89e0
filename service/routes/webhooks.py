"""Webhooks: who is told, without asking, how jobs end."""

from collections.abc import Callable
from datetime import datetime

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from service.auth import Tenant
from service.dependencies import App, Making, mark_replay
from service.pagination import DEFAULT_LIMIT, After, Limit, link_to_next
from service.problems import responses
from service.webhook_schemas import (
    DeliveryBody,
    DeliveryPage,
    NewWebhookBody,
    WebhookBody,
    WebhookPage,
    WebhookRequest,
)
from workers.webhooks import Delivery, Webhook

COLLECTION = "webhooks"
router = APIRouter(prefix="/v1/webhooks", tags=[COLLECTION])


@router.post(
    "",
    status_code=201,
    operation_id="create_webhook",
    summary="Be told how jobs end",
    responses=responses(409, 413, 415),
)
def create_webhook(body: WebhookRequest, call: Making, response: Response) -> NewWebhookBody:
    """The answer holds the secret that signs what is sent; it is shown here and nowhere else."""

    def prepare(made: str) -> Callable[[datetime], Webhook]:
        call.app.webhooks.judge(call.tenant, body)
        return lambda at: call.app.webhooks.create(call.tenant, made, body, at)

    def find(made: str) -> Webhook | None:
        return call.app.webhooks.find(call.tenant, made)

    # A repetition shows the secret again: its first answer may have been lost.
    webhook, replayed = call.once(COLLECTION, body.model_dump(mode="json"), find, prepare)
    mark_replay(response, replayed)
    answer = NewWebhookBody.of(webhook)
    response.headers["Location"] = answer.links["self"]
    return answer


@router.get("", operation_id="list_webhooks", summary="List webhooks", responses=responses())
def list_webhooks(app: App, tenant: Tenant) -> WebhookPage:
    """All of them, newest first: there are few."""
    data = [WebhookBody.of(webhook) for webhook in app.webhooks.list(tenant)]
    return WebhookPage(data=data, has_more=False, next_cursor=None)


@router.get(
    "/{webhook_id}", operation_id="get_webhook", summary="One webhook", responses=responses(404)
)
def get_webhook(webhook_id: str, app: App, tenant: Tenant) -> WebhookBody:
    """Without its secret."""
    return WebhookBody.of(app.webhooks.get(tenant, webhook_id))


@router.delete(
    "/{webhook_id}",
    status_code=204,
    operation_id="delete_webhook",
    summary="Be told no more",
    responses=responses(404),
)
def delete_webhook(webhook_id: str, app: App, tenant: Tenant) -> None:
    """Its log of deliveries goes too, and what was on its way to it."""
    app.webhooks.delete(tenant, webhook_id)


@router.post(
    "/{webhook_id}/test",
    status_code=202,
    operation_id="test_webhook",
    summary="Have a made-up event delivered",
    responses=responses(404, 409),
)
def test_webhook(webhook_id: str, call: Making, response: Response) -> DeliveryBody:
    """Sent as any other; its log says what became of it."""

    def prepare(made: str) -> Callable[[datetime], Delivery]:
        webhook = call.app.webhooks.get(call.tenant, webhook_id)
        return lambda at: call.app.webhooks.test(webhook, made, at)

    # Making it again is harmless, so there is nothing to look for first.
    delivery, replayed = call.once("deliveries", {}, lambda _: None, prepare)
    mark_replay(response, replayed)
    response.headers["Location"] = f"/v1/webhooks/{webhook_id}/deliveries"
    return DeliveryBody.of(delivery)


@router.get(
    "/{webhook_id}/deliveries",
    operation_id="list_deliveries",
    summary="What was sent, and what came of it",
    responses=responses(404),
)
def list_deliveries(
    webhook_id: str,
    request: Request,
    response: Response,
    app: App,
    tenant: Tenant,
    limit: Limit = DEFAULT_LIMIT,
    after: After = None,
) -> DeliveryPage:
    """Newest first, each with all of its attempts."""
    webhook = app.webhooks.get(tenant, webhook_id)
    found, cursor = app.webhooks.deliveries(webhook, limit, after)
    response.headers.update(link_to_next(request, cursor))
    data = [DeliveryBody.of(delivery) for delivery in found]
    return DeliveryPage(data=data, has_more=cursor is not None, next_cursor=cursor)
