"""What vendors post is read however they write it: other charsets, halves of emoji, long ids, lists in lists."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import orjson
import pytest

from functions.vendors.contract import Accepted, MalformedError, State
from functions.vendors.custom.adapter import Custom
from tests.vendors.custom.samples import MESSAGE, account, call, moved, posted, settings
from tests.vendors.kit import Reply
from tests.vendors.servers import recorder

VENDOR = Custom()
MINIMAL = {
    "name": "Example",
    "request": {
        "method": "POST",
        "url": "https://api.example.com/sms",
        "form": {"to": "{to}", "text": "{text}", "ref": "{messageId}"},
    },
    "success": {"statuses": [200], "id": "id"},
}
STATES = {"ok": {"state": "delivered"}}
REPORT = {"format": "json", "id": "id", "message": "ref", "status": "state", "states": STATES}
INBOUND = {"format": "json", "id": "id", "from": "from", "to": "to", "text": "text"}
DLR = REPORT | {"when": [{"path": "type", "in": ["dlr"]}]}
MO = INBOUND | {"when": [{"path": "type", "in": ["mo"]}]}
TEXT = {"id": "7", "from": "14255550123", "to": "12345", "text": "Stop"}


def read(callback, **members):
    """Return what a callback says to a definition with these members."""
    return VENDOR.parse(replace(callback, settings=settings(MINIMAL | members, {})))


def typed(body, content_type):
    """Return a text from a person with a Content-Type."""
    return replace(posted("inbound", body), headers={"content-type": content_type})


# Charsets

JSON_BODY = '{"id": "7", "from": "14255550123", "to": "12345", "text": "Grüße €"}'
FORM_BODY = "id=7&from=14255550123&to=12345&text=Grüße €"
XML_BODY = "<t><id>7</id><from>14255550123</from><to>12345</to><text>Grüße €</text></t>"
CHARSETS = [
    ("json", JSON_BODY.encode(), "application/json"),
    ("json", b"\xef\xbb\xbf" + JSON_BODY.encode(), "application/json"),
    ("json", JSON_BODY.encode(), "application/json; charset=ISO-8859-1"),
    ("json", JSON_BODY.encode("cp1252"), 'application/json; charset="windows-1252"'),
    ("json", JSON_BODY.encode("iso8859-15"), "application/json;Charset=iso-8859-15"),
    ("form", FORM_BODY.encode("cp1252"), "application/x-www-form-urlencoded; charset=cp1252"),
    ("form", b"id=7&from=14255550123&to=12345&text=Gr%FC%DFe+%A4", "text/plain; charset=latin9"),
    ("form", b"id=7&from=14255550123&to=12345&text=Gr%C3%BC%C3%9Fe+%E2%82%AC", "text/plain; charset=latin1"),
    ("xml", XML_BODY.encode("cp1252"), "application/xml; charset=windows-1252"),
    ("xml", b"<?xml version='1.0' encoding='iso-8859-15'?>" + XML_BODY.encode("iso8859-15"), "text/xml"),
    ("xml", XML_BODY.encode("utf-16"), "application/xml"),
]


@pytest.mark.parametrize(("form", "body", "content_type"), CHARSETS)
def test_a_text_comes_in_any_common_charset(form, body, content_type):
    """UTF-8 is read as such whatever was declared, anything else as its Content-Type or its XML says."""
    [text] = read(typed(body, content_type), inbound=INBOUND | {"format": form}).inbound

    assert text.text == "Grüße €"


@pytest.mark.parametrize(
    "charset", ["", "nonsense", "utf-7", "unicode_escape", "idna", "punycode", "rot13", "zip", "hex"]
)
def test_bytes_of_no_known_charset_cost_signs_and_not_the_message(charset):
    """Where nobody can tell the charset, or it is no charset of texts, odd bytes become a sign and the rest is read."""
    body = b'{"id": "7", "from": "14255550123", "to": "12345", "text": "STOP \xfc +AGE-"}'

    [text] = read(typed(body, f"application/json; charset={charset}"), inbound=INBOUND).inbound

    assert text.text == "STOP \ufffd +AGE-"


async def test_an_answer_in_another_charset_takes_the_message(http):
    """A stray byte beside the id is no reason to lose it; an error's words are read in the charset they came in."""
    outcomes = []
    for status in (200, 400):
        body = '{"id": "1", "text": "Größe"}'.encode("latin-1")
        kind = {"Content-Type": "application/json; charset=iso-8859-1"}
        async with recorder(Reply(status, body, kind)) as server:
            made = moved(orjson.loads(orjson.dumps(MINIMAL | {"errors": {"message": "text"}})), server.url)
            outcomes += (await VENDOR.send(account(made, {}), call(), http)).values()

    assert outcomes[0] == Accepted("1")
    assert outcomes[1].detail == "Größe"


