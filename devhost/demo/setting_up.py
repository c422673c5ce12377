"""Sets up one vendor: the account at the sandbox, then provider and sender through the gateway's public API."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Any

from devhost.demo.clients import Api, People, UnexpectedAnswerError
from devhost.demo.screen import Screen
from sandbox.kit import Addresses, Customer, Kit, Secret

_DIGITS = 32


def secrets_of(master: str, vendor: str) -> Secret:
    """Return the source of the demo's secrets at one vendor; they follow from the master key, so none is stored."""

    def secret(name: str) -> str:
        return hmac.new(master.encode(), f"{vendor}|{name}".encode(), hashlib.sha256).hexdigest()[:_DIGITS]

    return secret


class SettingUp:
    """Sets up vendors; what is there from an earlier run is used again.

    Args:
        api: The gateway.
        people: The sandbox.
        screen: Where each step is told.
        master: The gateway's master key, which the demo's credentials at the vendors follow from.
        events_url: Gives the address at which Event Grid reaches a function.
    """

    def __init__(self, api: Api, people: People, screen: Screen, master: str, events_url: Callable[[str], str]) -> None:
        self._api = api
        self._people = people
        self._screen = screen
        self._master = master
        self._events_url = events_url

    async def set_up(self, kit: Kit, title: str) -> None:
        """Set up one vendor and check its credentials live.

        Args:
            kit: What the demo knows of the vendor.
            title: The vendor's name as people know it.

        Raises:
            UnexpectedAnswerError: A step was refused, or the credentials do not work.
        """
        customer = Customer("demo", secrets_of(self._master, kit.vendor), kit.sender)
        for call in kit.account(customer):
            await self._people.set_up(call)
        provider = await self._provider(kit, title, kit.settings(customer, self._people.url))
        path = f"/providers/{provider['id']}"
        sender = await self._api.post(f"{path}/senders", {"type": kit.sender_type, "address": kit.sender})
        self._screen.step("sender", f"{sender['address']}, {sender['type']}")
        provider = await self._api.post(f"{path}/finish")
        self._screen.step("provider", f"finished, it is {provider['state']}")
        checked = await self._api.post(f"{path}/check")
        if not checked["ok"]:
            raise UnexpectedAnswerError(f"the credentials are refused: {checked['detail']}")
        self._screen.step("check", f"the credentials work: {checked['detail']}")
        callbacks = await self._api.get(f"{path}/callbacks")
        addresses = Addresses(*(self._address(callbacks[kind]) for kind in ("report", "inbound")))
        for call in kit.wiring(customer, addresses):
            await self._people.set_up(call)
        for what, kind in (("reports", "report"), ("replies", "inbound")):
            by_event = "" if callbacks[kind].startswith("http") else "the function "
            self._screen.step("callbacks", f"{what} go to {by_event}{callbacks[kind]}")

    async def _provider(self, kit: Kit, title: str, settings: Mapping[str, str]) -> Any:
        """Return the demo's provider at a vendor: made, or found by its name and brought up to date."""
        name = f"Demo {title}"
        listed = await self._api.get("/providers", vendor=kit.vendor)
        found = next((provider for provider in listed["items"] if provider["name"] == name), None)
        if found is None:
            new = {"vendor": kit.vendor, "name": name, "description": "Made by the demo.", "settings": settings}
            made = await self._api.post("/providers", new)
            self._screen.step("provider", f"{name!r} made as a {made['state']}: {made['id']}")
            return made
        # The sandbox may have another port this time; and who disabled the provider now wants to see it work.
        change = {"settings": settings} | ({"state": "active"} if found["state"] == "disabled" else {})
        changed = await self._api.patch(f"/providers/{found['id']}", change)
        self._screen.step("provider", f"{name!r} found again: {changed['id']}")
        return changed

    def _address(self, named: str) -> str:
        """Return the address of a callback; where Event Grid delivers, the gateway names a function."""
        return named if named.startswith("http") else self._events_url(named)
