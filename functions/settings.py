"""The app settings: read once, checked at start, each explained where it is declared."""

from __future__ import annotations

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
_PUBLIC_URL = re.compile(r"https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?/*")
_FAMILIES = ("azure", "embedded")


@dataclass(frozen=True, slots=True)
class Settings:
    """The app settings, checked."""

    storage: str
    secrets: str
    embedded_path: str
    key_vault_url: str
    public_url: str
    vendor_timeout: float
    report_window: timedelta
    allow_local_vendors: bool
    trusted_proxies: int
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
    account = text("AzureWebJobsStorage__accountName")
    settings = Settings(
        storage=storage,
        secrets=secrets,
        embedded_path=text("SMS_EMBEDDED_PATH"),
        key_vault_url=text("SMS_KEY_VAULT_URL"),
        public_url=_public_url(text("SMS_PUBLIC_URL")),
        vendor_timeout=_number("SMS_VENDOR_TIMEOUT_SECONDS", text("SMS_VENDOR_TIMEOUT_SECONDS"), 1, 60),
        report_window=timedelta(hours=_number("SMS_REPORT_WINDOW_HOURS", text("SMS_REPORT_WINDOW_HOURS"), 1, 24 * 14)),
        allow_local_vendors=_flag("SMS_ALLOW_LOCAL_VENDORS", text("SMS_ALLOW_LOCAL_VENDORS")),
        trusted_proxies=int(_number("SMS_TRUSTED_PROXIES", text("SMS_TRUSTED_PROXIES"), 0, 5)),
        connection_string=text("AzureWebJobsStorage"),
        table_url=text("AzureWebJobsStorage__tableServiceUri")
        or (f"https://{account}.table.core.windows.net" if account else ""),
        queue_url=text("AzureWebJobsStorage__queueServiceUri")
        or (f"https://{account}.queue.core.windows.net" if account else ""),
        client_id=text("AzureWebJobsStorage__clientId"),
    )
    if storage == "azure" and not settings.connection_string and not (settings.table_url and settings.queue_url):
        raise SettingsError(
            "AzureWebJobsStorage is missing: give it, or AzureWebJobsStorage__accountName; "
            "or set SMS_STORAGE=embedded on a single machine."
        )
    if secrets == "azure" and not settings.key_vault_url:
        raise SettingsError("SMS_KEY_VAULT_URL is missing: give the vault, or set SMS_SECRETS=embedded on a laptop.")
    return settings


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


def _flag(name: str, value: str) -> bool:
    return _one_of(name, value.lower(), ("true", "false")) == "true"


def _public_url(value: str) -> str:
    if not value:
        raise SettingsError("SMS_PUBLIC_URL is missing: give the address under which vendors reach the app.")
    if not _PUBLIC_URL.fullmatch(value):
        raise SettingsError(f"SMS_PUBLIC_URL is {value!r}; it must look like https://sms.example.com, without a path.")
    return value.rstrip("/")
