"""Vendors, providers and senders over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

import azure.functions as func
import orjson
from pydantic import Field

from functions.gateway.models import (
    CallbacksView,
    CheckResult,
    DryRun,
    DryRunRequest,
    NewProvider,
    NewSender,
    Provider,
    ProviderChange,
    Providers,
    ProviderState,
    SenderChange,
    Senders,
    SenderView,
    SetupStepView,
    Shape,
    Subscribed,
    SupportTextView,
    VendorsView,
    VendorView,
)
from functions.gateway.problems import FieldError, Kind, ProblemError
from functions.gateway.records import ProviderRecord, SenderRecord, Snapshot
from functions.gateway.wiring import callback_urls
from functions.triggers.api import Call, Reply, operation, required_match
from functions.triggers.names import INBOUND_EVENTS, REPORT_EVENTS
from functions.vendors.contract import CallbackUrls, SettingType, Wiring

blueprint = func.Blueprint()
_IF_MATCH = {"If-Match": "The ETag of the version to change, or `*`."}
_ETAG = {"ETag": "The version, for If-Match."}


class ProviderQuery(Shape):
    """Which providers to list."""

    business_unit: str | None = Field(default=None, description="Only those of this business unit.")
    state: ProviderState | None = Field(default=None, description="Only those in this state.")
    vendor: str | None = Field(default=None, description="Only those at this vendor.")


class DeleteQuery(Shape):
    """How to delete."""

    force: Annotated[bool, Field(description="Also when messages are still in flight.")] = False


class RotateQuery(Shape):
    """How to rotate."""

    keep_previous: Annotated[bool, Field(description="Whether callbacks with the token before are still taken.")] = True


@operation(blueprint, method="GET", route="vendors", tag="Vendors", answers={200: VendorsView})
async def list_vendors(call: Call) -> Reply:
    """List the vendors with their settings, sender types and capabilities."""
    return Reply(VendorsView(items=[VendorView.of(vendor.description) for vendor in call.app.vendors.values()]))


@operation(
    blueprint,
    method="POST",
    route="providers",
    tag="Providers",
    body=NewProvider,
    answers={201: Provider},
    answer_headers=_ETAG | {"Location": "Where the provider is."},
)
async def create_provider(call: Call) -> Reply:
    """Create a provider as a draft.

    Add senders to it, then finish it. Secrets go to the secret store and are never shown again.
    """
    record = await call.app.directory.create(call.body)
    return await _provider_reply(call, record, 201)


@operation(blueprint, method="GET", route="providers", tag="Providers", query=ProviderQuery, answers={200: Providers})
async def list_providers(call: Call) -> Reply:
    """List the providers by name."""
    snapshot = await call.app.directory.snapshot(max_age=0)
    wanted = [
        record
        for record in snapshot.providers.values()
        if call.query.business_unit in {None, record.business_unit}
        and call.query.state in {None, record.state}
        and call.query.vendor in {None, record.vendor}
    ]
    wanted.sort(key=lambda record: (record.name.casefold(), record.id))
    return Reply(Providers(items=[_provider(call, snapshot, record) for record in wanted]))


@operation(
    blueprint,
    method="GET",
    route="providers/{provider}",
    tag="Providers",
    answers={200: Provider},
    problems=(Kind.NOT_FOUND,),
    answer_headers=_ETAG,
)
async def get_provider(call: Call) -> Reply:
    """Show a provider, without its secrets."""
    return await _provider_reply(call, await call.app.directory.provider(call.path["provider"]))


@operation(
    blueprint,
    method="PATCH",
    route="providers/{provider}",
    tag="Providers",
    body=ProviderChange,
    answers={200: Provider},
    problems=(Kind.NOT_FOUND, Kind.STALE, Kind.PRECONDITION_REQUIRED),
    headers=_IF_MATCH,
    answer_headers=_ETAG,
)
async def change_provider(call: Call) -> Reply:
    """Change a provider.

    What is left out stays. To rotate a secret without downtime set the secondary, switch at the vendor, then make it
    the primary and remove the secondary; callbacks signed with either are accepted meanwhile.
    """
    record = await call.app.directory.change(call.path["provider"], call.body, required_match(call))
    return await _provider_reply(call, record)


@operation(
    blueprint,
    method="DELETE",
    route="providers/{provider}",
    tag="Providers",
    query=DeleteQuery,
    answers={204: None},
    problems=(Kind.NOT_FOUND, Kind.STALE, Kind.CONFLICT),
    headers=_IF_MATCH,
)
async def delete_provider(call: Call) -> Reply:
    """Delete a provider with its senders and secrets.

    Refused while messages are in flight, because their delivery reports could not be taken any more; `force=true`
    deletes it all the same.
    """
    identity = call.path["provider"]
    await call.app.directory.provider(identity)
    if not call.query.force:
        flying = await call.app.messages.in_flight(identity, call.app.settings.report_window)
        if flying:
            raise ProblemError(
                Kind.CONFLICT,
                f"{flying} or more of its messages have no final state yet. Wait for their reports, disable it "
                "(PATCH state), or repeat with force=true.",
                [FieldError("force", "Not set.")],
                {"inFlight": flying},
            )
    await call.app.directory.delete(identity, call.headers.get("if-match"))
    return Reply(status=204)


@operation(
    blueprint,
    method="POST",
    route="providers/{provider}/finish",
    tag="Providers",
    answers={200: Provider},
    problems=(Kind.NOT_FOUND, Kind.STALE, Kind.INVALID),
    headers=_IF_MATCH,
    answer_headers=_ETAG,
)
async def finish_provider(call: Call) -> Reply:
    """Make a draft active once everything needed is there; the answer to a refusal names all that is missing."""
    record = await call.app.directory.finish(call.path["provider"], call.headers.get("if-match"))
    return await _provider_reply(call, record)


@operation(
    blueprint,
    method="POST",
    route="providers/{provider}/check",
    tag="Providers",
    answers={200: CheckResult},
    problems=(Kind.NOT_FOUND, Kind.INVALID),
)
async def check_provider(call: Call) -> Reply:
    """Try the credentials live by a call that sends nothing."""
    checked = await call.app.setup.check(call.path["provider"])
    first = checked[0] if checked else {"ok": False, "detail": "There is nothing to check."}
    return Reply(CheckResult(ok=first["ok"], detail=first["detail"], checked=checked))


@operation(
    blueprint,
    method="GET",
    route="providers/{provider}/callbacks",
    tag="Providers",
    answers={200: CallbacksView},
    problems=(Kind.NOT_FOUND,),
)
async def show_callbacks(call: Call) -> Reply:
    """Show where the vendor reports and what to set there.

    Where the vendor's support sets it up, a text ready to be sent is there in English and German. The addresses may
    carry the provider's callback token: give them to nobody but the vendor.
    """
    return await _callbacks_reply(call, await call.app.directory.provider(call.path["provider"]))


@operation(
    blueprint,
    method="POST",
    route="providers/{provider}/callbacks/rotate",
    tag="Providers",
    query=RotateQuery,
    answers={200: CallbacksView},
    problems=(Kind.NOT_FOUND, Kind.STALE, Kind.CONFLICT),
    headers=_IF_MATCH,
)
async def rotate_callback_token(call: Call) -> Reply:
    """Make a new token for the callback addresses.

    Callbacks with the token before are taken until the next rotation, so that there is time to tell the vendor;
    `keepPrevious=false` ends that at once.
    """
    record = await call.app.setup.rotate_token(
        call.path["provider"], call.headers.get("if-match"), keep_previous=call.query.keep_previous
    )
    return await _callbacks_reply(call, record)


@operation(
    blueprint,
    method="POST",
    route="providers/{provider}/callbacks/subscribe",
    tag="Providers",
    answers={200: Subscribed},
    problems=(Kind.NOT_FOUND, Kind.CONFLICT, Kind.INVALID),
)
async def subscribe_callbacks(call: Call) -> Reply:
    """Set the callbacks up by the vendor's own API, where it has one.

    Doing it again changes only what is out of date, such as the addresses after the token was rotated.
    """
    record = await call.app.directory.provider(call.path["provider"])
    done = await call.app.setup.subscribe(record, await _wiring(call, record))
    return Reply(Subscribed(detail=done.detail, settings=dict(done.settings)))


@operation(
    blueprint,
    method="POST",
    route="providers/{provider}/dry-run",
    tag="Providers",
    body=DryRunRequest,
    answers={200: DryRun},
    problems=(Kind.NOT_FOUND, Kind.CONFLICT),
)
async def dry_run(call: Call) -> Reply:
    """Show the request that a message would make, without sending it.

    Only for vendors whose requests are described by configuration. No secret is in it: each is shown as the name of its
    placeholder.
    """
    record = await call.app.directory.provider(call.path["provider"])
    wiring = await _wiring(call, record)
    request = await call.app.setup.dry_run(record, call.body, wiring.urls.report)
    return Reply(DryRun(method=request.method, url=request.url, headers=dict(request.headers), body=request.body))


async def _wiring(call: Call, record: ProviderRecord) -> Wiring:
    def urls(token: str) -> CallbackUrls:
        return callback_urls(
            call.app.settings.public_url,
            record.vendor,
            record.id,
            token,
            report_function=REPORT_EVENTS,
            inbound_function=INBOUND_EVENTS,
        )

    return await call.app.setup.wiring(record, urls)


async def _callbacks_reply(call: Call, record: ProviderRecord) -> Reply:
    vendor = call.app.directory.vendor(record.vendor)
    wiring = await _wiring(call, record)
    by_event = bool(vendor.description.event_types)
    return Reply(
        CallbacksView(
            report=wiring.urls.report_function if by_event else wiring.urls.report,
            inbound=wiring.urls.inbound_function if by_event else wiring.urls.inbound,
            authentication=vendor.description.capabilities.callback_authentication,
            published_sources=list(vendor.description.published_sources),
            can_subscribe=vendor.description.capabilities.subscribes,
            steps=[SetupStepView(**asdict(step)) for step in vendor.set_up(wiring)],
            support=[SupportTextView(**asdict(text)) for text in vendor.support(wiring)],
        )
    )


@operation(
    blueprint,
    method="POST",
    route="providers/{provider}/senders",
    tag="Senders",
    body=NewSender,
    answers={201: SenderView, 200: SenderView},
    problems=(Kind.NOT_FOUND,),
    answer_headers=_ETAG | {"Location": "Where the sender is."},
)
async def add_sender(call: Call) -> Reply:
    """Add a sender to a provider; adding the same one again answers 200 with the one that is there."""
    record, created = await call.app.directory.add_sender(call.path["provider"], call.body)
    location = {"Location": f"/api/providers/{record.provider}/senders/{record.id}"}
    return await _sender_reply(call, record, 201 if created else 200, location)


@operation(
    blueprint,
    method="GET",
    route="providers/{provider}/senders",
    tag="Senders",
    answers={200: Senders},
    problems=(Kind.NOT_FOUND,),
)
async def list_senders(call: Call) -> Reply:
    """List a provider's senders by address."""
    await call.app.directory.provider(call.path["provider"])
    snapshot = await call.app.directory.snapshot()
    return Reply(Senders(items=[_sender(call, snapshot, s) for s in snapshot.senders_of(call.path["provider"])]))


