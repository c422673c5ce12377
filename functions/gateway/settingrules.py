"""Which settings a provider may and must have: what its vendor describes, and addresses that may be called."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from functions.gateway.addresses import objection, objections
from functions.gateway.problems import FieldError, Kind, ProblemError
from functions.gateway.sources import networks
from functions.vendors.contract import Description, Setting, SettingType, Vendor


def given_settings(vendor: Vendor, given: Mapping[str, str | Mapping[str, Any] | None]) -> dict[str, str]:
    """Return the settings that a caller gave, as they are kept.

    Raises:
        ProblemError: One is the gateway's own, or is no text where it must be.
    """
    known = {setting.name: setting for setting in vendor.description.settings}
    errors, kept = [], {}
    for name, value in given.items():
        setting = known.get(name)
        if setting is not None and setting.generated:
            detail = "The gateway makes it: POST …/callbacks/rotate for a new one."
            errors.append(FieldError(f"/settings/{name}", detail))
        elif isinstance(value, str):
            kept[name] = _cleaned(value) if setting and setting.type is SettingType.URL else value
        elif setting is not None and setting.type is SettingType.JSON and value:
            kept[name] = orjson.dumps(value).decode()
        elif value is not None:
            errors.append(FieldError(f"/settings/{name}", "It must be a text."))
    require(errors)
    return {name: value for name, value in kept.items() if value}


def check_settings(vendor: Vendor, settings: Mapping[str, str], *, local: bool) -> None:
    """Refuse settings that the vendor's description, or the vendor itself, does not allow.

    Args:
        vendor: Whose they are.
        settings: By name.
        local: Whether addresses on this machine are allowed.

    Raises:
        ProblemError: Some do not fit; it names all of them.
    """
    known = {setting.name: setting for setting in vendor.description.settings}
    errors = [
        FieldError(f"/settings/{name}", f"{vendor.description.title} has no such setting; it has {', '.join(known)}.")
        for name in settings
        if name not in known
    ]
    for name, value in settings.items():
        setting = known.get(name)
        if setting is None:
            continue
        if setting.pattern and not re.fullmatch(setting.pattern, value):
            errors.append(FieldError(f"/settings/{name}", f"It does not look like {setting.example}. {setting.help}"))
        errors += [FieldError(f"/settings/{name}", problem) for problem in _objections(setting, value, local=local)]
    require(errors)
    require(FieldError(f"/settings/{wrong.setting}", wrong.detail) for wrong in vendor.check_settings(settings))
    require(
        FieldError(f"/settings/{path}", problem)
        for path, address in vendor.addresses(settings).items()
        if (problem := objection(address, local=local))
    )


def _objections(setting: Setting, value: str, *, local: bool) -> list[str]:
    if setting.type is SettingType.JSON:
        return _json_objections(value)
    if setting.type is SettingType.NETWORKS:
        try:
            networks(value)
        except ValueError as error:
            return [str(error)]
        return []
    if setting.type is SettingType.URL:
        found = objection(value, local=local)
        return [found] if found else []
    return objections(value, local=local)


def _cleaned(address: str) -> str:
    """Return an address as it is meant: people paste it without its scheme or with a slash at the end."""
    return (address if not address or "://" in address else f"https://{address}").rstrip("/")


def _json_objections(text: str) -> list[str]:
    try:
        document = orjson.loads(text)
    except ValueError as error:
        return [f"It is no JSON: {error}."]
    return [] if isinstance(document, dict) else ["It must be a JSON object."]


def missing_settings(description: Description, settings: Mapping[str, str]) -> list[FieldError]:
    """Return what has to be given before a provider can send."""
    missing = [
        FieldError(f"/settings/{setting.name}", f"Give it. {setting.help}")
        for setting in description.settings
        if setting.required and not settings.get(setting.name)
    ]
    if description.one_of and not any(settings.get(name) for name in description.one_of):
        missing.append(FieldError("/settings", f"Give one of {', '.join(description.one_of)}."))
    return missing


def require(errors: Iterable[FieldError]) -> None:
    """Refuse if there are faults.

    Raises:
        ProblemError: There are; it names all of them.
    """
    found = list(errors)
    if found:
        raise ProblemError(Kind.INVALID, "Something is missing or does not fit; see errors.", found)
