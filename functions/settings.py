"""The app settings: read once, checked at start, each explained where it is declared."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta


class SettingsError(Exception):
    """A setting is missing, wrong or contradicts another; the message names it."""


@dataclass(frozen=True, slots=True)
class AppSetting:
    """One app setting.

    Args:
        name: The name of the environment variable.
        default: What holds when it is not set; ``None`` when there is nothing sensible.
        help: What it does.
    """

    name: str
    default: str | None
    help: str


APP_SETTINGS = (
    AppSetting("SMS_STORAGE", "azure", "Where tables and queues lie: `azure`, or `embedded` for one SQLite file."),
    AppSetting(
        "SMS_SECRETS", None, "Where secrets lie: `azure` for Key Vault or `embedded`; as SMS_STORAGE if not set."
    ),
    AppSetting("SMS_EMBEDDED_PATH", ".data/gateway.db", "The SQLite file of the embedded store."),
    AppSetting("SMS_KEY_VAULT_URL", None, "The vault, such as https://contoso.vault.azure.net; needed with Key Vault."),
    AppSetting(
        "SMS_PUBLIC_URL",
        None,
        "The address under which vendors reach the app, without /api. Callbacks are signed over it: it must be exact.",
    ),
    AppSetting("SMS_VENDOR_TIMEOUT_SECONDS", "20", "How long one call of a vendor may take, connecting included."),
    AppSetting(
        "SMS_REPORT_WINDOW_HOURS", "72", "How long delivery reports are waited for; what is open then becomes unknown."
    ),
    AppSetting(
        "SMS_KEEP_MESSAGES_DAYS",
        "365",
        "After how many days a message is deleted with all that is known of it, or `forever`. At least twice the "
        "report window.",
    ),
    AppSetting("SMS_KEEP_INBOUND_DAYS", "365", "After how many days a reply is deleted, or `forever`."),
    AppSetting(
        "SMS_KEEP_RAW_DAYS",
        "30",
        "After how many days what vendors sent word for word is deleted, beside reports and replies and where it was "
        "set aside, or `forever`. Beside a message or reply it goes with that at the latest.",
    ),
    AppSetting(
        "SMS_ALLOW_LOCAL_VENDORS",
        "false",
        "Whether a provider may point at this machine, as the sandbox does, or at a private network. Never `true` on "
        "Azure without a network of your own behind the app.",
    ),
    AppSetting(
        "SMS_TRUSTED_PROXIES",
        "0",
        "How many proxies of your own stand before the app, such as 1 for Front Door; `callbackSources` looks behind "
        "them.",
    ),
    AppSetting(
        "SMS_LOG_CLEAR_NUMBERS",
        "false",
        "Whether log lines show phone numbers whole; else they read +1425•••0123. Texts are in no log line either way.",
    ),
    AppSetting(
        "APPLICATIONINSIGHTS_CONNECTION_STRING",
        None,
        "The Application Insights resource that spans, figures and log lines are exported to; the host exports its own "
        "there too.",
    ),
    AppSetting(
        "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
        None,
        "`Authorization=AAD`, with `;ClientId=…` for a user-assigned identity: sign in there with the app's identity. "
        "Without it the connection string's key is all that is asked for.",
    ),
    AppSetting(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        None,
        "The OpenTelemetry collector to export to by OTLP over HTTP, such as http://collector:4318. The other standard "
        "OTEL_* variables hold too.",
    ),
    AppSetting(
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        "http/protobuf",
        "Set it to `http/protobuf`, the only one the gateway speaks: without it the host takes the endpoint for gRPC.",
    ),
    AppSetting(
        "PYTHON_ENABLE_OPENTELEMETRY",
        "false",
        "Read by the Python worker. `true` where anything is exported: spans then follow the host's, and the host does "
        "not export our log lines a second time.",
    ),
    AppSetting(
        "AzureWebJobsStorage",
        None,
        "The storage account's connection string; the Functions host reads it too. Leave it out to use identity.",
    ),
    AppSetting("AzureWebJobsStorage__accountName", None, "The storage account, reached with the app's identity."),
    AppSetting(
        "AzureWebJobsStorage__tableServiceUri", None, "Its table address, where it does not follow from the name."
    ),
    AppSetting(
        "AzureWebJobsStorage__queueServiceUri", None, "Its queue address, where it does not follow from the name."
    ),
    AppSetting(
        "AzureWebJobsStorage__clientId",
        None,
        "The client id of the user-assigned identity; the system's own if not set.",
    ),
)
_DEFAULTS = {setting.name: setting.default or "" for setting in APP_SETTINGS}
FOREVER = "forever"
_MOST_DAYS = 3650
_DAYS = re.compile(r"[0-9]{1,4}")
_ACCOUNT = re.compile(r"[a-z0-9]{3,24}")
_SERVICE_URL = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9]+)?/?")
_VAULT_URL = re.compile(r"https://[A-Za-z0-9.-]+(:[0-9]{1,5})?/?")
_PUBLIC_URL = re.compile(r"https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?/*")
_SIGN_IN = re.compile(r"(ClientId=[^;=\s]+;)?Authorization=AAD(;ClientId=[^;=\s]+)?")
"""Microsoft's exporter would go on without signing in if it could not read this."""
_EXAMPLES = {
    _SIGN_IN: "Authorization=AAD;ClientId=<client id>",
    _ACCOUNT: "contosostorage, without a dot or an address",
    _SERVICE_URL: "https://contoso.table.core.windows.net",
    _VAULT_URL: "https://contoso.vault.azure.net",
}
_FAMILIES = ("azure", "embedded")