def test_half_an_emoji_does_not_cost_the_text():
    """A vendor that cuts a text within an emoji still delivers it; whole ones stay whole, and all of it can be kept."""
    body = rb'{"id": "7", "from": "1", "to": "12345", "text": "STOP \ud83d\ude00 \\ud83d \ud83d", "\udc00": 1}'

    [text] = read(posted("inbound", body), inbound=INBOUND).inbound

    assert text.text == "STOP \U0001f600 \\ud83d \ufffd"
    assert orjson.dumps(text.raw)


# Numbers and depths


@pytest.mark.parametrize(
    "written",
    [
        "1",
        "-9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "12345678901234567890123",
        "9" * 5000,
    ],
)
async def test_an_id_is_a_number_of_any_length(http, written):
    """A number stays as it was written, in an answer as in a report, so that the two find each other."""
    async with recorder(Reply(200, b'{"id": %s}' % written.encode())) as server:
        provider = account(moved(orjson.loads(orjson.dumps(MINIMAL)), server.url), {})
        [outcome] = (await VENDOR.send(provider, call(), http)).values()
    [report] = read(posted("report", b'{"id": %s, "state": "ok"}' % written.encode()), report=REPORT).reports

    assert outcome == Accepted(report.vendor_id)
    assert report.vendor_id == written or (len(written) > 256 and len(report.vendor_id) == 32)
    assert orjson.dumps(report.raw)


def test_what_is_kept_of_a_report_has_an_end():
    """Paths that lead to a whole body fill no row: ids, words and codes are kept up to a length, and still decide."""
    code = "x" * 100_000
    shape = REPORT | {"code": "code", "codes": {code[:200]: {"state": "expired"}}, "recipient": "code"}

    body = {"id": code, "ref": code, "state": code, "code": code}
    [report] = read(posted("report", body), report=shape).reports

    assert report.state is State.UNKNOWN
    kept = (report.vendor_id, report.message, report.status, report.code, report.recipient)
    assert max(map(len, kept)) <= 256


@pytest.mark.parametrize("levels", [90, 110, 500, 200_000])
@pytest.mark.parametrize("form", ["json", "xml"])
def test_a_deep_body_is_read_or_refused(form, levels):
    """A body is read and can be kept, JSON without its depths, or is malformed; no depth fails in another way."""
    bodies = {
        "json": b'{"id": "1", "ref": "m", "state": "ok", "x": %s%s}' % (b"[" * levels, b"]" * levels),
        "xml": b"<r><i><id>1</id><ref>m</ref><state>ok</state>%s%s</i></r>" % (b"<x>" * levels, b"</x>" * levels),
    }
    shape = REPORT | {"format": form, "items": "i" if form == "xml" else ""}
    callback = posted("report", bodies[form])

    if levels > {"json": 500, "xml": 100}[form]:
        with pytest.raises(MalformedError):
            read(callback, report=shape)
    else:
        [report] = read(callback, report=shape).reports
        assert orjson.dumps({"kept": {"with": report.raw}})


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_moment_beyond_the_calendar_is_none(at):
    """A time that is not in UTC's calendar does not cost the report, now or when it is read again."""
    [report] = read(
        posted("report", {"id": 1, "state": "ok", "at": at}), report=REPORT | {"at": {"path": "at"}}
    ).reports

    assert report.at is None


# Lists


def test_a_path_to_items_leads_through_every_list():
    """Reports in lists within lists are all read, in JSON as in XML, and so are those of nested lists."""
    items = [{"ref": str(number), "state": "ok"} for number in range(5)]
    body = {
        "results": [{"list": items[:1]}, {}, {"list": items[1:3]}, {"list": [[items[3], items[4]]]}, {"list": None}, 5]
    }
    xml = b"<r>%s</r>" % b"".join(b"<a><b><ref>%d</ref><state>ok</state></b></a>" % number for number in range(4))

    by_json = read(posted("report", body), report=REPORT | {"items": "results.list"}).reports
    by_xml = read(posted("report", xml), report=REPORT | {"format": "xml", "items": "a.b"}).reports
    by_index = read(posted("report", body), report=REPORT | {"items": "results[2].list"}).reports

    assert [report.message for report in by_json] == ["0", "1", "2", "3", "4"]
    assert [report.message for report in by_xml] == ["0", "1", "2", "3"]
    assert [report.message for report in by_index] == ["1", "2"]


