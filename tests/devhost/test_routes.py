"""Route templates: https://learn.microsoft.com/aspnet/core/fundamentals/routing#route-templates."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devhost.routes import Template, TemplateError

GUID = "CD2C1638-1638-72D5-1638-DEADBEEF1638"

MATCHES = [
    ("", "/", {}),
    ("hello", "/hello", {}),
    ("hello", "/HELLO/", {}),
    ("hello", "/hello//", None),
    ("hello", "/hello/x", None),
    ("api/{id}", "/api/7", {"id": "7"}),
    ("api/{id}", "/api", None),
    ("api/{id}", "/api/", None),
    ("api/{id}", "/api//", None),
    ("api/{id}/log", "/api//log", None),
    ("api/{id}/log", "/api/7/LOG", {"id": "7"}),
    ("api/{id}", "/api/a%20b%2Fc", {"id": "a b%2Fc"}),
    ("api/{id}", "/api/%C3%A9", {"id": "é"}),
    ("a/{b?}", "/a", {}),
    ("a/{b?}", "/a/1", {"b": "1"}),
    ("a/{b?}/{c?}", "/a/1", {"b": "1"}),
    ("a/{b=x}", "/a", {"b": "x"}),
    ("a/{b=x}", "/a/y", {"b": "y"}),
    ("a/{b:int=5}", "/a", {"b": "5"}),
    ("a/{b=x}/c", "/a/y/c", {"b": "y"}),
    ("a/{b=x}/c", "/a/c", None),
    ("{*rest}", "/", {}),
    ("{*rest}", "/x/y", {"rest": "x/y"}),
    ("a/{**rest}", "/a/x/y", {"rest": "x/y"}),
    ("a/{*rest:int}", "/a/x", None),
    ("{name}.{ext?}", "/report.txt", {"name": "report", "ext": "txt"}),
    ("{name}.{ext?}", "/report", {"name": "report"}),
    ("{name}.{ext?}", "/a.b.txt", {"name": "a.b", "ext": "txt"}),
    ("{a}-{b}", "/x-y-z", {"a": "x-y", "b": "z"}),
    ("v{n:int}", "/V12", {"n": "12"}),
    ("v{n:int}", "/vx", None),
    ("{id:guid}", f"/{GUID}", {"id": GUID}),
    ("{id:guid}", f"/{GUID.replace('-', '')}", {"id": GUID.replace("-", "")}),
    ("{id:guid}", "/{" + GUID + "}", {"id": "{" + GUID + "}"}),
    ("{id:guid}", "/stats", None),
    ("{n:int}", "/-12", {"n": "-12"}),
    ("{n:int}", "/2147483648", None),
    ("{n:long}", "/2147483648", {"n": "2147483648"}),
    ("{n:long}", "/9223372036854775808", None),
    ("{b:bool}", "/True", {"b": "True"}),
    ("{b:bool}", "/1", None),
    ("{w:alpha}", "/Abc", {"w": "Abc"}),
    ("{w:alpha}", "/a1", None),
    ("{d:datetime}", "/2026-11-22", {"d": "2026-11-22"}),
    ("{d:datetime}", "/2026-11-22T10:00:00", {"d": "2026-11-22T10:00:00"}),
    ("{d:datetime}", "/2026-13-22", None),
    ("{n:decimal}", "/1,000.5", {"n": "1,000.5"}),
    ("{n:decimal}", "/1e5", None),
    ("{n:double}", "/1e5", {"n": "1e5"}),
    ("{n:double}", "/x", None),
    ("{s:length(3)}", "/abc", {"s": "abc"}),
    ("{s:length(3)}", "/abcd", None),
    ("{s:length(2,3)}", "/ab", {"s": "ab"}),
    ("{s:length(2,3)}", "/a", None),
    ("{s:minlength(2)}", "/a", None),
    ("{s:maxlength(2)}", "/abc", None),
    ("{n:min(3)}", "/3", {"n": "3"}),
    ("{n:min(3)}", "/2", None),
    ("{n:max(3)}", "/4", None),
    ("{n:max(3)}", "/x", None),
    ("{n:range(1,5)}", "/5", {"n": "5"}),
    ("{n:range(1,5)}", "/6", None),
    ("{n:int:min(3)}", "/4", {"n": "4"}),
    (r"{p:regex(^\d{{3}}$)}", "/123", {"p": "123"}),
    (r"{p:regex(^\d{{3}}$)}", "/1234", None),
    (r"{p:regex(^(a|b)$)}", "/B", {"p": "B"}),
    ("{s:required}", "/x", {"s": "x"}),
    ("{f:file}", "/a.txt", {"f": "a.txt"}),
    ("{f:nonfile}", "/a.txt", None),
    ("{f:nonfile}", "/a", {"f": "a"}),
    ("a{{b", "/a{b", {}),
]


@pytest.mark.parametrize(("template", "path", "expected"), MATCHES)
def test_match(template, path, expected):
    """A template takes exactly the addresses, and gives exactly the values, that ASP.NET Core's does."""
    assert Template.parse(template).match(path) == expected


@pytest.mark.parametrize(
    ("template", "word"),
    [
        ("a/{b", "brace"),
        ("a/b}", "brace"),
        ("a//b", "slashes"),
        ("{}", "brace"),
        ("{a}{b}", "between"),
        ("{*a}/b", "last"),
        ("x{*a}", "last"),
        ("{a}/{A}", "one name"),
        ("{a:integer}", "integer"),
        ("{a:int(3)}", "int(3)"),
        ("{a:length}", "length"),
        ("{a:length(1,2,3)}", "length(1,2,3)"),
        ("{a:range(x,y)}", "range(x,y)"),
        ("{a:regex([)}", "regex"),
        ("{a=b?}", "twice"),
        ("{*a?}", "twice"),
        ("{a}x{b?}", "dot"),
        ("{:int}", "name"),
        ("{a:int)}", "cannot be read"),
    ],
)
def test_refuse(template, word):
    """A template that ASP.NET Core refuses is refused with a text that names what is wrong."""
    with pytest.raises(TemplateError) as caught:
        Template.parse(template)
    assert word in str(caught.value)
    assert repr(template) in str(caught.value)


segments = st.text(string.ascii_letters + string.digits + "-_~.", min_size=1, max_size=8)


@given(st.lists(segments, min_size=1, max_size=5))
def test_literals_match_themselves_only(parts):
    """A route without parameters takes its own address in any case, and none that is longer or shorter."""
    template = Template.parse("/".join(parts))

    assert template.match("/" + "/".join(parts).upper()) == {}
    assert template.match("/" + "/".join([*parts, "x"])) is None
    assert template.match("/" + "/".join(parts[:-1])) is None


@given(st.lists(segments, min_size=1, max_size=5), st.lists(segments, min_size=1, max_size=5))
def test_parameters_return_what_was_put_in(names, values):
    """Each parameter has the value of its place in the address."""
    count = min(len(names), len(values))
    template = Template.parse("/".join(f"{{p{index}}}" for index in range(count)))

    found = template.match("/" + "/".join(values[:count]))

    assert found == {f"p{index}": value for index, value in enumerate(values[:count])}


@given(st.text(max_size=30), st.text(string.printable, max_size=30))
def test_any_text_is_parsed_or_refused(template, path):
    """No text makes the parser or the matcher fail in another way than by refusing."""
    try:
        parsed = Template.parse(template)
    except TemplateError:
        return
    parsed.match("/" + path)
