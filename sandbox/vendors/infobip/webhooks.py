"""Webhook set-up as Infobip keeps it: subscriptions, notification profiles, security settings, inbound forwarding.

The models follow the schemas of the Subscriptions API's OpenAPI file; what the sandbox does not play is left out of
them, and refused.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from sandbox.vendors.infobip.requests import Url
from sandbox.vendors.infobip.wire import Wire

Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9._~-]{1,255}$")]
Name = Annotated[str, Field(min_length=1, max_length=255)]

DELIVERY, INBOUND = "DELIVERY", "INBOUND_MESSAGE"


class BasicCredentials(Wire):
    """A user and a password."""

    username: Name
    password: Name


class ChangedSecurity(Wire):
    """Security settings without their id; of the four types the sandbox plays one."""

    type: Literal["BASIC"]
    credentials: BasicCredentials


class SecurityReference(Wire):
    """Security settings that exist."""

    auth_id: Identifier


class NewSecurity(SecurityReference):
    """Security settings to be made, or named by their id alone."""

    type: Literal["BASIC"] | None = None
    credentials: BasicCredentials | None = None


class Security(BaseModel):
    """Security settings of an account."""

    account: str
    id: str
    settings: ChangedSecurity


class Webhook(Wire):
    """Where to post."""

    notify_url: Url
    content_type: Literal["application/json"] = "application/json"


class ProfileSettings(Wire):
    """How to post."""

    webhook: Webhook | None = None
    max_bucket_size: Annotated[int, Field(ge=1, le=2000)] | None = None
    window_size: Annotated[int, Field(ge=20, le=10000)] | None = None
    connect_timeout: Annotated[int, Field(ge=300, le=30000)] | None = None
    read_timeout: Annotated[int, Field(ge=1000, le=90000)] | None = None
    enabled_ssl_protocols: Annotated[list[Literal["TLSv1.2", "TLSv1.3"]] | None, Field(alias="enabledSSLProtocols")] = (
        None
    )
    headers: dict[str, str] | None = None
    rate_limit: Annotated[int, Field(ge=1, le=5000)] | None = None


class ProfileReference(Wire):
    """A profile that exists."""

    profile_id: Identifier


class NewProfile(ProfileSettings):
    """A profile to be made, or named by its id alone."""

    profile_id: Identifier
    security: NewSecurity | None = None


class ChangedProfile(ProfileSettings):
    """A profile without its id; its security settings can be exchanged, not changed."""

    security: SecurityReference | None = None


class Profile(BaseModel):
    """A notification profile of an account."""

    account: str
    id: str
    auth_id: str | None
    settings: ProfileSettings


class FormattedEvent(Wire):
    """An event in a named format."""

    event: str
    format: str


class Criterion(Wire):
    """An application and an entity, or one of them."""

    application_id: Annotated[str, Field(max_length=255)] | None = None
    entity_id: Annotated[str, Field(max_length=255)] | None = None


class SubscriptionSettings(Wire):
    """What to tell; events of other channels are ignored, as documented."""

    name: Name | None = None
    events: list[str | FormattedEvent]
    criteria: tuple[Criterion, ...] = ()
    resources: tuple[str, ...] = ()

    def wants(self, event: str, address: str, platform: dict[str, str]) -> bool:
        """Tell whether an event of one of the customer's addresses is to be told."""
        names = {entry if isinstance(entry, str) else entry.event for entry in self.events}
        return (
            event in names
            and (not self.resources or address in self.resources)
            and (not self.criteria or any(_matches(criterion, platform) for criterion in self.criteria))
        )

    @property
    def narrowness(self) -> int:
        """How many kinds of conditions it has."""
        return bool(self.criteria) + bool(self.resources)


class NewSubscription(SubscriptionSettings):
    """A subscription to be made."""

    subscription_id: Identifier
    profile: NewProfile


class ChangedSubscription(SubscriptionSettings):
    """A subscription without its id; its profile can be exchanged, not changed."""

    profile: ProfileReference


class Subscription(BaseModel):
    """A subscription of an account to events of SMS."""

    account: str
    id: str
    profile_id: str
    settings: SubscriptionSettings


class Forwarding(Wire):
    """What to do with incoming texts."""

    type: Literal["HTTP_FORWARD", "PULL"]
    url: Url | None = None
    format: Literal["MO_JSON_2"] = "MO_JSON_2"


class InboundRequest(Wire):
    """The set-up of a number, or of one of its keywords."""

    channel: Literal["SMS"]
    number: Annotated[str, Field(min_length=1)]
    keyword: Annotated[str, Field(min_length=1, max_length=50)] | None = None
    forwarding: Forwarding


class InboundConfiguration(BaseModel):
    """The set-up of a number as it is kept."""

    account: str
    key: str
    settings: InboundRequest


def _matches(criterion: Criterion, platform: dict[str, str]) -> bool:
    return criterion.application_id in {None, platform.get("applicationId")} and criterion.entity_id in {
        None,
        platform.get("entityId"),
    }
