"""What every vendor must keep to, whichever it is: one suite over the registry.

A vendor is covered by being registered and having a kit (see ``tests/vendors/kit.py``).
"""

from __future__ import annotations

import logging
import re
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from urllib.parse import urlsplit

import aiohttp
import pytest
import trustme
from aiohttp.client_reqrep import ConnectionKey
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import SUPPORTED_REGIONS

from functions.app import _CHATTY, build
from functions.settings import read_settings
from functions.storage.embedded import open_embedded
from functions.vendors.contract import (
    Accepted,
    Account,
    Callback,
    CallbackUrls,
    Event,
    MalformedError,
    NotAuthenticError,
    Parsed,
    Reason,
    Refused,
    Retry,
    SettingError,
    SettingType,
    State,
    Unknown,
    Wiring,
)
from tests.vendors.conftest import IMPATIENT
from tests.vendors.kit import PEOPLE, PRIMARY, SECONDARY, Reply, Request, kits
from tests.vendors.servers import ROGUE_FAULTS, certificate, nobody_listening, recorder, rogue

KITS = kits()
POSTING = [kit for kit in KITS if not kit.vendor.description.event_types]
EVENT_GRID = [kit for kit in KITS if kit.vendor.description.event_types]
BULK = [kit for kit in KITS if kit.vendor.description.capabilities.recipients_per_call > 1]
SOUNDS_SECRET = re.compile(r"token|secret|password|credential|key|connectionstring", re.IGNORECASE)
LARGE = 5 * 2**20
FORM, JSON = "application/x-www-form-urlencoded", "application/json"


def each(found, name="kit"):
    """Parametrise over kits, named by vendor."""
    return pytest.mark.parametrize(name, found, ids=lambda kit: kit.name)


# What a vendor says of itself


@each(KITS)
def test_a_vendor_has_a_name_a_title_and_a_page(kit):
    """The name is fit for a path, the title for people, and the reference is a public page."""
    description = kit.vendor.description

    assert re.fullmatch(r"[a-z][a-z0-9]*", description.name)
    assert description.title.strip() == description.title != ""
    assert urlsplit(description.docs).scheme == "https"
    assert "." in urlsplit(description.docs).netloc


@each(KITS)
def test_settings_are_unique_and_explained(kit):
    """Each setting has its own JSON name, says where to find the value, and shows one."""
    settings = kit.vendor.description.settings

    assert len({setting.name for setting in settings}) == len(settings)
    for setting in settings:
        assert re.fullmatch(r"[a-z][A-Za-z0-9]*", setting.name)
        assert len(setting.help) > 20
        assert setting.help.endswith(".")
        assert setting.example


@each(KITS)
def test_examples_fit_their_own_rules(kit):
    """An example matches its own pattern and type, and a provider made of examples passes the vendor's own check."""
    description = kit.vendor.description
    for setting in description.settings:
        if setting.pattern:
            assert re.fullmatch(setting.pattern, setting.example)
        if setting.type is SettingType.URL:
            assert urlsplit(setting.example).scheme == "https"
            assert urlsplit(setting.example).netloc
        if setting.type is SettingType.CONNECTION_STRING:
            assert all("=" in part for part in setting.example.split(";"))
    examples = {setting.name: setting.example for setting in description.settings}
    secondaries = {setting.name for setting in description.settings if setting.secondary_of}

    for choice in description.one_of or ("",):
        left_out = (set(description.one_of) | secondaries) - {choice}
        kit.vendor.check_settings({name: value for name, value in examples.items() if name not in left_out})


@each(KITS)
def test_secrets_are_marked(kit):
    """A setting that sounds like a credential is a secret, at least one is, and none is plain by mistake."""
    settings = kit.vendor.description.settings

    assert any(setting.secret for setting in settings)
    assert {setting.name for setting in settings if SOUNDS_SECRET.search(setting.name)} == {
        setting.name for setting in settings if setting.secret
    }


@each(KITS)
def test_every_secret_can_be_rotated(kit):
    """Each secret has a second one of the same shape that stands in for it."""
    settings = {setting.name: setting for setting in kit.vendor.description.settings}
    secondary = {setting.secondary_of: setting for setting in settings.values() if setting.secondary_of}
    primary = {name for name, setting in settings.items() if setting.secret and not setting.secondary_of}

    assert set(secondary) == primary
    for name, second in secondary.items():
        assert (second.type, second.pattern, second.secret) == (settings[name].type, settings[name].pattern, True)
        assert not second.required


@each(KITS)
def test_a_choice_of_settings_names_settings(kit):
    """The settings of which one must be given exist, and none of them is required anyway."""
    settings = {setting.name: setting for setting in kit.vendor.description.settings}

    assert set(kit.vendor.description.one_of) <= set(settings)
    assert not any(settings[name].required for name in kit.vendor.description.one_of)
    assert kit.vendor.description.one_of or any(setting.required for setting in settings.values())


