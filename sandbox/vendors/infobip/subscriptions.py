"""The Subscriptions API: `/subscriptions/1/subscription/SMS`, `/profiles` and `/security`.

Source: https://www.infobip.com/docs/api/platform/subscriptions-api. A change of a subscription names a profile that
exists, and a change of a profile names security settings that exist: an address is changed in the profile, a password
in the security settings. ASSUMED: an id that is taken is a 400, for no 409 is documented; so is deleting what is in
use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from sandbox.vendor import Route, json_response
from sandbox.vendors.infobip.webhooks import (
    ChangedProfile,
    ChangedSecurity,
    ChangedSubscription,
    NewProfile,
    NewSecurity,
    NewSubscription,
    Profile,
    ProfileSettings,
    Security,
    Subscription,
    SubscriptionSettings,
)
from sandbox.vendors.infobip.wire import BAD_REQUEST, CREATED, NOT_FOUND, Shape, read_body, refuse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp import web
    from pydantic import BaseModel

    from sandbox.register import Register
    from sandbox.vendors.infobip.vendor import InfobipVendor
    from sandbox.vendors.infobip.wire import Body

_LONGEST_PAGE = 100


class Subscriptions:
    """Who is told what, where and with which proof.

    Args:
        vendor: Whose.
    """

    def __init__(self, vendor: InfobipVendor) -> None:
        self._vendor = vendor

    def routes(self, prefix: str) -> Sequence[Route]:
        """All paths of the API."""
        base = f"{prefix}/subscriptions/1"
        subscription = f"{base}/subscription/SMS"
        return [
            Route("GET", subscription, self._list_subscriptions),
            Route("POST", subscription, self._create_subscription),
            Route("GET", subscription + "/{id}", self._get_subscription),
            Route("PUT", subscription + "/{id}", self._change_subscription),
            Route("DELETE", subscription + "/{id}", self._delete_subscription),
            Route("GET", f"{base}/profiles", self._list_profiles),
            Route("POST", f"{base}/profiles", self._create_profile),
            Route("GET", base + "/profiles/{id}", self._get_profile),
            Route("PUT", base + "/profiles/{id}", self._change_profile),
            Route("DELETE", base + "/profiles/{id}", self._delete_profile),
            Route("GET", f"{base}/security", self._list_security),
            Route("POST", f"{base}/security", self._create_security),
            Route("GET", base + "/security/{id}", self._get_security),
            Route("PUT", base + "/security/{id}", self._change_security),
            Route("DELETE", base + "/security/{id}", self._delete_security),
        ]

    def subscribe(self, account: str, asked: NewSubscription, *, replace: bool = False) -> Subscription:
        """Make a subscription, with its profile and security settings where they are new.

        Args:
            account: Whose.
            asked: As the customer wants it.
            replace: Whether to take the place of what has one of the ids.

        Raises:
            RefusedError: An id is taken, or what is referred to does not exist.
        """
        vendor = self._vendor
        if replace:
            vendor.subscriptions.remove(_key(account, asked.subscription_id))
            vendor.profiles.remove(_key(account, asked.profile.profile_id))
            if asked.profile.security:
                vendor.security.remove(_key(account, asked.profile.security.auth_id))
        if _key(account, asked.subscription_id) in vendor.subscriptions:
            _taken("subscriptionId")
        known = vendor.profiles.get(_key(account, asked.profile.profile_id))
        if known is None:
            self._make_profile(account, asked.profile, within="profile.")
        elif asked.profile.model_fields_set != {"profile_id"}:
            _taken("profile.profileId")
        made = Subscription(
            account=account,
            id=asked.subscription_id,
            profile_id=asked.profile.profile_id,
            settings=_part(SubscriptionSettings, asked),
        )
        return vendor.subscriptions.put(_key(account, made.id), made)

    def profile_for(self, account: str, event: str, address: str, platform: dict[str, str]) -> Profile | None:
        """Find the profile by which an event is told: that of the one subscription that fits best.

        Without subscription groups each event goes to one subscription
        (https://www.infobip.com/docs/subscriptions/subscription-groups). ASSUMED: to the one with the most kinds of
        conditions, and among equals to the oldest.
        """
        fitting = [
            subscription
            for subscription in self._vendor.subscriptions.having(account=account)
            if subscription.settings.wants(event, address, platform)
        ]
        if not fitting:
            return None
        best = max(fitting, key=lambda subscription: subscription.settings.narrowness)
        return self._vendor.profiles.get(_key(account, best.profile_id))

    def security_of(self, profile: Profile) -> Security | None:
        """Find the credentials that go with a profile."""
        return None if profile.auth_id is None else self._vendor.security.get(_key(profile.account, profile.auth_id))

    # Subscriptions

    async def _list_subscriptions(self, request: web.Request) -> web.Response:
        account = self._admit(request)
        return _page(request, [self._show(entry) for entry in self._vendor.subscriptions.having(account=account)])

    async def _create_subscription(self, request: web.Request) -> web.Response:
        account = self._admit(request)
        made = self.subscribe(account, await _body(NewSubscription, request))
        return _created(request, made.id, self._ids(made))

    async def _get_subscription(self, request: web.Request) -> web.Response:
        return json_response(self._show(_find(self._vendor.subscriptions, self._admit(request), request)))

    async def _change_subscription(self, request: web.Request) -> web.Response:
        account = self._admit(request)
        known = _find(self._vendor.subscriptions, account, request)
        asked = await _body(ChangedSubscription, request)
        if _key(account, asked.profile.profile_id) not in self._vendor.profiles:
            refuse(Shape.OLD, NOT_FOUND)
        changed = Subscription(
            account=account,
            id=known.id,
            profile_id=asked.profile.profile_id,
            settings=_part(SubscriptionSettings, asked),
        )
        self._vendor.subscriptions.put(_key(account, known.id), changed)
        return json_response(self._ids(changed))

    async def _delete_subscription(self, request: web.Request) -> web.Response:
        account = self._admit(request)
        known = _find(self._vendor.subscriptions, account, request)
        shown = self._ids(known)
        self._vendor.subscriptions.remove(_key(account, known.id))
        return json_response(shown)

    # Profiles

    async def _list_profiles(self, request: web.Request) -> web.Response:
        account = self._admit(request)
        return _page(request, [_shown_profile(entry) for entry in self._vendor.profiles.having(account=account)])

    async def _create_profile(self, request: web.Request) -> web.Response:
        account = self._admit(request)
        asked = await _body(NewProfile, request)
        if _key(account, asked.profile_id) in self._vendor.profiles:
            _taken("profileId")
        return _created(request, asked.profile_id, _profile_ids(self._make_profile(account, asked)))

    async def _get_profile(self, request: web.Request) -> web.Response:
        return json_response(_shown_profile(_find(self._vendor.profiles, self._admit(request), request)))

    async def _change_profile(self, request: web.Request) -> web.Response:
        account = self._admit(request)
        known = _find(self._vendor.profiles, account, request)
        asked = await _body(ChangedProfile, request)
        if asked.security and _key(account, asked.security.auth_id) not in self._vendor.security:
            refuse(Shape.OLD, NOT_FOUND)
        changed = Profile(
            account=account,
            id=known.id,
            auth_id=asked.security.auth_id if asked.security else None,
            settings=_part(ProfileSettings, asked),
        )
        self._vendor.profiles.put(_key(account, known.id), changed)
        return json_response(_profile_ids(changed))

    async def _delete_profile(self, request: web.Request) -> web.Response:
        account = self._admit(request)
        known = _find(self._vendor.profiles, account, request)
        if any(entry.profile_id == known.id for entry in self._vendor.subscriptions.having(account=account)):
            refuse(Shape.OLD, BAD_REQUEST, {"profileId": ["is in use"]})
        self._vendor.profiles.remove(_key(account, known.id))
        return json_response(_profile_ids(known))

    def _make_profile(self, account: str, asked: NewProfile, within: str = "") -> Profile:
        if asked.webhook is None:
            refuse(Shape.OLD, BAD_REQUEST, {f"{within}webhook": ["must not be null"]})
        if asked.security is not None:
            self._make_security(account, asked.security, f"{within}security.")
        made = Profile(
            account=account,
            id=asked.profile_id,
            auth_id=asked.security.auth_id if asked.security else None,
            settings=_part(ProfileSettings, asked),
        )
        return self._vendor.profiles.put(_key(account, made.id), made)

    # Security settings

    async def _list_security(self, request: web.Request) -> web.Response:
        account = self._admit(request)
        return _page(request, [_shown_security(entry) for entry in self._vendor.security.having(account=account)])

    async def _create_security(self, request: web.Request) -> web.Response:
        account = self._admit(request)
        asked = await _body(NewSecurity, request)
        if _key(account, asked.auth_id) in self._vendor.security:
            _taken("authId")
        self._make_security(account, asked)
        return _created(request, asked.auth_id, {"authId": asked.auth_id})

    async def _get_security(self, request: web.Request) -> web.Response:
        return json_response(_shown_security(_find(self._vendor.security, self._admit(request), request)))

    async def _change_security(self, request: web.Request) -> web.Response:
        account = self._admit(request)
        known = _find(self._vendor.security, account, request)
        asked = await _body(ChangedSecurity, request)
        self._vendor.security.put(_key(account, known.id), Security(account=account, id=known.id, settings=asked))
        return json_response({"authId": known.id})

    async def _delete_security(self, request: web.Request) -> web.Response:
        account = self._admit(request)
        known = _find(self._vendor.security, account, request)
        if any(entry.auth_id == known.id for entry in self._vendor.profiles.having(account=account)):
            refuse(Shape.OLD, BAD_REQUEST, {"authId": ["is in use"]})
        self._vendor.security.remove(_key(account, known.id))
        return json_response({"authId": known.id})

    def _make_security(self, account: str, asked: NewSecurity, within: str = "") -> None:
        """Make security settings, or see that those named by their id alone exist."""
        key = _key(account, asked.auth_id)
        if asked.model_fields_set == {"auth_id"}:
            if key not in self._vendor.security:
                refuse(Shape.OLD, NOT_FOUND)
            return
        if key in self._vendor.security:
            _taken(f"{within}authId")
        if asked.type is None or asked.credentials is None:
            refuse(Shape.OLD, BAD_REQUEST, {f"{within}credentials": ["must not be null"]})
        settings = ChangedSecurity(type=asked.type, credentials=asked.credentials)
        self._vendor.security.put(key, Security(account=account, id=asked.auth_id, settings=settings))

    def _admit(self, request: web.Request) -> str:
        return self._vendor.admit(request, "subscriptions:manage", shape=Shape.OLD).name

    def _ids(self, subscription: Subscription) -> dict[str, Any]:
        profile = self._vendor.profiles.get(_key(subscription.account, subscription.profile_id))
        return {"subscriptionId": subscription.id} | ({"profile": _profile_ids(profile)} if profile else {})

    def _show(self, subscription: Subscription) -> dict[str, Any]:
        return self._ids(subscription) | subscription.settings.model_dump(by_alias=True, exclude_none=True)


def _key(account: str, name: str) -> str:
    return f"{account} {name}"


def _find(register: Register[Any], account: str, request: web.Request) -> Any:
    known = register.get(_key(account, request.match_info["id"]))
    if known is None:
        refuse(Shape.OLD, NOT_FOUND)
    return known


async def _body(model: type[Body], request: web.Request) -> Body:
    return read_body(Shape.OLD, model, request, await request.read())


def _part(model: type[Body], whole: BaseModel) -> Body:
    """Take those members out of a body that a smaller model has."""
    return model.model_validate({name: getattr(whole, name) for name in model.model_fields})


def _taken(path: str) -> NoReturn:
    refuse(Shape.OLD, BAD_REQUEST, {path: ["already exists"]})


def _created(request: web.Request, name: str, ids: dict[str, Any]) -> web.Response:
    return json_response(ids, status=CREATED, headers={"Location": f"{request.path}/{name}"})


def _profile_ids(profile: Profile) -> dict[str, Any]:
    return {"profileId": profile.id} | ({"security": {"authId": profile.auth_id}} if profile.auth_id else {})


def _shown_profile(profile: Profile) -> dict[str, Any]:
    return _profile_ids(profile) | profile.settings.model_dump(by_alias=True, exclude_none=True)


def _shown_security(security: Security) -> dict[str, Any]:
    return {"authId": security.id, **security.settings.model_dump(by_alias=True)}


def _page(request: web.Request, entries: list[dict[str, Any]]) -> web.Response:
    """Give one page of a list, newest first."""
    page, size = (_whole(request.query.get(name), otherwise) for name, otherwise in (("page", 0), ("size", 20)))
    if page is None or size is None or not 1 <= size <= _LONGEST_PAGE:
        refuse(Shape.OLD, BAD_REQUEST, {"size": ["must be from 1 to 100"]})
    paging = {"page": page, "size": size, "totalPages": -(-len(entries) // size), "totalResults": len(entries)}
    return json_response({"results": entries[::-1][page * size : (page + 1) * size], "paging": paging})


def _whole(text: str | None, otherwise: int) -> int | None:
    if text is None:
        return otherwise
    return int(text) if text.isascii() and text.isdigit() else None
