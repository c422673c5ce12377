"""A definition is checked when it is saved: each fault is named with its path, and no JSON makes the check fail."""

from __future__ import annotations

import json
import time
from copy import deepcopy

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.vendors.contract import SettingError
from functions.vendors.custom.adapter import Custom
from tests.vendors.custom.samples import APIS, NAMES, definition, settings, unhurried

VENDOR = Custom()
MISSING = object()
SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=12)
)
WORDS = st.sampled_from(
    ["{to}", "{", "{text}", "a..b", "json", "4xx", "https://a", "<a>{to}</a>", "\ud7ff", "body:", ""]
)
JSON = st.recursive(
    SCALARS | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8) | WORDS, inner, max_size=3),
    max_leaves=8,
)


def faults_of(changed):
    """Return the faults of a definition by path."""
    found = VENDOR.check_settings({"definition": json.dumps(changed)})
    return {fault.setting: fault.detail for fault in found}


def changed(path, value, name="vonage"):
    """Return a definition with something else at a path."""
    made = definition(name)
    *above, last = path.split("/")
    node = made
    for step in above:
        node = node[int(step)] if isinstance(node, list) else node.setdefault(step, {})
    last = int(last) if isinstance(node, list) else last
    if value is MISSING:
        del node[last]
    else:
        node[last] = value
    return made


def json_request(value):
    """Return a request whose JSON holds a value."""
    return {"method": "POST", "url": "https://a.example", "json": {"to": "{to}", "text": "{text}", "value": value}}


def nested(levels):
    """Return lists in lists."""
    return [nested(levels - 1)] if levels else []