@each(KITS)
def test_sender_rules_make_sense(kit):
    """Each sender type has one rule, with real countries and a rate above zero; nobody replies to a name."""
    rules = kit.vendor.description.senders

    assert rules
    assert len({rule.type for rule in rules}) == len(rules)
    assert kit.vendor.description.sender_rule(kit.sender.type) in rules
    for rule in rules:
        assert set(rule.countries) <= SUPPORTED_REGIONS
        assert rule.per_minute is None or rule.per_minute > 0
        assert not (rule.type.value == "alphanumeric" and rule.two_way)


@each(KITS)
def test_capabilities_make_sense(kit):
    """Sizes are above zero, windows not below it, and a message without an answer can be settled somehow."""
    capabilities = kit.vendor.description.capabilities

    assert capabilities.recipients_per_call >= 1
    assert capabilities.calls_at_once >= 1
    assert capabilities.max_text_length > 160
    assert capabilities.replay_window >= timedelta(0)
    told = capabilities.reports and not kit.vendor.reports_by_vendor_id(kit.settings("https://vendor.example.com"))
    assert capabilities.lookup or capabilities.replay_window > timedelta(0) or told
    assert capabilities.correlation
    assert capabilities.callback_authentication
    if capabilities.validity:
        shortest, longest = capabilities.validity
        assert 0 < shortest < longest


@each(KITS)
def test_set_up_gives_each_address_once(kit):
    """What an operator has to do has a title and a text each, and names every address or function to paste."""
    urls = CallbackUrls("https://x.example/report", "https://x.example/inbound", "report-function", "inbound-function")

    steps = kit.vendor.set_up(Wiring(urls))

    assert all(step.title and step.detail for step in steps)
    wanted = {urls.report_function, urls.inbound_function} if kit in EVENT_GRID else {urls.report, urls.inbound}
    assert wanted == {step.value for step in steps} - {""}


@each(KITS)
def test_tables_speak_our_words(kit):
    """Every value in every table of the adapter is one of our states, reasons and retries."""
    tables = kit.tables()

    assert any(name.startswith("REPORT") for name in tables)
    for table in tables.values():
        for key, row in table.items():
            words = row if isinstance(row, tuple) else (row,)
            assert all(isinstance(word, State | Reason | Retry | None) for word in words), key


@each(KITS)
@given(status=st.text(max_size=30), code=st.text("0123456789", max_size=5))
def test_any_words_in_a_report_are_taken(kit, status, code):
    """Whatever status and code a report has, it gives one report, with a reason exactly when it did not arrive."""
    [report] = kit.report(status=status, code=code).reports

    assert (report.state in {State.QUEUED, State.SENT, State.DELIVERED}) == (report.reason is None)


@each(KITS)
def test_unknown_words_become_unknown(kit):
    """A status and a code that no page lists become unknown, for a reason off our list, and their words are kept."""
    [report] = kit.report(status="Teleported", code="7777").reports

    assert (report.state, report.reason) == (State.UNKNOWN, Reason.OTHER)
    assert (report.status, report.code) == ("Teleported" if kit.has_words else "", "7777" if kit.has_codes else "")


# Callbacks: who speaks


def complaint(kind, call, *arguments):
    """Return the words of an error of this kind, nothing when there was none; any other error is a failure."""
    try:
        call(*arguments)
    except kind as error:
        return str(error)
    return ""


def refuses(kit, callback, which=PRIMARY):
    """Tell whether the adapter refuses a callback as not authentic, and says why."""
    return bool(complaint(NotAuthenticError, kit.vendor.verify, callback, kit.account(which=which)))


def primary(kit):
    return kit.account().settings


@each(POSTING)
@pytest.mark.parametrize("kind", ["report", "inbound"])
def test_an_authentic_callback_is_taken(kit, kind):
    """A callback signed as the vendor signs passes, and gives what it says."""
    callback = kit.callback(kind, primary(kit))

    kit.vendor.verify(callback, kit.account())
    parsed = kit.vendor.parse(callback)

    assert (len(parsed.reports), len(parsed.inbound)) == ((1, 0) if kind == "report" else (0, 1))
    assert 200 <= kit.vendor.answer(callback).status < 300


def headers_to_spoil(kit, kind):
    """Return the sets of headers without which, or with which wrong, a callback proves nothing."""
    headers = kit.headers_proving(kind)
    return [headers] if kit.one_header_is_enough else [(header,) for header in headers]


