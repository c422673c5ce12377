"""The request of a definition: each value comes out at the API as it went in, and nothing else does."""

from __future__ import annotations

import base64
from urllib.parse import parse_qsl, unquote, urlsplit

import orjson
import pytest
from defusedxml.ElementTree import fromstring
from hypothesis import example, given
from hypothesis import strategies as st
from yarl import URL

from functions.vendors.contract import Category, Outgoing, Reason, Refused, Sender, SenderType
from functions.vendors.custom.adapter import Custom
from functions.vendors.custom.definition import Definition
from functions.vendors.custom.request import NOT_IN_XML, build, message_values
from functions.vendors.custom.template import PLACEHOLDERS, Template, UnfitError
from tests.vendors.custom.samples import MESSAGE, NOW, REPORT_URL, TEXT, account, call, settings, unhurried

TEXTS = st.text(st.characters(codec="utf-8"), max_size=60)
XML_TEXTS = TEXTS.filter(lambda text: not NOT_IN_XML.search(text))
PLAIN = {"name": "Example", "success": {"statuses": [200], "id": "id"}}


def described(**request):
    """Return a definition with this request."""
    wanted = {"method": "POST", "url": "https://api.example.com/sms"} | request
    return PLAIN | {"request": wanted}


def built(text=TEXT, *, credentials=None, sent=None, **request):
    """Return the request of one message."""
    definition = Definition.model_validate_json(orjson.dumps(described(**request)))
    made = sent or call()
    message = Outgoing(MESSAGE, made.messages[0].to, text)
    return build(definition.request, message_values(definition, made, message, credentials or {}, NOW))


@unhurried
@given(text=TEXTS, secret=TEXTS)
@example(text=TEXT, secret="&=+%{to}")
def test_a_form_gives_back_what_went_in(text, secret):
    """Any text and any credential is one field of the form and nothing more, its name too."""
    request = built(
        text, credentials={"key": secret}, form={"a b&c=": "&x=+%41<{text}>", "key": "{credentials.key}", "to": "{to}"}
    )

    fields = parse_qsl(request.body, keep_blank_values=True, strict_parsing=True)
    assert fields == [("a b&c=", f"&x=+%41<{text}>"), ("key", secret), ("to", "+14255550123")]


@unhurried
@given(text=TEXTS)
@example(text=TEXT)
@example(text="#?&/%2F..")
def test_an_address_gives_back_what_went_in(text):
    """Any text in the query or the path is one parameter or one segment; the host stays, whatever the text."""
    if text in {".", ".."}:
        return
    request = built(
        text, method="GET", url="https://api.example.com:8443/v1/{text}/send?one={text}", query={"two": "{text}"}
    )

    parts = urlsplit(request.url)
    assert (parts.scheme, parts.netloc) == ("https", "api.example.com:8443")
    assert [unquote(segment) for segment in parts.path.split("/")] == ["", "v1", text, "send"]
    assert parse_qsl(parts.query, keep_blank_values=True) == [("one", text), ("two", text)]
    assert URL(request.url, encoded=True).host == "api.example.com"


@unhurried
@given(text=TEXTS)
@example(text=TEXT)
@example(text='"},"to":"+1900')
def test_json_gives_back_what_went_in(text):
    """Any text is one string of the JSON, wherever it stands."""
    request = built(text, json={"a": [{"b": "<{text}>"}], "c": "{text}", "d": [1, True, None, 1.5], "to": "{to}"})

    expected = {"a": [{"b": f"<{text}>"}], "c": text, "d": [1, True, None, 1.5], "to": "+14255550123"}
    assert orjson.loads(request.body) == expected


@unhurried
@given(text=XML_TEXTS)
@example(text=TEXT)
@example(text="]]></t><to>+1900</to>&lt;\r\n\t")
def test_xml_gives_back_what_went_in(text):
    """Any text that XML can carry is the text of one element or the value of one attribute."""
    request = built(text, xml='<m to="{to}" note="{text}"><t>{text}</t><c><![CDATA[{text} ]]></c> {text}</m>')

    root = fromstring(request.body.encode())
    assert (root.get("to"), root.get("note")) == ("+14255550123", text)
    assert [child.tag for child in root] == ["t", "c"]
    assert (root[0].text or "") == text
    assert root[1].text == f"{text} "
    assert root[1].tail == f" {text}"


