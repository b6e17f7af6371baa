# SPDX-License-Identifier: Apache-2.0
"""identity.py - the calls of the Identity service that belong here: get user, list regions."""

from .principals import REGION
from .wire import Answer, ServiceError

KIND = "user"
CAPABILITIES = ("canUseConsolePassword", "canUseApiKeys", "canUseAuthTokens",
                "canUseSmtpCredentials", "canUseDbCredentials",
                "canUseCustomerSecretKeys", "canUseOAuth2ClientCredentials")


def default_user(user_id, tenancy):
    """Somebody who owns a key but was never described."""
    return {"id": user_id, "compartmentId": tenancy, "name": "test.user@example.com",
            "description": "Test user", "email": "test.user@example.com",
            "emailVerified": True, "identityProviderId": None, "externalIdentifier": None,
            "timeCreated": "2026-01-01T00:00:00.000Z", "lifecycleState": "ACTIVE",
            "inactiveStatus": None, "freeformTags": {}, "definedTags": {},
            "capabilities": dict.fromkeys(CAPABILITIES, True), "isMfaActivated": False,
            "lastSuccessfulLoginTime": None, "previousSuccessfulLoginTime": None}


async def get_user(store, call):
    tenancies = {parts[1]: parts[0] for key in store.keys
                 if len(parts := key.split("/")) == 3}
    known = store.catalog.fact(KIND, call.item)
    if known is None and call.item not in tenancies and call.item != call.user:
        raise ServiceError(404, "NotAuthorizedOrNotFound",
                           "Authorization failed or requested resource not found.")
    user = default_user(call.item, tenancies.get(call.item, store.compartment))
    return Answer.json({**user, **(known or {})}, headers={"etag": "1"})


async def list_regions(store, call):
    return Answer.json([{"key": REGION["regionKey"], "name": REGION["regionIdentifier"]}])


OPERATIONS = {"GetUser": get_user, "ListRegions": list_regions}