@each(POSTING)
@pytest.mark.parametrize("kind", ["report", "inbound"])
def test_missing_authentication_is_refused(kit, kind):
    """A callback without one of the things that prove it, or with an empty one, is refused."""
    callback = kit.callback(kind, primary(kit))

    assert kit.headers_proving(kind) or callback.token
    assert not callback.token or refuses(kit, replace(callback, token=""))
    for spoilt in headers_to_spoil(kit, kind):
        without = {name: value for name, value in callback.headers.items() if name not in spoilt}
        assert refuses(kit, replace(callback, headers=without))
        assert refuses(kit, replace(callback, headers={**callback.headers, **dict.fromkeys(spoilt, "")}))


@each(POSTING)
@pytest.mark.parametrize("kind", ["report", "inbound"])
@pytest.mark.parametrize("wrong", ["x", "AAAAAAAAAAAAAAAAAAAAAAAAAAA=", "\udcff", "é" * 28, "x" * 2**16])
def test_wrong_authentication_is_refused(kit, kind, wrong):
    """A proof that is another text, even one that is no ASCII or very long, is refused."""
    callback = kit.callback(kind, primary(kit))

    assert not callback.token or refuses(kit, replace(callback, token=wrong))
    assert all(
        refuses(kit, replace(callback, headers={**callback.headers, **dict.fromkeys(spoilt, wrong)}))
        for spoilt in headers_to_spoil(kit, kind)
    )


@each(POSTING)
def test_either_secret_proves_a_callback_while_they_are_rotated(kit):
    """A callback signed with one of the two secrets passes with that one's account and not with the other's."""
    for which, other in ((PRIMARY, SECONDARY), (SECONDARY, PRIMARY)):
        callback = kit.callback("report", kit.account(which=which).settings)
        assert not refuses(kit, callback, which)
        assert refuses(kit, callback, other)


@each([kit for kit in POSTING if "body" in kit.signs])
def test_a_replayed_proof_does_not_cover_another_body(kit):
    """A proof holds for its own body only: a changed, cut, longer or empty one, and one without blanks, is refused."""
    callback = kit.callback("inbound", primary(kit))
    body = callback.body
    changed = [body.replace(b"Stop", b"Go"), body[:-1], body + b"&To=%2B12065550124", b""]
    if kit.content_type == FORM:
        changed.append(b"&".join(part for part in body.split(b"&") if not part.endswith(b"=")))

    assert body not in changed
    assert all(refuses(kit, replace(callback, body=other)) for other in changed)


@each([kit for kit in POSTING if "url" in kit.signs])
@pytest.mark.parametrize(
    "change",
    [
        lambda url: url.replace("https", "http"),
        lambda url: url.replace("sms.example.com", "sms.example.org"),
        lambda url: url.replace("/report", "/inbound"),
        lambda url: url + "?message=1",
        lambda url: url + "\udcff",
    ],
    ids=["scheme", "host", "path", "query", "not text"],
)
def test_a_proof_does_not_cover_another_address(kit, change):
    """A proof holds for the address that was posted to, and for no other; ports aside, which Twilio may leave out."""
    callback = kit.callback("report", primary(kit))

    assert refuses(kit, replace(callback, url=change(callback.url)))


@each([kit for kit in POSTING if "account" in kit.signs])
def test_another_accounts_callback_is_refused(kit):
    """A callback that an account with the same secret signed for somebody else's account is refused."""
    sid = next(value for name, value in primary(kit).items() if name.lower().endswith("sid") or "account" in name)
    body = kit.callback_body("report").replace(sid.encode(), sid[::-1].encode())

    assert body != kit.callback_body("report")
    assert refuses(kit, kit.callback("report", primary(kit), body=body))


@each([kit for kit in POSTING if "body" in kit.signs and kit.content_type == FORM])
def test_duplicate_and_blank_fields_are_covered(kit):
    """Fields that come twice or empty count for the proof and do not disturb the reading."""
    body = kit.callback_body("report") + b"&Again=1&Again=&Again=1&Again=2&Blank="
    callback = kit.callback("report", primary(kit), body=body)

    assert not refuses(kit, callback)
    assert refuses(kit, replace(callback, body=body.replace(b"&Again=2", b"")))
    assert kit.vendor.parse(callback).reports


BODIES = {
    "empty": b"",
    "huge": b"x=" + b"y" * LARGE,
    "not UTF-8": b"\xff\xfe=\xff&%ff=%fe&\x00",
    "JSON": b'{"MessageSid": "SM1", "MessageStatus": "sent"}',
    "form": b"MessageSid=SM1&MessageStatus=sent",
    "list": b"[1, 2]",
    "bare": b'"text"',
    "cut": b'{"MessageSid": "SM',
    "deep": b"[" * 100_000,
    "deep object": b'{"a":' * 100_000,
    "huge number": b'{"a": ' + b"9" * 5000 + b"}",
    "lone surrogate": b'{"MessageSid": "\\ud83d", "MessageStatus": "sent"}',
}