@operation(
    blueprint,
    method="GET",
    route="providers/{provider}/senders/{sender}",
    tag="Senders",
    answers={200: SenderView},
    problems=(Kind.NOT_FOUND,),
    answer_headers=_ETAG,
)
async def get_sender(call: Call) -> Reply:
    """Show a sender."""
    return await _sender_reply(call, await call.app.directory.sender(call.path["provider"], call.path["sender"]))


@operation(
    blueprint,
    method="PATCH",
    route="providers/{provider}/senders/{sender}",
    tag="Senders",
    body=SenderChange,
    answers={200: SenderView},
    problems=(Kind.NOT_FOUND, Kind.STALE, Kind.PRECONDITION_REQUIRED),
    headers=_IF_MATCH,
    answer_headers=_ETAG,
)
async def change_sender(call: Call) -> Reply:
    """Change a sender's display name or business unit; its type and address stay for life."""
    etag = required_match(call)
    record = await call.app.directory.change_sender(call.path["provider"], call.path["sender"], call.body, etag)
    return await _sender_reply(call, record)


@operation(
    blueprint,
    method="DELETE",
    route="providers/{provider}/senders/{sender}",
    tag="Senders",
    answers={204: None},
    problems=(Kind.NOT_FOUND, Kind.STALE),
    headers=_IF_MATCH,
)
async def delete_sender(call: Call) -> Reply:
    """Remove a sender; messages that were accepted before are still sent."""
    etag = call.headers.get("if-match")
    await call.app.directory.delete_sender(call.path["provider"], call.path["sender"], etag)
    return Reply(status=204)


