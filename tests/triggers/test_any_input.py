"""Whatever is posted, the gateway answers and never breaks."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from urllib.parse import quote

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

FEW = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
NUMBERS = st.sampled_from(["+14255550180", "+447405550123", "", "x", "+1", "12345"]) | st.text()
MESSAGE = st.fixed_dictionaries(
    {},
    optional={
        "to": NUMBERS | ANY_JSON,
        "text": st.text() | ANY_JSON,
        "reference": st.text() | ANY_JSON,
        "metadata": st.dictionaries(st.text(), ANY_JSON, max_size=3) | ANY_JSON,
    },
)
CALL = st.fixed_dictionaries(
    {},
    optional={
        "to": NUMBERS | st.lists(NUMBERS, max_size=4) | ANY_JSON,
        "text": st.text() | ANY_JSON,
        "messages": st.lists(MESSAGE, max_size=4) | ANY_JSON,
        "category": st.sampled_from(["marketing", "transactional"]) | ANY_JSON,
        "validityPeriod": st.integers() | ANY_JSON,
        "businessUnit": st.text() | ANY_JSON,
        "reference": st.text() | ANY_JSON,
        "metadata": st.dictionaries(st.text(), ANY_JSON, max_size=3) | ANY_JSON,
        "nonsense": ANY_JSON,
    },
)
TAKEN_OR_REFUSED = {202, 400, 422}


@FEW
@given(body=CALL | ANY_JSON, named=st.booleans())
async def test_any_json_to_messages(ready, request_raw, body, named):
    """Any JSON, near to a call or far from it, is taken or refused in words, and what was taken can be read back."""
    if named and isinstance(body, dict):
        body = body | {"from": ready.twilio.sender}
    data = json.dumps(body).encode()
    answer = await request_raw("POST", "/messages", data, headers={"Content-Type": "application/json"})
    assert answer.status in TAKEN_OR_REFUSED, (answer.status, answer.body)
    for item in answer.body["messages"] if answer.status == 202 else ():
        if item["status"] == "queued":
            assert (await ready.message(item["id"]))["to"] == item["to"]


@FEW
@given(data=st.binary(min_size=1) | st.text(min_size=1).map(str.encode))
async def test_any_bytes_to_messages(ready, request_raw, data):
    """Any bytes that say they are JSON are taken or refused in words."""
    answer = await request_raw("POST", "/messages", data, headers={"Content-Type": "application/json"})
    assert answer.status in TAKEN_OR_REFUSED, (answer.status, answer.body)


FIELDS = st.sampled_from(
    [
        "MessageSid",
        "SmsSid",
        "MessageStatus",
        "SmsStatus",
        "From",
        "To",
        "Body",
        "ErrorCode",
        "OptOutType",
        "AccountSid",
    ]
)
FORM = st.dictionaries(FIELDS | st.text(), NUMBERS | st.sampled_from(["delivered", "STOP", "SM1"]), max_size=8)
HALVES = st.text(st.characters(categories=["Cs"]), max_size=3)
"""Halves of surrogate pairs, which JSON can spell and UTF-8 cannot."""
JSON_FORM = st.dictionaries(FIELDS | HALVES, NUMBERS | HALVES | ANY_JSON, max_size=8)
CALLBACK_STATUSES = {200, 204, 400, 403}


def sign(token, text):
    """Sign as Twilio does: https://www.twilio.com/docs/usage/webhooks/webhooks-security."""
    return base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()).decode()


@FEW
@given(
    data=st.binary(),
    kind=st.sampled_from(["report", "inbound"]),
    media_type=st.sampled_from(["application/x-www-form-urlencoded", "application/json", "text/plain", ""]),
    query=st.text(max_size=20),
    signature=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40),
)
async def test_any_bytes_to_callbacks(ready, request_raw, dump, data, kind, media_type, query, signature):
    """Any bytes from anybody are refused in words and change nothing."""
    before = dump()
    route = f"/callbacks/twilio/{ready.twilio.id}/{kind}?message={quote(query)}"
    headers = {"Content-Type": media_type, "X-Twilio-Signature": signature}
    answer = await request_raw("POST", route, data, headers={k: v for k, v in headers.items() if v}, key=False)
    assert answer.status == 403, answer.body
    assert dump() == before


@FEW
@given(
    form=FORM,
    raw=st.binary() | (ANY_JSON | JSON_FORM).map(lambda value: json.dumps(value).encode()),
    kind=st.sampled_from(["report", "inbound"]),
    as_form=st.booleans(),
    message=st.text(max_size=30),
)
async def test_anything_that_is_signed(ready, request_raw, form, raw, kind, as_form, message):
    """Whatever the vendor itself may send, as a form or as JSON, is taken or refused in words and never breaks."""
    token, sid = (ready.twilio.settings[name] for name in ("authToken", "accountSid"))
    url = f"{ready.gateway.url}/api/callbacks/twilio/{ready.twilio.id}/{kind}?message={quote(message)}"
    if as_form:
        form = form | ({"AccountSid": sid} if "AccountSid" in form else {})
        data = "&".join(f"{quote(name)}={quote(value)}" for name, value in form.items()).encode()
        signed = url + "".join(f"{name}{value}" for name, value in sorted(form.items()) if name)
        media_type = "application/x-www-form-urlencoded"
    else:
        data, media_type = raw, "application/json"
        url = f"{url}&bodySHA256={hashlib.sha256(data).hexdigest()}"
        signed = url
    headers = {"Content-Type": media_type, "X-Twilio-Signature": sign(token, signed)}
    answer = await request_raw("POST", url.partition("/api")[2], data, headers=headers, key=False)
    assert answer.status in CALLBACK_STATUSES, (answer.status, answer.body)
    if not as_form and isinstance(answer.body, dict):
        assert answer.status != 403 or "AccountSid" in answer.body["detail"], "the signature of this test is wrong"


@FEW
@given(
    query=st.dictionaries(
        st.sampled_from(["sender", "recipient", "status", "since", "cursor", "limit"]) | st.text(), st.text()
    )
)
async def test_any_query(ready, request_raw, query):
    """Any query is answered or refused in words, for each list."""
    text = "&".join(f"{quote(name)}={quote(value)}" for name, value in query.items())
    for route in ("/messages", "/inbound", "/opt-outs", "/providers"):
        assert (await request_raw("GET", f"{route}?{text}")).status in {200, 422}