@each(POSTING)
@pytest.mark.parametrize("content_type", [FORM, JSON, "text/plain", "multipart/form-data", ""])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_odd_bodies_are_refused_and_nothing_worse(kit, content_type, body):
    """Without a proof an odd body is not authentic; with one it is read or malformed, and nothing else is raised."""
    odd = Callback("report", "https://sms.example.com/x", {}, {"content-type": content_type}, body)
    assert refuses(kit, odd)

    signed = kit.signed(odd, primary(kit))
    refuses(kit, signed)
    if not complaint(MalformedError, kit.vendor.parse, signed):
        assert isinstance(kit.vendor.parse(signed), Parsed)


@each(EVENT_GRID)
@pytest.mark.parametrize("kind", ["report", "inbound", "other"])
def test_event_grid_vendors_take_no_callbacks(kit, kind):
    """Whoever posts to the address of a vendor that sends events is refused: nobody could prove anything there."""
    callback = Callback(kind, "https://sms.example.com/x", {}, {"authorization": "Bearer x"}, b"{}")

    assert refuses(kit, callback)
    with pytest.raises(MalformedError):
        kit.vendor.parse(callback)


@each(EVENT_GRID)
def test_event_grid_vendors_read_their_events(kit):
    """One report and one reply are read from the two kinds of event that the vendor names."""
    events = kit.events()

    assert tuple(event.type for event in events) == kit.vendor.description.event_types
    parsed = [kit.vendor.parse_event(event) for event in events]
    assert [(len(one.reports), len(one.inbound)) for one in parsed] == [(1, 0), (0, 1)]


@each(KITS)
def test_events_of_others_are_malformed(kit):
    """An event of a type that the vendor does not send is malformed."""
    with pytest.raises(MalformedError):
        kit.vendor.parse_event(Event("1", "Microsoft.Storage.BlobCreated", "/subscriptions/0", {}))


@each(EVENT_GRID)
def test_the_account_in_an_event_is_the_one_in_the_settings(kit):
    """A reply names the account under which the provider's settings are known."""
    name = kit.vendor.account_name(kit.settings("https://contoso.vendor.example.com"))

    assert {text.account for event in kit.events() for text in kit.vendor.parse_event(event).inbound} == {name}


# Requests


@each(KITS)
async def test_a_request_is_sent_as_documented(kit, http, monkeypatch):
    """The whole request, path, headers and body, is what the vendor's page asks for, and there is just one."""
    kit.freeze(monkeypatch)
    call = kit.call()
    async with recorder(kit.refusal(400)) as server:
        account = kit.account(server.url)
        await kit.vendor.send(account, call, http)

        [request] = server.requests
        expected = kit.request(call, account.settings)
    assert expected.headers == request.headers
    assert expected == request


@each(KITS)
async def test_a_replay_differs_in_nothing(kit, http, monkeypatch):
    """Sending a call again, by a new process too, makes the same request: what lets the vendor recognise it."""
    kit.freeze(monkeypatch)
    async with recorder(kit.refusal(429)) as server:
        account = kit.account(server.url)
        for _ in range(2):
            await kit.vendor.send(account, kit.call(), http)
            http._kept.clear()

        first, second = server.requests
    assert first == second


# Outcomes


async def outcomes_of(kit, reply, http, call=None):
    """Send to a vendor that gives one answer; return the outcomes in the order of the call's messages."""
    call = call or kit.call()
    async with recorder(reply) as server:
        outcomes = await kit.vendor.send(kit.account(server.url), call, http)
        assert len(server.requests) == 1, "adapters do not retry"
    assert set(outcomes) <= {message.id for message in call.messages}
    return [outcomes.get(message.id) for message in call.messages]


def ids_for(call, *, reverse=False):
    """Return a vendor id for each recipient."""
    people = [message.to for message in call.messages]
    return {to: f"SM{to[1:]}" for to in (reversed(people) if reverse else people)}


def accepted_of(kit, call):
    """Return the outcomes when every message was taken under the ids of ``ids_for``."""
    ids = ids_for(call)
    return [Accepted(kit.vendor_id(message, ids[message.to])) for message in call.messages]


def is_unknown(outcome):
    """Tell whether nobody knows: said so, or left out."""
    return outcome is None or isinstance(outcome, Unknown)


@each(KITS)
async def test_what_the_vendor_takes_is_accepted(kit, http):
    """A message the vendor took is accepted under the vendor's id."""
    call = kit.call()

    outcomes = await outcomes_of(kit, kit.accepted(call, ids_for(call)), http, call)

    assert accepted_of(kit, call) == outcomes


@each(BULK)
async def test_answers_in_another_order_find_their_messages(kit, http):
    """Each answer goes to the recipient it names, in whatever order they come."""
    call = kit.call()

    outcomes = await outcomes_of(kit, kit.accepted(call, ids_for(call, reverse=True)), http, call)

    assert accepted_of(kit, call) == outcomes