_SIGNALS = ("traces", "metrics", "logs")
_OTLP_ENDPOINTS = tuple(f"OTEL_EXPORTER_OTLP_{name.upper()}_ENDPOINT" for name in _SIGNALS)
_METRICS_EVERY = "10000"
"""Milliseconds. An instance that is let go takes with it what it has not exported yet, and one that scales to zero may
live for less than the minute that is OpenTelemetry's default."""


@dataclass(frozen=True, slots=True)
class TelemetrySettings:
    """Where telemetry goes, and how much it shows.

    Args:
        otlp: Whether to a collector by OTLP; the standard variables say where and how.
        azure_monitor: The connection string of Application Insights; empty for none.
        signals: Which of traces, metrics and logs.
        clear_numbers: Whether log lines show phone numbers whole.
        metrics_every: Milliseconds between two exports of metrics.
        site: The function app's name on Azure; empty elsewhere.
        worker_knows: Whether the Python worker was told that the app exports by itself.
    """

    otlp: bool = False
    azure_monitor: str = ""
    signals: frozenset[str] = frozenset(_SIGNALS)
    clear_numbers: bool = False
    metrics_every: float = float(_METRICS_EVERY)
    site: str = ""
    worker_knows: bool = False

    @property
    def exports(self) -> bool:
        """Whether anything is exported at all."""
        return bool(self.signals) and (self.otlp or bool(self.azure_monitor))


def read_telemetry(environment: Mapping[str, str]) -> TelemetrySettings:
    """Read where telemetry goes; never fails, so that an app that is configured wrongly can still say so.

    Source: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables.
    """

    def text(name: str) -> str:
        return environment.get(name, "").strip()

    off = _says_true(environment, "OTEL_SDK_DISABLED")
    every = environment.get("OTEL_METRIC_EXPORT_INTERVAL", "").strip()
    return TelemetrySettings(
        otlp=bool(text("OTEL_EXPORTER_OTLP_ENDPOINT")) or any(environment.get(name) for name in _OTLP_ENDPOINTS),
        azure_monitor=text("APPLICATIONINSIGHTS_CONNECTION_STRING"),
        signals=frozenset(
            name
            for name in _SIGNALS
            if not off and environment.get(f"OTEL_{name.upper()}_EXPORTER", "").strip().lower() != "none"
        ),
        clear_numbers=_says_true(environment, "SMS_LOG_CLEAR_NUMBERS"),
        metrics_every=float(every if every.isdecimal() and int(every) else _METRICS_EVERY),
        site=environment.get("WEBSITE_SITE_NAME", ""),
        worker_knows=text("PYTHON_ENABLE_OPENTELEMETRY").lower() in {"true", "1"},
    )


