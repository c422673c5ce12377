"""What ``host.json`` and ``local.settings.json`` say, checked and with the host's defaults filled in."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

OVERRIDE_PREFIX = "AzureFunctionsJobHost__"
"""An app setting ``AzureFunctionsJobHost__a__b`` replaces ``a.b`` of host.json.

https://learn.microsoft.com/azure/azure-functions/functions-host-json#override-hostjson-values
"""

_TIME_SPAN = re.compile(
    r"(?:(?P<days>\d+)\.)?(?P<hours>\d{1,2}):(?P<minutes>\d{1,2}):(?P<seconds>\d{1,2}(?:\.\d{1,7})?)"
)
_SETTING_NAME = re.compile(r"%([^%]*)%")

HOURS_A_DAY = 24
MINUTES_AN_HOUR = 60


class SettingsError(Exception):
    """A settings file cannot be used; the text names the file or the setting and what to write instead."""


def time_span(text: object, name: str) -> float:
    """Read a .NET time span.

    Args:
        text: ``hh:mm:ss``, optionally ``d.hh:mm:ss`` and fractions of a second.
        name: The setting it comes from, for the error.

    Returns:
        Seconds.

    Raises:
        SettingsError: It is not a time span, or names 24 hours or more without days: .NET reads ``24:00:00`` as 24 days
            (https://learn.microsoft.com/dotnet/api/system.timespan.parse), which nobody means.
    """
    found = _TIME_SPAN.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise SettingsError(f"{name}: {text!r} is not a time span; write hh:mm:ss or d.hh:mm:ss")
    hours, minutes, seconds = int(found["hours"]), int(found["minutes"]), float(found["seconds"])
    if hours >= HOURS_A_DAY or minutes >= MINUTES_AN_HOUR or seconds >= MINUTES_AN_HOUR:
        raise SettingsError(
            f"{name}: {text!r} is out of range; hours go to 23, minutes and seconds to 59, days as d.hh:mm:ss"
        )
    return ((int(found["days"] or 0) * HOURS_A_DAY + hours) * MINUTES_AN_HOUR + minutes) * MINUTES_AN_HOUR + seconds


def resolve_names(text: str, settings: Mapping[str, str], where: str) -> str:
    """Replace each ``%NAME%`` by the app setting of that name.

    Args:
        text: A queue name or a schedule as the decorator has it.
        settings: The app settings.
        where: Function and property, for the error.

    Raises:
        SettingsError: A named setting does not exist; the real host does not start the function's listener then.
    """

    def value(found: re.Match[str]) -> str:
        name = found[1]
        if name not in settings:
            raise SettingsError(
                f"{where}: %{name}% names no app setting; add {name} to local.settings.json or the environment"
            )
        return settings[name]

    return _SETTING_NAME.sub(value, text)


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """``extensions.http`` of host.json.

    https://learn.microsoft.com/azure/azure-functions/functions-bindings-http-webhook#hostjson-settings

    Args:
        route_prefix: What every route begins with, without slashes at the ends; may be empty.
        max_outstanding: Requests held at once before the host answers 429; -1 for no limit.
        max_concurrent: HTTP functions run at once; -1 for no limit.
    """

    route_prefix: str = "api"
    max_outstanding: int = -1
    max_concurrent: int = -1


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """``extensions.queues`` of host.json.

    https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue#host-json

    Args:
        batch_size: Messages fetched at once, 1 to 32.
        new_batch_threshold: The next batch is fetched when at most this many messages are being processed.
        max_dequeue_count: Deliveries before a message goes to the poison queue.
        visibility_timeout: Seconds a message stays hidden after a failure.
        max_polling_interval: The longest wait between two polls of an empty queue, seconds.
        base64: Whether bodies are base64 on the wire (``messageEncoding``).
    """

    batch_size: int = 16
    new_batch_threshold: int = 16 // 2 * (os.cpu_count() or 1)
    max_dequeue_count: int = 5
    visibility_timeout: float = 0.0
    max_polling_interval: float = 60.0
    base64: bool = True


@dataclass(frozen=True, slots=True)
class HostSettings:
    """The part of host.json that the dev host acts upon.

    Args:
        function_timeout: Seconds an invocation may take, ``None`` for no limit.
        http: ``extensions.http``.
        queues: ``extensions.queues``.
    """

    function_timeout: float | None = 1800.0
    http: HttpSettings = field(default_factory=HttpSettings)
    queues: QueueSettings = field(default_factory=QueueSettings)

    @classmethod
    def parse(cls, host_json: Mapping[str, Any], settings: Mapping[str, str] | None = None) -> HostSettings:
        """Read host.json, overridden by the app settings that begin with ``AzureFunctionsJobHost__``.

        Raises:
            SettingsError: A value has the wrong type or is out of the host's range.
        """
        document = _overridden(host_json, settings or {})
        if document.get("version") != "2.0":
            raise SettingsError('host.json: "version" must be "2.0"')
        extensions = _section(document, "extensions", "host.json")
        timeout = document.get("functionTimeout", "00:30:00")
        return cls(
            function_timeout=None if timeout == "-1" else time_span(timeout, "host.json functionTimeout"),
            http=_http(_section(extensions, "http", "host.json extensions")),
            queues=_queues(_section(extensions, "queues", "host.json extensions")),
        )


def _section(parent: Mapping[str, Any], name: str, where: str) -> Mapping[str, Any]:
    value = parent.get(name, {})
    if not isinstance(value, Mapping):
        raise SettingsError(f"{where}: {name} must be an object")
    return value


def _whole(section: Mapping[str, Any], name: str, default: int, lowest: int, highest: int) -> int:
    value = section.get(name, default)
    if isinstance(value, str) and value.lstrip("-").isdigit():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
        raise SettingsError(f"host.json: {name} must be a whole number from {lowest} to {highest}, not {value!r}")
    return value


_MANY = 2**31 - 1
_SHORTEST_POLL = 0.1


def _http(section: Mapping[str, Any]) -> HttpSettings:
    prefix = section.get("routePrefix", "api")
    if not isinstance(prefix, str):
        raise SettingsError("host.json: extensions.http.routePrefix must be a text")
    return HttpSettings(
        route_prefix=prefix.strip("/"),
        max_outstanding=_whole(section, "maxOutstandingRequests", -1, -1, _MANY),
        max_concurrent=_whole(section, "maxConcurrentRequests", -1, -1, _MANY),
    )


def _queues(section: Mapping[str, Any]) -> QueueSettings:
    batch_size = _whole(section, "batchSize", 16, 1, 32)
    longest_poll = time_span(section.get("maxPollingInterval", "00:01:00"), "host.json maxPollingInterval")
    if longest_poll < _SHORTEST_POLL:
        raise SettingsError("host.json: maxPollingInterval must be at least 00:00:00.1")
    encoding = section.get("messageEncoding", "base64")
    if encoding not in {"base64", "none"}:
        raise SettingsError('host.json: messageEncoding must be "base64" or "none"')
    return QueueSettings(
        batch_size=batch_size,
        new_batch_threshold=_whole(section, "newBatchThreshold", batch_size // 2 * (os.cpu_count() or 1), 0, _MANY),
        max_dequeue_count=_whole(section, "maxDequeueCount", 5, 1, _MANY),
        visibility_timeout=time_span(section.get("visibilityTimeout", "00:00:00"), "host.json visibilityTimeout"),
        max_polling_interval=longest_poll,
        base64=encoding == "base64",
    )


def _overridden(host_json: Mapping[str, Any], settings: Mapping[str, str]) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json.dumps(dict(host_json)))
    for name, value in settings.items():
        if not name.startswith(OVERRIDE_PREFIX):
            continue
        *parents, last = name.removeprefix(OVERRIDE_PREFIX).split("__")
        place = document
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                raise SettingsError(f"app setting {name}: {parent} of host.json is not an object")
        place[last] = value
    return document


def read_host_json(folder: Path) -> dict[str, Any]:
    """Read ``host.json`` of an app folder.

    Raises:
        SettingsError: The file is missing or no JSON object.
    """
    return _read_object(folder / "host.json", missing='an app needs a host.json; the least is {"version": "2.0"}')


def read_local_settings(path: Path) -> tuple[dict[str, str], int | None]:
    """Read a ``local.settings.json``.

    https://learn.microsoft.com/azure/azure-functions/functions-develop-local#local-settings-file

    Returns:
        ``Values``, and ``Host.LocalHttpPort`` where it is given.

    Raises:
        SettingsError: The file is missing, encrypted, or ``Values`` holds something other than texts.
    """
    document = _read_object(path, missing="there is no such settings file")
    if document.get("IsEncrypted"):
        raise SettingsError(f"{path.name}: IsEncrypted is true; decrypt it with `func settings decrypt`")
    values = _section(document, "Values", path.name)
    wrong = sorted(name for name, value in values.items() if not isinstance(value, str))
    if wrong:
        raise SettingsError(f"{path.name}: Values.{wrong[0]} must be a text in quotes")
    port = _section(document, "Host", path.name).get("LocalHttpPort")
    if port is not None and not isinstance(port, int):
        raise SettingsError(f"{path.name}: Host.LocalHttpPort must be a number")
    return dict(values), port


def _read_object(path: Path, missing: str) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise SettingsError(f"{path.name}: {missing}") from error
    except ValueError as error:
        raise SettingsError(f"{path.name} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise SettingsError(f"{path.name} must be a JSON object")
    return document