@each(BULK)
async def test_a_partial_answer_leaves_the_others_unknown(kit, http):
    """Who is missing from the answer stays unknown, and a stranger in it is passed over."""
    call = kit.call()
    ids = {call.messages[1].to: "SM1", "+13035550199": "SM2"}

    first, second, third = await outcomes_of(kit, kit.accepted(call, ids), http, call)

    assert is_unknown(first)
    assert second == Accepted(kit.vendor_id(call.messages[1], "SM1"))
    assert is_unknown(third)


@each(KITS)
async def test_an_answer_without_an_id_is_unknown(kit, http):
    """A vendor that takes a message and names no id leaves us not knowing which it is."""
    call = kit.call()

    outcomes = await outcomes_of(kit, kit.accepted(call, dict.fromkeys(ids_for(call))), http, call)

    assert all(is_unknown(outcome) for outcome in outcomes)


@each(KITS)
@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"{}", b'""', b"<html>", b"\xff\xfe", b'{"value": 7}', b'{"value": ["x"]}', b"[" * 5000],
    ids=["empty", "null", "list", "object", "text", "HTML", "bytes", "number", "texts", "deep"],
)
@pytest.mark.parametrize("content_type", ["application/json", "text/html; charset=nonsense"])
async def test_a_success_that_cannot_be_read_is_unknown(kit, http, body, content_type):
    """A success whose body says nothing may have sent or not: nobody knows."""
    reply = Reply(kit.send_status, body, {"Content-Type": content_type})

    assert all(is_unknown(outcome) for outcome in await outcomes_of(kit, reply, http))


@each(POSTING)
@pytest.mark.parametrize(
    "echo", [rb'"\ud83d"', b'"a\nb"', b"NaN", b"9" * 5000, b"[" * 400 + b"]" * 400], ids=lambda echo: repr(echo[:8])
)
async def test_an_odd_echo_costs_no_success(kit, http, echo):
    """An answer that takes the message counts, also where it repeats a text that was cut within an emoji, or worse."""
    call = kit.call(PEOPLE[:1])
    reply = kit.accepted(call, ids_for(call))
    if kit.content_type == "text/xml" or not reply.body.startswith((b"{", b"[{")):
        pytest.skip("It does not answer with JSON.")
    odd = replace(reply, body=reply.body.replace(b"{", b'{"echo": ' + echo + b", ", 1))

    [outcome] = await outcomes_of(kit, odd, http, call)

    assert isinstance(outcome, Accepted), outcome


@each(KITS)
async def test_a_truncated_success_is_unknown(kit, http):
    """A success whose JSON breaks off is unknown, wherever it breaks off."""
    call = kit.call(PEOPLE[:1])
    reply = kit.accepted(call, ids_for(call))
    for end in range(0, len(reply.body), 7):
        [outcome] = await outcomes_of(kit, replace(reply, body=reply.body[:end]), http, call)
        assert is_unknown(outcome)


@each([kit for kit in KITS if not kit.own_codes_decide])
async def test_an_unexpected_success_is_unknown(kit, http):
    """A success status that the vendor does not document proves nothing."""
    call = kit.call()
    for status in {200, 201, 202, 204} - {kit.send_status, kit.silent_status}:
        reply = replace(kit.accepted(call, ids_for(call)), status=status)
        assert all(is_unknown(outcome) for outcome in await outcomes_of(kit, reply, http, call))


@each([kit for kit in KITS if kit.silent_status])
async def test_a_silent_success_takes_every_message(kit, http):
    """Where the vendor documents an answer without a body, it took all messages, and told the id of none."""
    call = kit.call()

    outcomes = await outcomes_of(kit, Reply(kit.silent_status, b""), http, call)

    assert [Accepted("") for _ in call.messages] == outcomes


@each([kit for kit in KITS if kit.own_codes_decide])
async def test_where_the_vendors_own_code_decides_the_kind_of_success_does_not(kit, http):
    """An answer that says accepted is believed with any success status, and so is one that says refused."""
    call = kit.call()
    for status in (200, 201, 202):
        taken = await outcomes_of(kit, replace(kit.accepted(call, ids_for(call)), status=status), http, call)
        refused = await outcomes_of(kit, replace(kit.refusal(400), status=status), http, call)

        assert accepted_of(kit, call) == taken
        assert all(isinstance(outcome, Refused) and outcome.retry is Retry.NEVER for outcome in refused)


@each(KITS)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(kit, http, status):
    """A redirect takes neither credentials nor text elsewhere, nor does it send twice; nobody knows what it means."""
    async with recorder(kit.accepted(kit.call(), ids_for(kit.call()))) as elsewhere:
        for target in (f"{elsewhere.url}/sms", "/again"):
            reply = Reply(status, b"", {"Location": target})
            assert all(is_unknown(outcome) for outcome in await outcomes_of(kit, reply, http))
    assert elsewhere.requests == []