@unhurried
@given(before=TEXTS, bad=st.sampled_from("\0\x0b\x1f\ufffe\uffff"), behind=TEXTS)
def test_what_xml_cannot_carry_is_refused_before_it_is_sent(before, bad, behind):
    """A text with a character that XML cannot carry is refused when it is accepted, and again when it is sent."""
    text, wanted = before + bad + behind, described(xml="<m><to>{to}</to><t>{text}</t></m>")

    assert "XML" in Custom().text_objection(text, settings(wanted, {}))
    with pytest.raises(UnfitError, match="XML"):
        built(text, xml="<m><to>{to}</to><t>{text}</t></m>")


@pytest.mark.parametrize("text", [".", ".."])
def test_a_value_leads_to_no_other_path(text):
    """A value that would climb out of its place in the path makes no request."""
    with pytest.raises(UnfitError, match="another path"):
        built(text, method="GET", url="https://api.example.com/send/{text}/to/{to}")


@unhurried
@given(st.text("{}ab", max_size=12))
def test_braces_are_literal_or_refused(text):
    """A text of braces is a template only if each brace is doubled, and then gives single ones."""
    doubled = text.replace("{", "{{").replace("}", "}}")

    assert Template.parse(doubled).fill({}) == text
    if "{" in text or "}" in text:
        try:
            Template.parse(text).fill({})
        except ValueError:
            return
        assert "{{" in text or "}}" in text


@pytest.mark.parametrize("name", PLACEHOLDERS)
def test_every_placeholder_has_a_value(name):
    """Each placeholder that the page lists is filled for a message with a validity period."""
    assert built(form={"x": f"{{{name}}}", "t": "{text}{to}"}).body.partition("&")[0] != "x="


@pytest.mark.parametrize(
    ("numbers", "to", "sender"),
    [
        ("e164", "+14255550123", "+14255550100"),
        ("digits", "14255550123", "14255550100"),
        ("00", "0014255550123", "0014255550100"),
    ],
)
def test_numbers_are_written_as_the_vendor_wants(numbers, to, sender):
    """Recipient and sender are written alike; short codes and names stay as they are."""
    form = {"to": "{to}", "from": "{sender}", "text": "{text}"}

    assert dict(parse_qsl(built("x", form=form, numbers=numbers).body)) == {"to": to, "from": sender, "text": "x"}
    for kind, address in ((SenderType.SHORT_CODE, "12345"), (SenderType.ALPHANUMERIC, "Contoso")):
        body = built("x", form=form, numbers=numbers, sent=call(Sender(kind, address))).body
        assert dict(parse_qsl(body))["from"] == address


def test_json_has_numbers_where_a_placeholder_is_one():
    """A string that is one placeholder for a number becomes a number; within other words it stays text."""
    body = built(json={"n": "{toInteger}", "s": "{validitySeconds}", "t": "{validitySeconds} s", "x": "{text}"}).body

    assert orjson.loads(body) == {"n": 14255550123, "s": 600, "t": "600 s", "x": TEXT}


@pytest.mark.parametrize(
    ("validity", "limits", "expected"),
    [
        (600, {}, ["600", "10", "600000", "2026-11-22T12:43:10Z"]),
        (59, {}, ["59", "1", "59000", "2026-11-22T12:34:09Z"]),
        (5, {"minValiditySeconds": 60}, ["60", "1", "60000", "2026-11-22T12:34:10Z"]),
        (259_200, {"maxValiditySeconds": 7200}, ["7200", "120", "7200000", "2026-11-22T14:33:10Z"]),
    ],
)
def test_a_validity_period_is_brought_into_the_vendors_limits(validity, limits, expected):
    """The period is written in each unit, within the definition's limits."""
    form = {"s": "{validitySeconds}", "m": "{validityMinutes}", "ms": "{validityMilliseconds}", "e": "{expiresAt}"}
    wanted = described(form=form | {"x": "{text}{to}"}) | {"limits": limits}
    definition = Definition.model_validate_json(orjson.dumps(wanted))
    sent = call(validity=validity)

    body = build(definition.request, message_values(definition, sent, sent.messages[0], {}, NOW)).body

    assert [value for name, value in parse_qsl(body) if name != "x"] == expected