def test_both_kinds_in_one_list_are_both_read():
    """A reply between two reports is not lost, whichever address they came to, and nothing counts twice."""
    body = [
        {"type": "dlr", "ref": "1", "state": "ok"},
        TEXT | {"type": "mo"},
        {"type": "ping"},
        {"type": "dlr", "ref": "2", "state": "ok"},
    ]
    for kind in ("report", "inbound"):
        parsed = read(posted(kind, body), report=DLR, inbound=MO)

        assert [report.message for report in parsed.reports] == ["1", "2"]
        assert [text.text for text in parsed.inbound] == ["Stop"]
        assert parsed.set_aside == ()
    overlapping = MO | {"when": [{"path": "type", "in": ["mo", "dlr"]}]}
    parsed = read(posted("report", body), report=DLR, inbound=overlapping)
    assert (len(parsed.reports), len(parsed.inbound), len(parsed.set_aside)) == (2, 1, 0)


def test_what_one_format_read_is_not_read_by_another():
    """A form can be made of any body, so a second format is tried only where the first found nothing."""
    other = MO | {"format": "form", "when": [{"path": "body:", "until": ",", "in": ['{"type": "dlr"']}]}
    body = b'{"type": "dlr", "ref": "1", "state": "ok"}'

    parsed = read(posted("report", body), report=DLR, inbound=other)

    assert (len(parsed.reports), parsed.inbound, parsed.set_aside) == (1, (), ())


@pytest.mark.parametrize("item", [None, 5, "x", True, 1.5])
def test_an_item_that_is_no_object_is_set_aside(item):
    """Nothing around an item is taken for the item: what is no object names no message."""
    body = {"id": 9, "ref": MESSAGE, "state": "ok", "list": [{"ref": "1", "state": "ok"}, item]}

    parsed = read(posted("report", body), report=REPORT | {"items": "list"})

    assert [report.message for report in parsed.reports] == ["1"]
    assert [orjson.loads(orjson.loads(aside.raw)["body"]) for aside in parsed.set_aside] == [item]


@pytest.mark.parametrize(
    ("form", "body"),
    [("json", b"[" + b"1," * 20_000 + b"1]"), ("xml", b"<r>" + b"<a/>" * 20_000 + b"</r>")],
)
def test_each_item_is_kept_by_itself(form, body):
    """A body of many items is not kept anew for each of them, which would take its square of memory."""
    shape = REPORT | {"format": form, "items": "a" if form == "xml" else ""}
    tracemalloc.start()

    parsed = read(posted("report", body), report=shape)

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(parsed.set_aside) >= 20_000
    assert sum(len(aside.raw) for aside in parsed.set_aside) < 20 * len(body)
    assert peak < 500 * len(body)


def test_a_field_that_is_there_twice_is_a_list():
    """Of a repeated field the first counts, as of any list; the others are kept and have an index."""
    body = b"id=7&id=8&id=9&from=14255550123&to=12345&text=a&text=b"
    shape = INBOUND | {"format": "form"}

    [first] = read(posted("inbound", body), inbound=shape).inbound
    [third] = read(posted("inbound", body), inbound=shape | {"id": "id[2]", "text": "text[1]"}).inbound

    assert (first.vendor_id, first.text) == ("7", "a")
    assert (third.vendor_id, third.text) == ("9", "b")
    assert first.raw == {"id": ["7", "8", "9"], "from": "14255550123", "to": "12345", "text": ["a", "b"]}


# Values in the query


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_stands_in_the_query_comes_by_either_method(method):
    """A callback with everything in its query is read alike by GET and by POST without a body."""
    query = {"id": "7", "ref": MESSAGE, "state": "ok"}

    [report] = read(posted("report", query=query, method=method), report=REPORT | {"format": "query"}).reports

    assert (report.message, report.state) == (MESSAGE, State.DELIVERED)


@pytest.mark.parametrize("form", ["json", "form", "xml"])
def test_without_the_body_that_is_described_a_callback_is_malformed(form):
    """Where the values stand in the body, a POST without one is refused although its query says something."""
    shape = REPORT | {"format": form, "message": "query:ref"}

    with pytest.raises(MalformedError, match="body is empty"):
        read(posted("report", query={"ref": MESSAGE}), report=shape)


def test_without_a_body_the_other_kind_may_stand_in_the_query():
    """One address for both kinds works where only one of them is in the query."""
    query = TEXT | {"type": "mo"}

    parsed = read(posted("report", query=query), report=DLR, inbound=MO | {"format": "query"})

    assert [text.text for text in parsed.inbound] == ["Stop"]