SHAPES = {
    "the vendor's": None,
    "empty": (b"", "application/json"),
    "HTML": (b"<html>no</html>", "text/html"),
    "truncated": (b'{"code": 2', "application/json"),
    "not text": (b"\xff\x00\xfe", "text/html; charset=utf-8"),
    "list": (b"[1]", "application/json"),
}


def refusal(kit, status, shape, headers):
    """Return the refusal with a body of some shape."""
    reply = kit.refusal(status)
    body, content_type = SHAPES[shape] or (reply.body, reply.headers["Content-Type"])
    return Reply(status, body, {"Content-Type": content_type, **headers})


@each(KITS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (400, None),
        (401, Reason.CREDENTIALS),
        (403, Reason.ACCOUNT),
        (404, Reason.CONFIGURATION),
        (409, None),
        (422, None),
    ],
)
async def test_client_errors_are_final_refusals(kit, http, shape, status, reason):
    """A 4xx means that nothing was sent and that sending it again unchanged will not help, whatever its body."""
    for outcome in await outcomes_of(kit, refusal(kit, status, shape, {}), http):
        assert isinstance(outcome, Refused)
        assert (outcome.retry, outcome.after) == (Retry.NEVER, None)
        assert outcome.code
        assert len(outcome.detail) <= 300
        assert reason in {None, outcome.reason}


@each(KITS)
@pytest.mark.parametrize("shape", SHAPES)
async def test_throttling_is_tried_again_later(kit, http, shape):
    """A 429 means that nothing was sent and that it may be tried again, after no given time."""
    for outcome in await outcomes_of(kit, refusal(kit, 429, shape, {}), http):
        assert isinstance(outcome, Refused)
        assert (outcome.reason, outcome.retry, outcome.after) == (Reason.THROTTLED, Retry.LATER, None)


@each(KITS)
@pytest.mark.parametrize(("value", "after"), [("7", 7.0), ("0", 0.0), ("soon", None), ("-1", None), ("", None)])
async def test_throttling_says_when(kit, http, value, after):
    """Seconds in Retry-After are kept; what is no number and no date is passed over."""
    for outcome in await outcomes_of(kit, refusal(kit, 429, "the vendor's", {"Retry-After": value}), http):
        assert (outcome.retry, outcome.after) == (Retry.LATER, after)


@each(KITS)
@pytest.mark.parametrize(("ahead", "least", "most"), [(60, 50, 60), (-60, 0, 0)], ids=["ahead", "past"])
async def test_throttling_says_until_when(kit, http, ahead, least, most):
    """A date in Retry-After becomes the seconds until then, and none when it has passed."""
    moment = format_datetime(datetime.now(UTC) + timedelta(seconds=ahead), usegmt=True)

    for outcome in await outcomes_of(kit, refusal(kit, 429, "the vendor's", {"Retry-After": moment}), http):
        assert least <= outcome.after <= most


