"""Says what is wrong with a definition, each fault with the path to it."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import ValidationError

from functions.vendors.contract import SettingError
from functions.vendors.custom.definition import (
    NOT_ARRIVED,
    SETTING,
    Call,
    Check,
    Definition,
    Fate,
    Report,
    authorization,
    proofs,
)
from functions.vendors.custom.template import CREDENTIAL, PLACEHOLDERS, SET_UP_PLACEHOLDERS

LONGEST = 20_000
"""Characters of a definition."""
SLOWEST = 0.001
"""Calls a second; with fewer, a message would wait for a quarter of an hour and more."""
_LONGEST_VALIDITY = 31_536_000
"""Seconds: a year, which no vendor keeps a text for."""


def faults(text: str) -> list[SettingError]:
    """Return all that is wrong with a definition, each with the path to it."""
    if len(text) > LONGEST:
        return [SettingError(SETTING, f"A definition has at most {LONGEST} characters; this one has {len(text)}.")]
    try:
        definition = Definition.model_validate_json(text)
    except ValidationError as error:
        return [
            SettingError("/".join((SETTING, *map(_escaped, one["loc"]))), _words(one["type"], one["msg"]))
            for one in error.errors(include_url=False, include_input=False, include_context=False)
        ]
    return [SettingError(f"{SETTING}/{path}", detail) for path, wrong, detail in _contradictions(definition) if wrong]


_WORDS = {
    "extra_forbidden": "There is no such member; docs/custom-vendor.md lists them.",
    "missing": "It is missing.",
    "string_pattern_mismatch": "It does not have the form that is wanted here; docs/custom-vendor.md says which.",
}


def _words(kind: str, message: str) -> str:
    return _WORDS.get(kind) or message.removeprefix("Value error, ")


def _escaped(step: str | int) -> str:
    """Write a step as in a JSON pointer: https://www.rfc-editor.org/rfc/rfc6901#section-3."""
    return str(step).replace("~", "~0").replace("/", "~1")


def _contradictions(definition: Definition) -> Iterator[tuple[str, object, str]]:
    """Yield what has to fit together: where, whether it does not, and what would be right."""
    request, report, inbound = definition.request, definition.report, definition.inbound
    limits, signature = definition.limits, definition.callbacks.signature
    yield (
        "limits/minValiditySeconds",
        limits.min_validity_seconds > limits.max_validity_seconds,
        "It is above the most.",
    )
    yield (
        "limits/minValiditySeconds",
        limits.min_validity_seconds > _LONGEST_VALIDITY,
        f"It is at most {_LONGEST_VALIDITY}.",
    )
    slow = limits.calls_per_second is not None and limits.calls_per_second < SLOWEST
    yield "limits/callsPerSecond", slow, f"It is at least {SLOWEST}."
    yield "name", not definition.name.isprintable(), "It is one line of characters that can be seen."
    yield from _call_contradictions("request", request, frozenset(PLACEHOLDERS))
    yield "request", "text" not in request.names, "It does not say {text}, so no message could get through."
    yield "request", not request.names & {"to", "toInteger"}, "It does not say {to}, so nobody would get the message."
    table = definition.errors.table
    yield "errors/code", table and not definition.errors.code, "Say where the code of errors.table stands."
    if report is not None:
        yield from _report_contradictions(report)
        if report.message is not None:
            said = "messageId" in request.names
            yield "report/message", not said, "Nothing in the request tells the vendor our {messageId}."
        else:
            known = report.id and definition.success.id
            yield (
                "report",
                not known,
                "Without `message`, reports are found by the vendor's id: give `id` and success.id.",
            )
    if inbound is not None:
        yield (
            "inbound",
            not (inbound.id or inbound.at),
            "Give `id`, or `at` where the vendor has no id, to tell repeats.",
        )
    if definition.check is not None:
        yield from _call_contradictions("check", definition.check, frozenset())
        yield "check/auth", *_auth_contradiction(definition.check, request)
        proof = definition.check.success
        yield "check/success", not (proof.id or proof.when), "Give `id` or `when`: a status alone is no proof."
    if signature is not None:
        wrong = any(not name.startswith(CREDENTIAL) for name in signature.key.names) or not signature.key.names
        yield "callbacks/signature/key", wrong, "Name the key as {credentials.name}."
    for place, step in enumerate(definition.callbacks.set_up):
        yield (
            f"callbacks/setUp/{place}",
            step.names - SET_UP_PLACEHOLDERS,
            "Only {reportUrl} and {inboundUrl} may stand here.",
        )


def _call_contradictions(path: str, call: Call, known: frozenset[str]) -> Iterator[tuple[str, object, str]]:
    strangers = {name for name in call.names - known if not name.startswith(CREDENTIAL)}
    yield path, strangers, f"{', '.join(sorted(strangers))} cannot stand here."
    bodies = sum(body is not None for body in (call.form, call.json_body, call.xml))
    yield path, bodies > 1, "Give one of form, json and xml."
    yield path, bodies and call.method == "GET", "A GET has no body; use query, or another method."
    given = sum((call.basic is not None, call.bearer is not None, authorization(call)))
    yield path, given > 1, "Give one of basic, bearer and the header Authorization."


def _auth_contradiction(check: Check, request: Call) -> tuple[object, str]:
    """Return whether what the check says of its proof cannot be, and what would be right."""
    if check.auth and (check.basic or check.bearer or authorization(check)):
        return True, f"`{check.auth}` and a proof of its own contradict each other: leave `auth` or the proof out."
    if check.auth == "request" and not proofs(request):
        return True, "The request has no basic, bearer or header with nothing but credentials that could be taken."
    return False, ""


def _report_contradictions(report: Report) -> Iterator[tuple[str, object, str]]:
    yield "report", not (report.status or report.code), "Give `status` or `code`: what became of the message."
    yield "report/status", report.states and not report.status, "Say where the word of `states` stands."
    yield "report/code", report.codes and not report.code, "Say where the code of `codes` stands."
    for name, rows in (("states", report.states), ("codes", report.codes)):
        for word, row in rows.items():
            path = f"report/{name}/{_escaped(word)}"
            arrives = row.state is not None and row.state not in NOT_ARRIVED
            yield path, row.reason and arrives, f"A message that is {row.state} has no reason."
    fates: dict[str, Fate] = {}
    for word, fate in report.states.items():
        contradicts = fates.setdefault(word.casefold(), fate) != fate
        path = f"report/states/{_escaped(word)}"
        yield path, contradicts, "The same word is there in other letters with another meaning."