def test_optional_members_are_left_out_when_they_are_empty():
    """A member whose name ends in ? is there with a value and gone without, at any depth; others stay, empty."""
    members = {"ttl?": "{validitySeconds}", "kept": "{validitySeconds}", "text": "{text}"}
    without = call(validity=None)

    assert dict(parse_qsl(built("x", form=members).body)) == {"ttl": "600", "kept": "600", "text": "x"}
    assert parse_qsl(built("x", form=members, sent=without).body, keep_blank_values=True) == [
        ("kept", ""),
        ("text", "x"),
    ]
    nested = {"a": [{"options?": {"ttl": ["{validitySeconds}"]}, "b": "{text}"}]}
    assert orjson.loads(built("x", json=nested).body) == {"a": [{"options": {"ttl": [600]}, "b": "x"}]}
    assert orjson.loads(built("x", json=nested, sent=without).body) == {"a": [{"b": "x"}]}
    headers = built("x", headers={"X-Ttl?": "{validitySeconds}"}, form={}, sent=without).headers
    assert headers == {"Content-Type": "application/x-www-form-urlencoded"}


def test_the_vendors_own_words_stand_for_ours():
    """Category and type of sender are written in the vendor's words where it has some."""
    words = {"category": {"marketing": "PROMO"}, "senderType": {"short_code": "SC"}}
    form = {"c": "{category}", "s": "{senderType}"}

    marketing = built(form=form, words=words, sent=call(Sender(SenderType.SHORT_CODE, "12345"))).body
    transactional = built(form=form, words=words, sent=call(category=Category.TRANSACTIONAL)).body

    assert marketing == "c=PROMO&s=SC"
    assert transactional == "c=transactional&s=long_code"


def test_the_address_for_reports_may_carry_our_id():
    """The address for reports with our id in its query arrives as one value, in a form as in JSON."""
    wanted = f"{REPORT_URL}?message={MESSAGE}"
    template = "{reportUrl}?message={messageId}"

    assert dict(parse_qsl(built(form={"dlr": template}).body)) == {"dlr": wanted}
    assert orjson.loads(built(json={"dlr": template}).body) == {"dlr": wanted}
    assert parse_qsl(urlsplit(built(query={"dlr": template}).url).query) == [("dlr", wanted)]


def test_headers_and_credentials_are_sent_as_written():
    """Basic, bearer and other headers carry the credentials; an own content type goes before ours."""
    basic = built(credentials={"u": "ü:", "p": "p ✓"}, basic={"user": "{credentials.u}", "password": "{credentials.p}"})
    bearer = built(credentials={"t": "token"}, bearer="{credentials.t}", headers={"content-type": "text/json"}, json={})

    assert base64.b64decode(basic.headers["Authorization"].removeprefix("Basic ")).decode() == "ü::p ✓"
    assert bearer.headers == {"Authorization": "Bearer token", "content-type": "text/json"}


async def test_a_sender_that_the_definition_does_not_name_is_refused(http):
    """A message from a type of sender that the vendor does not take makes no request."""
    wanted = described(form={"x": "{text}{to}"}) | {"senders": ["alphanumeric"]}

    [outcome] = (await Custom().send(account(wanted, {}), call(), http)).values()

    assert outcome == Refused(Reason.INVALID_SENDER, detail="The definition names no long_code senders.")


async def test_without_its_credentials_no_request_is_made(http):
    """A credential that the definition names and the provider lacks is said, and nothing is sent."""
    wanted = described(form={"x": "{text}{to}", "key": "{credentials.key}"})

    [outcome] = (await Custom().send(account(wanted, {"other": "x"}), call(), http)).values()

    assert (outcome.reason, outcome.retry.value) == (Reason.CONFIGURATION, "never")
    assert "{credentials.key}" in outcome.detail
