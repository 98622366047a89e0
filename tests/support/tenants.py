"""Clients of one service that act for different tenants, each with a key of its own."""

from dataclasses import replace

from support.api import Api

from service.access import AccessDocuments
from service.api_keys import Scope


def make_key(api: Api, tenant: str, scope: Scope = Scope.WRITE, **options) -> str:
    """
    A key's token; the service hears of it with its next look at the bucket.
    """
    return AccessDocuments(api.services.store).create(tenant, scope, **options)[1]


def with_key(api: Api, token: str) -> Api:
    """
    The same client, sending a key.
    """

    def send(method, path, headers=None, **options):
        sent = {"Authorization": f"Bearer {token}", **(headers or {})}
        return api.send(method, path, headers=sent, **options)

    return replace(api, send=send)


def as_tenant(api: Api, tenant: str, scope: Scope = Scope.WRITE) -> Api:
    """
    The same client, acting for a tenant.
    """
    return with_key(api, make_key(api, tenant, scope))
