"""The sandbox as one HTTP server: all vendors, the control API, and what survives a restart."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, TypeVar

from aiohttp import web

from sandbox.calls import Call, redact_body, redact_headers, redact_url
from sandbox.clock import Clock
from sandbox.control import Control
from sandbox.faults import Faults
from sandbox.ids import IdSource
from sandbox.journal import Journal
from sandbox.ledger import LEDGER_FACTS
from sandbox.register import REGISTER_FACTS, Register
from sandbox.registry import vendor_types
from sandbox.sending import DroppedError, RefusedError, trouble_met
from sandbox.world import Settings, World

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.vendor import Handler, Vendor

_LARGEST_BODY = 4 * 1024 * 1024
VendorType = TypeVar("VendorType", bound="Vendor")


class Sandbox:
    """All simulated vendors in one process.

    Args:
        data: A file that keeps everything over a restart; nothing is kept without one.
        seed: Makes ids repeatable.
        settings: How fast things go.
        clock: Tells the time; the system's when left out.

    Attributes:
        world: The shared parts.
        vendors: The vendors by name.
    """

    def __init__(
        self,
        *,
        data: Path | None = None,
        seed: int | None = None,
        settings: Settings | None = None,
        clock: Clock | None = None,
    ) -> None:
        journal = Journal(data)
        facts = list(journal.read())
        # A seeded run that goes on after a restart must not draw the ids it has drawn before.
        ids = IdSource(None if seed is None else f"{seed}/{len(facts)}")
        self.world = World(clock or Clock(), ids, journal, settings or Settings())
        self.vendors: dict[str, Vendor] = {name: kind(self.world) for name, kind in vendor_types().items()}
        self._runner: web.AppRunner | None = None
        for fact in facts:
            self._restore(fact)

    @property
    def base_url(self) -> str:
        """Where the sandbox is reached."""
        return self.world.base_url

    def vendor(self, kind: type[VendorType]) -> VendorType:
        """Give one vendor by its class."""
        found = self.vendors[kind.name]
        if not isinstance(found, kind):
            raise TypeError(f"{kind.name} is a {type(found).__name__}")
        return found

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen, and go on with what a restart interrupted.

        Args:
            host: Where to listen.
            port: Where to listen; 0 takes a free one.
        """
        self.world.journal.open()
        await self.world.courier.open()
        app = web.Application(client_max_size=_LARGEST_BODY)
        for route in Control(self.world, self.vendors).routes():
            app.router.add_route(route.method, route.path, route.handler)
        for vendor in self.vendors.values():
            for route in vendor.routes():
                app.router.add_route(route.method, route.path, self._watched(vendor, route.handler))
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        bound = self._runner.addresses[0]
        self.world.base_url = f"http://{host}:{bound[1]}"
        for vendor in self.vendors.values():
            vendor.resume()

    async def stop(self) -> None:
        """Stop listening and telling, and close the file."""
        if self._runner is not None:
            await self._runner.cleanup()
        await self.world.halt()
        await self.world.courier.close()
        self.world.journal.close()

    async def idle(self) -> None:
        """Wait until nothing is planned or under way at any vendor."""
        await self.world.idle()

    def _watched(self, vendor: Vendor, handler: Handler) -> Handler:
        """Wrap a vendor's handler: note the call, and turn its two exceptions into what the client sees."""

        async def watched(request: web.Request) -> web.StreamResponse:
            clock = self.world.clock
            trouble_met.set("")
            call = Call(clock.now(), request.method, redact_url(request.raw_path), redact_headers(request.headers))
            try:
                response = await handler(request)
            except RefusedError as refused:
                response = refused.response
            except DroppedError:
                if request.transport is not None:
                    request.transport.abort()
                response = web.Response(status=500)
                call.status = -1
            call.body = redact_body(await request.read())
            call.status = 0 if call.status == -1 else response.status
            call.seconds = round(clock.now() - call.at, 6)
            call.trouble = str(trouble_met.get())
            vendor.calls.add(call)
            return response

        return watched

    def _restore(self, fact: dict[str, Any]) -> None:
        """Take back one fact from the journal."""
        kind, name = fact["kind"], fact["vendor"]
        if kind == "settings":
            self.world.settings = Settings.model_validate(fact["settings"])
            return
        vendor = self.vendors.get(name)
        if vendor is None:
            logging.getLogger(__name__).warning("the journal speaks of %s, which is no vendor here", name)
        elif kind in LEDGER_FACTS:
            vendor.ledger.restore(fact)
        elif kind in REGISTER_FACTS:
            registers: list[Register[Any]] = [vendor.opt_outs, *vendor.registers]
            next(register for register in registers if register.name == fact["register"]).restore(fact)
        elif kind == "call":
            vendor.calls.restore(fact)
        elif kind == "faults":
            vendor.mischief.faults = Faults.model_validate(fact["faults"])
        elif kind == "reset":
            vendor.ledger.clear()
            vendor.calls.entries.clear()
            vendor.mischief.reset()
        else:
            vendor.restore(fact)