@each(KITS)
@pytest.mark.parametrize("retry_after", [None, "7"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_server_errors_are_unknown(kit, http, status, shape, retry_after):
    """A 5xx may have sent: it is unknown, except where the vendor says with Retry-After that it was only busy."""
    headers = {"Retry-After": retry_after} if retry_after else {}

    for outcome in await outcomes_of(kit, refusal(kit, status, shape, headers), http):
        if retry_after and status in kit.busy_statuses:
            assert isinstance(outcome, Refused)
            assert (outcome.reason, outcome.retry, outcome.after) == (Reason.THROTTLED, Retry.LATER, 7.0)
        else:
            assert isinstance(outcome, Unknown)
            assert outcome.code


def is_not_sent(outcome):
    """Tell whether it is certain that nothing was sent and worth trying again."""
    return isinstance(outcome, Refused) and (outcome.reason, outcome.retry) == (Reason.TEMPORARY, Retry.LATER)


@each(KITS)
async def test_a_refused_connection_sent_nothing(kit, http):
    """Without a connection nothing was sent, for certain, and it may be tried later."""
    with nobody_listening() as url:
        outcomes = await kit.vendor.send(kit.account(url), kit.call(), http)

    assert len(outcomes) == len(kit.call().messages)
    assert all(is_not_sent(outcome) for outcome in outcomes.values())


@each(KITS)
async def test_a_vendor_that_cannot_prove_itself_gets_nothing(kit, http):
    """A vendor whose certificate nobody vouches for gets no request, so nothing was sent."""
    async with recorder(kit.refusal(400), certificate(trustme.CA())) as server:
        outcomes = await kit.vendor.send(kit.account(server.url), kit.call(), http)

    assert server.requests == []
    assert all(is_not_sent(outcome) for outcome in outcomes.values())


@each(KITS)
@pytest.mark.parametrize("fault", ROGUE_FAULTS)
async def test_a_lost_answer_is_unknown(kit, impatient, fault):
    """Once there was a connection, dropping it or staying silent leaves it unknown, after one try and in time."""
    started = datetime.now(UTC)
    async with rogue(fault) as server:
        outcomes = await kit.vendor.send(kit.account(server.url), kit.call(), impatient)

        assert server.connections == 1
    assert (datetime.now(UTC) - started).total_seconds() < IMPATIENT + 1.5
    assert outcomes
    assert all(isinstance(outcome, Unknown) and outcome.why for outcome in outcomes.values())


HOST = ConnectionKey(
    host="vendor.example.com", port=443, is_ssl=True, ssl=True, proxy=None, proxy_auth=None, proxy_headers_hash=None
)
NEVER_CONNECTED = (
    aiohttp.ConnectionTimeoutError("no connection in time"),
    aiohttp.ClientConnectorDNSError(HOST, OSError("no such host")),
    aiohttp.ClientConnectorError(HOST, OSError("refused")),
    aiohttp.InvalidURL("https://[vendor"),
)
CONNECTION_LOST = (
    aiohttp.ServerDisconnectedError(),
    aiohttp.ServerTimeoutError(),
    aiohttp.SocketTimeoutError(),
    aiohttp.ClientOSError(104, "reset"),
    aiohttp.ClientPayloadError("cut"),
    aiohttp.ClientConnectionResetError("reset"),
    aiohttp.ClientResponseError(None, (), status=200, message="no HTTP"),
    TimeoutError(),
)


def failing(error, monkeypatch):
    """Make every request of aiohttp's end with this error."""

    async def request(*_arguments, **_options):
        raise error

    monkeypatch.setattr(aiohttp.ClientSession, "_request", request)


@each(KITS)
@pytest.mark.parametrize("error", NEVER_CONNECTED, ids=lambda error: type(error).__name__)
async def test_an_error_before_the_connection_sent_nothing(kit, http, monkeypatch, error):
    """What fails before there is a connection, waiting for one included, is certain to have sent nothing."""
    failing(error, monkeypatch)

    outcomes = await kit.vendor.send(kit.account(), kit.call(), http)

    assert outcomes
    assert all(is_not_sent(outcome) for outcome in outcomes.values())


@each(KITS)
@pytest.mark.parametrize("error", CONNECTION_LOST, ids=lambda error: type(error).__name__)
async def test_an_error_after_the_connection_is_unknown(kit, http, monkeypatch, error):
    """What fails once there is a connection may have sent, however the client calls it."""
    failing(error, monkeypatch)

    outcomes = await kit.vendor.send(kit.account(), kit.call(), http)

    assert outcomes
    assert all(isinstance(outcome, Unknown) for outcome in outcomes.values())


# Checking credentials and looking things up


@each(KITS)
@pytest.mark.parametrize("status", [200, 201, 202, 302, 401, 403, 404, 429, 500, 503])
@pytest.mark.parametrize("shape", [shape for shape in SHAPES if SHAPES[shape]])
async def test_a_check_passes_on_proof_only(kit, http, status, shape):
    """A check of credentials has words for whatever comes, and does not pass on an answer that it cannot read."""
    async with recorder(refusal(kit, status, shape, {})) as server:
        check = await kit.vendor.check(kit.account(server.url), http)

    assert not check.ok
    assert check.detail


@each(KITS)
@pytest.mark.parametrize("fault", ["refused", *ROGUE_FAULTS])
async def test_a_check_says_when_there_is_no_answer(kit, impatient, fault):
    """A check of credentials that gets no answer does not pass, and says so."""
    if fault == "refused":
        with nobody_listening() as url:
            check = await kit.vendor.check(kit.account(url), impatient)
    else:
        async with rogue(fault) as server:
            check = await kit.vendor.check(kit.account(server.url), impatient)

    assert not check.ok
    assert check.detail


@each(KITS)
@pytest.mark.parametrize("fault", ["refused", *ROGUE_FAULTS])
async def test_a_lookup_without_an_answer_settles_nothing(kit, impatient, fault):
    """Looking up messages leaves them unknown when the vendor's log cannot be reached."""
    call = kit.call()
    if fault == "refused":
        with nobody_listening() as url:
            found = await kit.vendor.lookup(kit.account(url), call, frozenset(), impatient)
    else:
        async with rogue(fault) as server:
            found = await kit.vendor.lookup(kit.account(server.url), call, frozenset(), impatient)

    assert {message.id for message in call.messages} == set(found)
    assert all(isinstance(outcome, Unknown) for outcome in found.values())


@each(KITS)
@pytest.mark.parametrize("status", [200, 401, 404, 429, 500])
@pytest.mark.parametrize("shape", SHAPES)
async def test_a_lookup_that_cannot_be_read_settles_nothing(kit, http, status, shape):
    """Looking up messages leaves them unknown when what the vendor's log says cannot be read."""
    async with recorder(refusal(kit, status, shape, {})) as server:
        found = await kit.vendor.lookup(kit.account(server.url), kit.call(), frozenset(), http)

    assert all(isinstance(outcome, Unknown) for outcome in found.values())


MESSAGE = kits()[0].call().messages[0].id


@each(KITS)
@pytest.mark.parametrize("status", [200, 204, 302, 401, 404, 429, 500])
@pytest.mark.parametrize("shape", SHAPES)
async def test_a_question_that_is_not_answered_tells_nothing(kit, http, status, shape):
    """Asked for a message's state, an answer that cannot be read tells nothing; who cannot be asked is not asked."""
    async with recorder(refusal(kit, status, shape, {})) as server:
        report = await kit.vendor.report_of(kit.account(server.url), MESSAGE, "SM1", http)

    assert report is None
    assert len(server.requests) == kit.vendor.description.capabilities.status_query


@each(KITS)
@pytest.mark.parametrize("fault", ROGUE_FAULTS)
async def test_a_question_without_an_answer_tells_nothing(kit, impatient, fault):
    """Asked for a message's state, a vendor that drops the connection or stays silent tells nothing."""
    async with rogue(fault) as server:
        assert await kit.vendor.report_of(kit.account(server.url), MESSAGE, "SM1", impatient) is None


# Secrets


@pytest.fixture
async def app(tmp_path):
    """Build the gateway as on Azure, log levels included, and put those back afterwards."""
    levels = {name: logging.getLogger(name).level for name in _CHATTY}
    environment = {
        "SMS_STORAGE": "embedded",
        "SMS_EMBEDDED_PATH": str(tmp_path / "gateway.db"),
        "SMS_PUBLIC_URL": "https://sms.example.com",
    }
    storage = open_embedded(environment["SMS_EMBEDDED_PATH"])
    built = build(read_settings(environment), storage)
    built.http.timeout = IMPATIENT
    yield built
    await built.close()
    await storage.close()
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def everything_in(value):
    """Write a value out, fields that its own ``repr`` leaves out included; accounts are to hide theirs."""
    written = f"{value!r} {value}"
    if is_dataclass(value) and not isinstance(value, Account):
        written += "".join(everything_in(getattr(value, each_field.name)) for each_field in fields(value))
    return written


@each(KITS)
async def test_secrets_stay_secret(kit, app, caplog):
    """No form of a credential shows in any log line at any level, in an outcome, an error, or the account itself."""
    caplog.set_level(logging.DEBUG)
    said = []

    async def talk(url):
        for which in (PRIMARY, SECONDARY):
            account = kit.account(url, which)
            said.append(account)
            said.extend((await kit.vendor.send(account, kit.call(), app.http)).values())
            said.append(await kit.vendor.check(account, app.http))
            said.extend((await kit.vendor.lookup(account, kit.call(), frozenset(), app.http)).values())
            said.append(await kit.vendor.report_of(account, MESSAGE, "SM1", app.http))

    for status in (200, 201, 202, 307, 400, 401, 403, 404, 429, 500, 503):
        async with recorder(kit.refusal(status)) as server:
            await talk(server.url)
    for fault in ("drops after reading", "drops inside the answer", "never answers"):
        async with rogue(fault) as server:
            await talk(server.url)
    with nobody_listening() as url:
        await talk(url)
    wrong = {"content-type": FORM, **dict.fromkeys(kit.auth_headers, "x")}
    with pytest.raises(NotAuthenticError) as caught:
        kit.vendor.verify(Callback("report", "https://sms.example.com/x", {}, wrong, b"a=b"), kit.account())
    said.append(caught.value)

    records = [(record.getMessage(), vars(record)) for record in caplog.records]
    written = caplog.text + repr(records) + "".join(everything_in(value) for value in said)
    assert len(said) > 20
    for text in kit.secret_texts(kit.settings("https://vendor.example.com")):
        assert text not in written


@each(KITS)
def test_a_wrong_setting_is_refused_without_quoting_it(kit):
    """A vendor's own check of settings names the setting that is wrong and never quotes a secret's value."""
    settings = kit.settings("https://vendor.example.com")
    for setting in kit.vendor.description.settings:
        value = settings.get(setting.name, "")
        for broken in ("canary", f"{value}canary", f"canary;{value[::-1]}", value.replace("/", "/canary")):
            words = complaint(SettingError, kit.vendor.check_settings, {**settings, setting.name: broken})
            assert "canary" not in words


def test_requests_compare_whole():
    """The comparison of requests that this suite relies on sees a difference in any part."""
    request = Request("POST", "/sms", {"accept": "application/json"}, b"{}")

    for part, other in {"method": "GET", "path": "/", "headers": {}, "body": b""}.items():
        assert request != replace(request, **{part: other})