CHECK = {
    "method": "GET",
    "url": "https://rest.nexmo.com/account",
    "success": {"statuses": [200], "id": "id"},
}
FAULTS = {
    "no name": ("name", MISSING, "name"),
    "no request": ("request", MISSING, "request"),
    "no success": ("success", MISSING, "success"),
    "unknown member": ("bla", 1, "bla"),
    "unknown member below": ("request/retries", 3, "request/retries"),
    "unknown method": ("request/method", "PATCH", "request/method"),
    "unknown placeholder": ("request/form/x", "{to.number}", "request/form/x"),
    "expression": ("request/form/x", "{text[0]}", "request/form/x"),
    "way of writing": ("request/form/x", "{text:>10}", "request/form/x"),
    "nothing": ("request/form/x", "{}", "request/form/x"),
    "nested": ("request/form/x", "{credentials.{to}}", "request/form/x"),
    "open brace": ("request/form/x", "{text", "request/form/x"),
    "number for a text": ("request/form/x", 5, "request/form/x"),
    "placeholder of set-up": ("request/form/x", "{inboundUrl}", "request"),
    "no text": ("request/form/text", "Hello", "request"),
    "no recipient": ("request/form/to", "1", "request"),
    "number of more than 64 bits": ("request", json_request(2**64), "request/json"),
    "deep JSON": ("request", json_request(nested(40)), "request/json"),
    "two bodies": ("request/json", {}, "request"),
    "GET with a body": ("request/method", "GET", "request"),
    "two proofs": ("request", definition("sinch")["request"] | {"headers": {"authorization": "x"}}, "request"),
    "empty XML": ("request", {"method": "POST", "url": "https://a.example", "xml": "<a>"}, "request/xml"),
    "XML with a document type": (
        "request",
        {"method": "POST", "url": "https://a.example", "xml": "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;{text}{to}</a>"},
        "request/xml",
    ),
    "XML name": (
        "request",
        {"method": "POST", "url": "https://a.example", "xml": "<{to}>{text}</{to}>"},
        "request/xml",
    ),
    "XML placeholder": (
        "request",
        {"method": "POST", "url": "https://a.example", "xml": "<a b='{c}'>{text}{to}</a>"},
        "request/xml",
    ),
    "deep XML": (
        "request",
        {"method": "POST", "url": "https://a.example", "xml": "<a>" * 50 + "{text}{to}" + "</a>" * 50},
        "request/xml",
    ),
    "success outside 2xx": ("success/statuses/0", 302, "success/statuses/0"),
    "no statuses": ("success/statuses", [], "success/statuses"),
    "path": ("success/id", "messages[0", "success/id"),
    "path in a place": ("success/id", {"path": "..", "after": "x"}, "success/id/path"),
    "condition without words": ("success/when/0", {"path": "a"}, "success/when/0/in"),
    "condition that nothing fits": ("success/when/0/in", [], "success/when/0/in"),
    "reason": ("errors/table/1/reason", "busy", "errors/table/1/reason"),
    "retry": ("errors/table/1/retry", "soon", "errors/table/1/retry"),
    "5xx refused": ("errors/statuses", {"503": {"reason": "throttled"}}, "errors/statuses/503/[key]"),
    "table without code": ("errors/code", MISSING, "errors/code"),
    "state": ("report/states/accepted/state", "gone", "report/states/accepted/state"),
    "reason of a delivery": ("report/states/delivered/reason", "other", "report/states/delivered"),
    "states without status": ("report/status", MISSING, "report/status"),
    "codes without code": ("report/code", MISSING, "report/code"),
    "neither status nor code": ("report", {"format": "json", "message": "x"}, "report"),
    "header without a name": ("report/message", "header:", "report/message"),
    "no message id sent": ("request/form/client-ref", "x", "report/message"),
    "report without ids": ("report", {"format": "json", "status": "x"}, "report"),
    "format": ("report/format", "yaml", "report/format"),
    "answer": ("report/answer", {"status": 302}, "report/answer/status"),
    "time": ("report/at/form", "local", "report/at/form"),
    "items": ("report/items", "a b.", "report/items"),
    "inbound without id and time": (
        "inbound",
        {"format": "form", "from": "a", "to": "b", "text": "c"},
        "inbound",
    ),
    "inbound without text": ("inbound/text", MISSING, "inbound/text"),
    "limits": ("limits", {"minValiditySeconds": 10, "maxValiditySeconds": 9}, "limits/minValiditySeconds"),
    "no speed": ("limits/callsPerSecond", 0, "limits/callsPerSecond"),
    "long text": ("limits/maxTextLength", 5000, "limits/maxTextLength"),
    "sender": ("senders", ["fax"], "senders/0"),
    "docs": ("docs", "http://example.com", "docs"),
    "signature over nothing": (
        "callbacks/signature",
        {"header": "X-S", "over": [], "key": "{credentials.k}"},
        "callbacks/signature/over",
    ),
    "signature over what": (
        "callbacks/signature",
        {"header": "X-S", "over": ["body", "timestamp"], "key": "{credentials.k}"},
        "callbacks/signature/over/1",
    ),
    "signature over no header": (
        "callbacks/signature",
        {"header": "X-S", "over": ["header:"], "key": "{credentials.k}"},
        "callbacks/signature/over/0",
    ),
    "key in the open": (
        "callbacks/signature",
        {"header": "X-S", "over": ["body"], "key": "secret"},
        "callbacks/signature/key",
    ),
    "key of the message": (
        "callbacks/signature",
        {"header": "X-S", "over": ["body"], "key": "{credentials.k}{to}"},
        "callbacks/signature/key",
    ),
    "step": ("callbacks/setUp", ["{to}"], "callbacks/setUp/0"),
    "check of a message": (
        "check",
        {"method": "GET", "url": "https://a.example/{to}", "success": {"statuses": [200], "id": "id"}},
        "check",
    ),
    "check without proof": (
        "check",
        {"method": "GET", "url": "https://a.example", "success": {"statuses": [200]}},
        "check/success",
    ),
    "auth of the request and an own one": ("check", CHECK | {"auth": "request", "bearer": "x"}, "check/auth"),
    "no auth and an own one": (
        "check",
        CHECK | {"auth": "none", "headers": {"authorization": "x"}},
        "check/auth",
    ),
    "auth of a request that has none": ("check", CHECK | {"auth": "request"}, "check/auth"),
    "auth of another kind": ("check", CHECK | {"auth": "basic"}, "check/auth"),
    "auth of the request itself": ("request/auth", "none", "request/auth"),
    "one word with two meanings": ("report/states/DELIVERED", {"state": "failed"}, "report/states/DELIVERED"),
    "name of two lines": ("name", "Example\r\nSMS", "name"),
    "validity of a century": (
        "limits",
        {"minValiditySeconds": 3_153_600_000, "maxValiditySeconds": 3_153_600_000},
        "limits/minValiditySeconds",
    ),
    "speed of a glacier": ("limits/callsPerSecond", 1e-300, "limits/callsPerSecond"),
    "slash in a name": ("report/states", {"a/b~c": {"state": "x"}}, "report/states/a~1b~0c/state"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_fault_is_named_with_its_path(case):
    """A definition with one fault is refused for that alone, at the place where it is."""
    path, value, where = FAULTS[case]

    found = faults_of(changed(path, value))

    assert list(found) == [f"definition/{where}"]
    assert all(
        detail.endswith(".") or "Input should be" in detail or "should have" in detail for detail in found.values()
    )


def test_all_faults_are_named_at_once():
    """A definition with several faults is told all of them in one answer."""
    made = changed("request/form/x", "{bla}")
    made |= {"more": 1}
    made["success"]["statuses"] = [404]

    assert set(faults_of(made)) == {"definition/request/form/x", "definition/more", "definition/success/statuses/0"}


HEADERS = {
    "Host": "evil.example",
    "host": "evil.example",
    "Content-Length": "5",
    "Transfer-Encoding": "chunked",
    "Connection": "keep-alive",
    "Expect": "100-continue",
    "Accept-Encoding": "gzip",
    "X-A\r\nX-B": "c",
    "X A": "b",
    "": "b",
    "X-Text": "{text}",
    "X-Crlf": "a\r\nX-B: c",
    "X-Line": "a\nb",
    "X-Null": "a\0b",
    "X-Wide": "ü",
}


@pytest.mark.parametrize("header", HEADERS)
def test_headers_of_the_transport_and_breaks_are_refused(header):
    """A header that says how the request travels, or that would break its line, cannot be saved."""
    assert list(faults_of(changed("request/headers", {header: HEADERS[header]}))) == ["definition/request/headers"]


def test_a_header_that_is_there_twice_is_refused():
    """Names of headers differ by more than their case."""
    assert faults_of(changed("request/headers", {"X-A": "1", "x-a?": "{validitySeconds}"}))


URLS = (
    "api.example.com/sms",
    "//api.example.com/sms",
    "ftp://api.example.com/sms",
    "file:///etc/passwd",
    "https://",
    "https:///sms",
    "https://{to}/sms",
    "https://api.{text}.com/sms",
    "https://api.example.com{text}/sms",
    "https://api.example.com:{to}/sms",
    "https://{credentials.host}/sms",
    "https://user:password@api.example.com/sms",
    "https://user@api.example.com/sms",
    "https://api.example.com\\@evil.example/sms",
    "https://api.example.com\\evil.example/sms",
    "https://api.example.com#@evil.example/",
    "https://api.example.com/sms#fragment",
    "https://api.example.com/a\\b",
    "https://api.example.com/a b",
    "https://api.example.com/\r\nHost: evil.example",
    "https://api.example.com/ü",
    "https://exämple.com/sms",
    "https://api.example.com/v1/../admin",
    "https://api.example.com/./sms",
    "https://api%2eexample.com/sms",
    "https://[::1%25eth0]/sms",
    "HTTPS://api.example.com/sms",
    "",
    None,
    5,
)


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("call", ["request", "check"])
def test_an_address_is_written_out_or_refused(call, url):
    """The host stands in the definition itself, without anything that could be read as another one."""
    made = definition("gatewayapi")
    made[call]["url"] = url

    assert list(faults_of(made)) == [f"definition/{call}/url"]


def test_a_long_definition_is_refused():
    """A definition of more than 20,000 characters is refused as such, without being read."""
    assert list(faults_of(changed("docs", "https://" + "x" * 20_000))) == ["definition"]


HOSTILE = {
    "a megabyte": '{"name": "' + "x" * 1_000_000 + '"}',
    "a megabyte of brackets": "[" * 1_000_000,
    "brackets": "[" * 19_000,
    "members": json.dumps({str(number): 1 for number in range(1_900)}),
    "senders": json.dumps({"senders": ["x"] * 3_900}),
    "braces": json.dumps(changed("request/form/x", "{" * 18_000)),
    "open braces": json.dumps(changed("request/form/x", "{a" * 9_000)),
    "placeholders": json.dumps(changed("request/form/x", "{to}" * 4_500)),
    "dots": json.dumps(changed("success/id", "a." * 9_000)),
    "indices": json.dumps(changed("success/id", "[1]" * 6_000)),
    "labels": json.dumps(changed("request/url", "https://" + "a." * 9_000 + "/")),
    "segments": json.dumps(changed("request/url", "https://a.example" + "/." * 9_000)),
    "elements": json.dumps(changed("request", {"method": "POST", "url": "https://a.example", "xml": "<b/>" * 4_000})),
    "attributes": json.dumps(
        changed(
            "request",
            {
                "method": "POST",
                "url": "https://a.example",
                "xml": "<a>{to}{text}" + "<b c='{to}'/>" * 1_200 + "</a>",
            },
        )
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_no_definition_takes_long(case):
    """The longest definitions that somebody could think up are checked in a moment: nothing grows by the square."""
    # A second is thousands of times what they take by length alone, and less than the square of 20,000 steps.
    began = time.process_time()

    VENDOR.check_settings({"definition": HOSTILE[case]})

    assert time.process_time() - began < 1


@pytest.mark.parametrize("name", NAMES)
@unhurried
@given(data=st.data())
def test_any_change_is_valid_or_named(name, data):
    """Whatever JSON stands anywhere in a definition, it is valid or each fault has a path into the definition."""
    made = deepcopy(definition(name))
    node, path = made, []
    while isinstance(node, dict | list) and node and (not path or data.draw(st.booleans())):
        step = (
            data.draw(st.sampled_from(sorted(node)))
            if isinstance(node, dict)
            else data.draw(st.integers(0, len(node) - 1))
        )
        parent, node = node, node[step]
        path.append(step)
    parent[path[-1]] = data.draw(JSON)

    found = VENDOR.check_settings(settings(made, APIS[name].credentials))

    assert all(isinstance(fault, SettingError) and fault.detail for fault in found)
    assert all(fault.setting.split("/")[0] in {"definition", "credentials"} for fault in found)
    if not found:
        assert VENDOR.addresses(settings(made, APIS[name].credentials))


@unhurried
@given(text=JSON.map(lambda value: orjson.dumps(value).decode()) | st.text(max_size=40) | st.just("[" * 5000))
def test_any_text_as_a_definition_is_refused(text):
    """Whatever stands in the setting, the check names faults and does not fail, and no address follows from it."""
    found = VENDOR.check_settings({"definition": text})

    assert found or not text
    assert VENDOR.addresses({"definition": text}) == {}
    assert not VENDOR.reports_by_vendor_id({"definition": text})
    assert VENDOR.calls_per_second({"definition": text}) is None
    assert VENDOR.text_objection("x", {"definition": text})


@pytest.mark.parametrize(
    ("credentials", "where"),
    [
        ('{"apiKey": "canary"}', ["credentials/apiSecret"]),
        ('{"apiKey": "canary", "apiSecret": ""}', ["credentials/apiSecret"]),
        ('{"apiKey": "canary", "apiSecret": {"canary": 1}}', ["credentials/apiSecret"]),
        ('{"apiKey": "canary", "apiSecret": "b", "canary canary": "c"}', ["credentials"]),
        ('["canary"]', ["credentials"]),
        ("canary", ["credentials"]),
        ("{}", ["credentials/apiKey", "credentials/apiSecret"]),
    ],
)
@pytest.mark.parametrize("setting", ["credentials", "credentialsSecondary"])
def test_credentials_fit_the_definition(setting, credentials, where):
    """Each credential that the definition names is there as a text; what is wrong is said without quoting any."""
    found = VENDOR.check_settings({"definition": orjson.dumps(definition("vonage")).decode(), setting: credentials})

    assert [fault.setting for fault in found] == [path.replace("credentials", setting, 1) for path in where]
    assert not any("canary" in fault.detail for fault in found)
