"""The composition root: builds the gateway once per process, on first use, from the app settings."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from functions.gateway.accept import Acceptor
from functions.gateway.callbacks import Callbacks
from functions.gateway.calling import Caller
from functions.gateway.circuit import CircuitBreaker
from functions.gateway.clock import Clock, Ids, RandomBytes, utc_now
from functions.gateway.closing import Closer
from functions.gateway.commit import GroupCommit
from functions.gateway.consent import OptOuts
from functions.gateway.directory import Directory
from functions.gateway.dispatch import Dispatcher
from functions.gateway.erasures import Erasures
from functions.gateway.inbound import Inbound
from functions.gateway.index import BatchIndex
from functions.gateway.keeping import Kept
from functions.gateway.messagelog import MessageLog
from functions.gateway.pacing import Pacer
from functions.gateway.putback import PutBack
from functions.gateway.readiness import Readiness
from functions.gateway.reconcile import Reconciler
from functions.gateway.reports import Reports
from functions.gateway.retention import Retention
from functions.gateway.sweep import Sweeper
from functions.gateway.telemetry import Silent, Telemetry
from functions.gateway.timing import Timing
from functions.gateway.vendorids import VendorIds
from functions.gateway.vendorsetup import VendorSetup
from functions.outbound import VendorHttp
from functions.settings import Settings, SettingsError, read_settings, read_telemetry
from functions.storage.ports import Storage
from functions.telemetry import open_telemetry
from functions.vendors.contract import Vendor
from functions.vendors.registry import vendors

if TYPE_CHECKING:
    import aiohttp
    from azure.core.credentials_async import AsyncTokenCredential

log = logging.getLogger("sms.app")

DISPATCH_QUEUE = "sms-dispatch"
POISON_QUEUE = f"{DISPATCH_QUEUE}-poison"
_HOST_MARKS = ("FUNCTIONS_WORKER_RUNTIME", "WEBSITE_SITE_NAME")
"""Set where a Functions host runs the app, by Core Tools and on Azure."""
_CHATTY = ("azure.core.pipeline.policies.http_logging_policy", "azure.identity")
"""Loggers that write addresses, headers or account names at level INFO."""


@dataclass(frozen=True, slots=True)
class Application:
    """The gateway, put together."""

    settings: Settings
    storage: Storage
    vendors: Mapping[str, Vendor]
    http: VendorHttp
    directory: Directory
    setup: VendorSetup
    acceptor: Acceptor
    dispatcher: Dispatcher
    messages: MessageLog
    callbacks: Callbacks
    inbound: Inbound
    opt_outs: OptOuts
    sweeper: Sweeper
    poison: PutBack
    readiness: Readiness
    retention: Retention
    erasures: Erasures
    clock: Clock
    telemetry: Telemetry

    async def close(self) -> None:
        """Close the connections to vendors; the storage is closed by whoever opened it."""
        await self.http.close()


def build(
    settings: Settings,
    storage: Storage,
    *,
    clock: Clock = utc_now,
    random_bytes: RandomBytes = secrets.token_bytes,
    telemetry: Telemetry | None = None,
    timing: Timing = Timing(),  # noqa: B008 - it never changes
) -> Application:
    """Put the gateway together.

    Args:
        settings: The app settings.
        storage: The ports.
        clock: The time now, in UTC.
        random_bytes: Where ids get their randomness.
        telemetry: What is told of all it does; nothing when left out. Whoever opened it closes it.
        timing: How long it waits for what.
    """
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    told = telemetry or Silent(clear_numbers=settings.clear_numbers)
    known, ids, http = vendors(), Ids(clock, random_bytes), _vendor_http(settings, told)
    tables, queues = storage.tables, storage.queues
    directory = Directory(tables, storage.secrets, known, clock, ids, allow_local_vendors=settings.allow_local_vendors)
    index, opt_outs = BatchIndex(tables), OptOuts(tables, clock, told)
    messages = MessageLog(tables, index, clock)
    inbound = Inbound(tables, directory, opt_outs, clock, ids, told)
    kept = Kept(settings.keep_messages, settings.keep_inbound, settings.keep_raw)
    closer = Closer(tables, index, messages, opt_outs, clock, told)
    commit = GroupCommit(tables)
    vendor_ids, pacer = VendorIds(tables, commit), Pacer(clock)
    circuits = CircuitBreaker(
        clock, shortest=timing.circuit_wait, longest=timing.circuit_cap, trial=settings.vendor_timeout
    )
    caller = Caller(
        directory,
        opt_outs,
        messages,
        vendor_ids,
        pacer,
        circuits,
        http,
        clock,
        public_url=settings.public_url,
        timing=timing,
        telemetry=told,
    )
    reports = Reports(tables, commit, vendor_ids, opt_outs, closer, clock, timing, kept, told)
    return Application(
        settings=settings,
        storage=storage,
        vendors=known,
        http=http,
        directory=directory,
        setup=VendorSetup(directory, http, clock, ids),
        acceptor=Acceptor(tables, queues, directory, index, clock, ids, queue=DISPATCH_QUEUE, telemetry=told),
        dispatcher=Dispatcher(
            tables,
            queues,
            directory,
            caller,
            opt_outs,
            pacer,
            circuits,
            closer,
            clock,
            queue=DISPATCH_QUEUE,
            timing=timing,
            telemetry=told,
        ),
        messages=messages,
        callbacks=Callbacks(directory, reports, inbound, known, told),
        inbound=inbound,
        opt_outs=opt_outs,
        sweeper=Sweeper(
            tables,
            queues,
            index,
            messages,
            closer,
            Reconciler(directory, reports, http, pacer, clock, told),
            known,
            clock,
            queue=DISPATCH_QUEUE,
            report_window=settings.report_window,
            timing=timing,
            telemetry=told,
        ),
        poison=PutBack(queues, messages, queue=DISPATCH_QUEUE, poison=POISON_QUEUE),
        readiness=Readiness(storage, clock),
        retention=Retention(tables, closer, clock, kept, timing),
        erasures=Erasures(
            tables, index, closer, opt_outs, clock, ids, report_window=settings.report_window, timing=timing
        ),
        clock=clock,
        telemetry=told,
    )


def _vendor_http(settings: Settings, told: Telemetry) -> VendorHttp:
    def watches() -> Sequence[aiohttp.TraceConfig]:
        if not told.on:
            return ()
        from functions.telemetry.vendor_http import watch  # noqa: PLC0415 - slow to import

        return (watch(),)

    local = settings.allow_local_vendors
    return VendorHttp(settings.vendor_timeout, _identity(settings), local=local, watched_by=watches)


def _identity(settings: Settings) -> Callable[[], AsyncTokenCredential]:
    @cache
    def make() -> AsyncTokenCredential:
        from azure.identity.aio import ManagedIdentityCredential  # noqa: PLC0415 - slow to import

        return ManagedIdentityCredential(client_id=settings.client_id or None)

    return make


def storage_from(settings: Settings) -> Storage:
    """Open the storage that the settings name."""
    embedded = None
    if "embedded" in {settings.storage, settings.secrets}:
        from functions.storage.embedded import open_embedded  # noqa: PLC0415 - only the family that is used

        embedded = open_embedded(settings.embedded_path)
    if settings.storage == "embedded" and settings.secrets == "embedded" and embedded is not None:
        return embedded
    from functions.storage import azure  # noqa: PLC0415

    credential = _identity(settings)
    secret_store = (
        embedded.secrets
        if embedded is not None and settings.secrets == "embedded"
        else azure.open_key_vault(settings.key_vault_url, credential())
    )
    if settings.storage == "embedded" and embedded is not None:
        return Storage(embedded.tables, embedded.queues, secret_store)
    return azure.open_azure(
        secrets=secret_store,
        connection_string=settings.connection_string,
        table_url="" if settings.connection_string else settings.table_url,
        queue_url="" if settings.connection_string else settings.queue_url,
        credential=None if settings.connection_string else credential(),
    )


class _Process:
    """What this process has built so far."""

    storage: Storage | None = None
    application: Application | None = None
    telemetry: Telemetry | None = None


def _settings() -> Settings:
    """Read the app settings; a wrong one is named in the log, since the functions that fail of it quote no errors."""
    try:
        return read_settings(os.environ)
    except SettingsError as error:
        log.error("%s", error)  # noqa: TRY400 - the sentence is all there is to say
        raise


def check_settings() -> None:
    """Stop the start of a function app whose settings are wrong; elsewhere than in a Functions host do nothing.

    The host reports what is raised while the app is imported, starts none of its functions and shows no deployment as
    healthy, so a wrong setting is seen at once and not by the first caller.

    Raises:
        SettingsError: One is missing, wrong or contradicts another; its one line names it.
    """
    if any(name in os.environ for name in _HOST_MARKS):
        _settings()


def open_storage() -> Storage:
    """Return the process's storage, opened on first use."""
    if _Process.storage is None:
        _Process.storage = storage_from(_settings())
    return _Process.storage


def application() -> Application:
    """Return the process's gateway, built on first use inside the event loop that runs the functions."""
    if _Process.application is None:
        _Process.application = build(_settings(), open_storage(), telemetry=telemetry())
    return _Process.application


def telemetry() -> Telemetry:
    """Return the process's telemetry, opened on first use; an app that cannot be built has it too, to say why."""
    if _Process.application is not None:
        return _Process.application.telemetry
    if _Process.telemetry is None:
        _Process.telemetry = open_telemetry(read_telemetry(os.environ))
    return _Process.telemetry


def install(made: Application | None) -> None:
    """Make the functions use a gateway that was built elsewhere, or none; for the dev host and for tests."""
    _Process.application = made
    _Process.storage = made.storage if made else None
    _Process.telemetry = None


async def close() -> None:
    """Close what this process has built; for hosts that end in good order."""
    application, storage, told = _Process.application, _Process.storage, _Process.telemetry
    install(None)
    if application is not None:
        await application.close()
    if storage is not None:
        await storage.close()
    if told is not None:
        await told.close()