async def _provider_reply(call: Call, record: ProviderRecord, status: int = 200) -> Reply:
    snapshot = await call.app.directory.snapshot()
    headers = {"ETag": record.version} | ({"Location": f"/api/providers/{record.id}"} if status == 201 else {})  # noqa: PLR2004
    return Reply(_provider(call, snapshot, record), status, headers)


def _provider(call: Call, snapshot: Snapshot, record: ProviderRecord) -> Provider:
    return Provider(
        id=record.id,
        vendor=record.vendor,
        name=record.name,
        description=record.description,
        business_unit=record.business_unit,
        state=record.state,
        settings=_shown(call, record),
        secrets_set=list(record.secrets),
        senders=len(snapshot.senders_of(record.id)),
        created_at=record.created,
        updated_at=record.updated,
        notice=call.app.directory.vendor(record.vendor).description.notice,
    )


def _shown(call: Call, record: ProviderRecord) -> dict[str, Any]:
    """Return the settings that are not secret; those that hold JSON as JSON."""
    description = call.app.directory.vendor(record.vendor).description
    json = {setting.name for setting in description.settings if setting.type is SettingType.JSON}
    return {name: orjson.loads(value) if name in json else value for name, value in record.settings.items()}


async def _sender_reply(
    call: Call, record: SenderRecord, status: int = 200, headers: Mapping[str, str] | None = None
) -> Reply:
    snapshot = await call.app.directory.snapshot()
    return Reply(_sender(call, snapshot, record), status, {"ETag": record.version} | dict(headers or {}))


def _sender(call: Call, snapshot: Snapshot, record: SenderRecord) -> SenderView:
    provider = snapshot.providers[record.provider]
    rule = call.app.directory.vendor(provider.vendor).description.sender_rule(record.type)
    return SenderView(
        id=record.id,
        provider=record.provider,
        type=record.type,
        address=record.address,
        display_name=record.display_name,
        business_unit=snapshot.business_unit(record),
        two_way=bool(rule and rule.two_way),
        created_at=record.created,
        updated_at=record.updated,
        note=rule.note if rule else "",
    )