def _says_true(environment: Mapping[str, str], name: str) -> bool:
    return environment.get(name, "").strip().lower() == "true"


@dataclass(frozen=True, slots=True)
class Settings:
    """The app settings, checked.

    Args:
        keep_messages: How long messages are kept; ``None`` for ever, as for the two below.
        keep_inbound: How long replies are kept.
        keep_raw: How long vendors' raw payloads are kept.
    """

    storage: str
    secrets: str
    embedded_path: str
    key_vault_url: str
    public_url: str
    vendor_timeout: float
    report_window: timedelta
    keep_messages: timedelta | None
    keep_inbound: timedelta | None
    keep_raw: timedelta | None
    allow_local_vendors: bool
    trusted_proxies: int
    clear_numbers: bool
    connection_string: str
    table_url: str
    queue_url: str
    client_id: str


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Read and check the settings.

    Raises:
        SettingsError: One is missing, wrong or contradicts another.
    """

    def text(name: str) -> str:
        return environment.get(name, "").strip() or _DEFAULTS[name]

    storage = _one_of("SMS_STORAGE", text("SMS_STORAGE"), _FAMILIES)
    secrets = _one_of("SMS_SECRETS", text("SMS_SECRETS") or storage, _FAMILIES)
    account = _shaped("AzureWebJobsStorage__accountName", text("AzureWebJobsStorage__accountName"), _ACCOUNT)
    settings = Settings(
        storage=storage,
        secrets=secrets,
        embedded_path=text("SMS_EMBEDDED_PATH"),
        key_vault_url=_shaped("SMS_KEY_VAULT_URL", text("SMS_KEY_VAULT_URL"), _VAULT_URL),
        public_url=_public_url(text("SMS_PUBLIC_URL")),
        vendor_timeout=_number("SMS_VENDOR_TIMEOUT_SECONDS", text("SMS_VENDOR_TIMEOUT_SECONDS"), 1, 60),
        report_window=timedelta(hours=_number("SMS_REPORT_WINDOW_HOURS", text("SMS_REPORT_WINDOW_HOURS"), 1, 24 * 14)),
        keep_messages=_days("SMS_KEEP_MESSAGES_DAYS", text("SMS_KEEP_MESSAGES_DAYS")),
        keep_inbound=_days("SMS_KEEP_INBOUND_DAYS", text("SMS_KEEP_INBOUND_DAYS")),
        keep_raw=_days("SMS_KEEP_RAW_DAYS", text("SMS_KEEP_RAW_DAYS")),
        allow_local_vendors=_flag("SMS_ALLOW_LOCAL_VENDORS", text("SMS_ALLOW_LOCAL_VENDORS")),
        trusted_proxies=int(_number("SMS_TRUSTED_PROXIES", text("SMS_TRUSTED_PROXIES"), 0, 5)),
        clear_numbers=_flag("SMS_LOG_CLEAR_NUMBERS", text("SMS_LOG_CLEAR_NUMBERS")),
        connection_string=_connection_string("AzureWebJobsStorage", text("AzureWebJobsStorage")),
        table_url=_shaped(
            "AzureWebJobsStorage__tableServiceUri", text("AzureWebJobsStorage__tableServiceUri"), _SERVICE_URL
        )
        or (f"https://{account}.table.core.windows.net" if account else ""),
        queue_url=_shaped(
            "AzureWebJobsStorage__queueServiceUri", text("AzureWebJobsStorage__queueServiceUri"), _SERVICE_URL
        )
        or (f"https://{account}.queue.core.windows.net" if account else ""),
        client_id=text("AzureWebJobsStorage__clientId"),
    )
    _one_of("OTEL_EXPORTER_OTLP_PROTOCOL", text("OTEL_EXPORTER_OTLP_PROTOCOL"), ("http/protobuf",))
    _shaped("APPLICATIONINSIGHTS_AUTHENTICATION_STRING", text("APPLICATIONINSIGHTS_AUTHENTICATION_STRING"), _SIGN_IN)
    _check_together(settings)
    return settings


def _check_together(settings: Settings) -> None:
    """Check that no setting contradicts another.

    Raises:
        SettingsError: One does.
    """
    storage, secrets = settings.storage, settings.secrets
    by_identity = bool(settings.table_url or settings.queue_url)
    if storage == "azure" and not settings.connection_string and not (settings.table_url and settings.queue_url):
        raise SettingsError(
            "AzureWebJobsStorage is missing: give it, or AzureWebJobsStorage__accountName; "
            "or set SMS_STORAGE=embedded on a single machine."
        )
    if storage == "azure" and settings.connection_string and by_identity:
        raise SettingsError(
            "AzureWebJobsStorage is given beside AzureWebJobsStorage__accountName or an address; leave one of them "
            "out, the key or the identity."
        )
    if secrets == "azure" and not settings.key_vault_url:
        raise SettingsError("SMS_KEY_VAULT_URL is missing: give the vault, or set SMS_SECRETS=embedded on a laptop.")
    if secrets == "embedded" and settings.key_vault_url:
        raise SettingsError(
            "SMS_KEY_VAULT_URL is given, but secrets lie in the embedded store: leave it out, or set SMS_SECRETS=azure."
        )
    if storage == "azure" and by_identity and secrets == "embedded":
        raise SettingsError(
            "SMS_SECRETS is 'embedded' beside a storage account reached by identity: on Azure a file of secrets is "
            "lost with its instance. Set SMS_SECRETS=azure."
        )
    least = 2 * settings.report_window
    if settings.keep_messages is not None and settings.keep_messages < least:
        raise SettingsError(
            f"SMS_KEEP_MESSAGES_DAYS is {settings.keep_messages.days}; it must be at least "
            f"{math.ceil(least / timedelta(days=1))}, twice SMS_REPORT_WINDOW_HOURS, or open messages would be deleted."
        )


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise SettingsError(f"{name} is {value!r}; it must be one of {', '.join(allowed)}.")
    return value


def _number(name: str, value: str, least: float, most: float) -> float:
    try:
        number = float(value)
    except ValueError:
        number = least - 1
    if not least <= number <= most:
        raise SettingsError(f"{name} is {value!r}; it must be a number from {least:g} to {most:g}.")
    return number


def _days(name: str, value: str) -> timedelta | None:
    """Return how long something is kept. 0 is refused, for it could be meant for ever or not at all."""
    if value.lower() == FOREVER:
        return None
    if not (_DAYS.fullmatch(value) and 1 <= int(value) <= _MOST_DAYS):
        raise SettingsError(
            f"{name} is {value[:20]!r}; it must be a whole number of days from 1 to {_MOST_DAYS}, or {FOREVER}."
        )
    return timedelta(days=int(value))


def _shaped(name: str, value: str, shape: re.Pattern[str]) -> str:
    """Return a value of the right shape, or none at all; a wrong one is not quoted, for it may be a key misplaced."""
    if value and not shape.fullmatch(value):
        raise SettingsError(f"{name} is not of the right form; it must look like {_EXAMPLES[shape]}.")
    return value


def _connection_string(name: str, value: str) -> str:
    """Return a storage account's connection string.

    Source: https://learn.microsoft.com/azure/storage/common/storage-configure-connection-string.
    """
    parts = {part.partition("=")[0].strip().lower() for part in value.split(";") if part.strip()}
    complete = {"accountname", "accountkey"} <= parts or "sharedaccesssignature" in parts
    if value and not complete and "usedevelopmentstorage" not in parts:
        raise SettingsError(
            f"{name} is no connection string; it must have AccountName and AccountKey, as the portal shows it."
        )
    return value


def _flag(name: str, value: str) -> bool:
    return _one_of(name, value.lower(), ("true", "false")) == "true"


def _public_url(value: str) -> str:
    if not value:
        raise SettingsError("SMS_PUBLIC_URL is missing: give the address under which vendors reach the app.")
    if not _PUBLIC_URL.fullmatch(value):
        raise SettingsError(f"SMS_PUBLIC_URL is {value!r}; it must look like https://sms.example.com, without a path.")
    return value.rstrip("/")
