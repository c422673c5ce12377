"""What the sandbox does once for all its vendors: accounts and numbers over the control API, Basic, addresses."""

from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.basic import basic, decoded, is_one_of
from sandbox.ids import IdSource
from sandbox.kit import Customer, kits
from sandbox.urls import web_address, with_wrong_token, without_user

# At ACS a resource lists its numbers itself.
NUMBERS = {
    "custom": "+46701740606",
    "infobip": "4712345678",
    "linkmobility": "+4712345678",
    "telesign": "+14255550123",
    "twilio": "+14255550123",
    "vibes": "+14255550123",
}


async def accounts_of(control, vendor):
    """Make two accounts at a vendor; gives where accounts are, and both accounts' own paths."""
    paths = []
    for name in ("one", "two"):

        def secret(wanted, name=name):
            return blake2b(f"{name} {wanted}".encode(), digest_size=16).hexdigest()

        account = kits()[vendor].account(Customer(name, secret, kits()[vendor].sender))[0]
        shown = await control.ask("POST", account.path, dict(account.body), status=201)
        paths.append(f"{account.path}/{next(iter(shown.values()))}")
    return account.path, *paths


def test_every_vendor_but_acs_has_numbers_here():
    """A new vendor joins these tests or fails this one."""
    assert set(NUMBERS) == set(kits()) - {"acs"}


@pytest.mark.parametrize("vendor", NUMBERS)
async def test_a_number_belongs_to_one_account(control, vendor):
    """What one account has, another can neither take nor delete; its owner may put it again."""
    _, one, two = await accounts_of(control, vendor)
    number = {"number": NUMBERS[vendor]}
    await control.ask("POST", f"{one}/numbers", number, status=201)

    refused = await control.ask("POST", f"{two}/numbers", number, status=400)

    assert refused == {"error": f"{NUMBERS[vendor]} belongs to another account"}
    await control.ask("DELETE", f"{two}/numbers/{NUMBERS[vendor]}", status=404)
    await control.ask("POST", f"{one}/numbers", number, status=201)
    assert NUMBERS[vendor] in [entry["number"] for entry in await control.ask("GET", f"{one}/numbers")]
    assert NUMBERS[vendor] not in [entry["number"] for entry in await control.ask("GET", f"{two}/numbers")]


@pytest.mark.parametrize("vendor", NUMBERS)
@pytest.mark.parametrize("body", [[], "text", 7, None])
async def test_what_is_no_object_is_a_mistake_of_the_caller(control, vendor, body):
    """A body that cannot be laid over what is there is answered 400, not 500."""
    _, one, _ = await accounts_of(control, vendor)
    answer = await control.ask("POST", f"{one}/numbers", body, status=400)
    assert "error" in answer


@pytest.mark.parametrize("vendor", NUMBERS)
async def test_a_deleted_number_is_free(control, vendor):
    """Once its owner has deleted a number, another account can have it."""
    _, one, two = await accounts_of(control, vendor)
    await control.ask("POST", f"{one}/numbers", {"number": NUMBERS[vendor]}, status=201)
    await control.ask("DELETE", f"{one}/numbers/{NUMBERS[vendor]}", status=204)
    await control.ask("DELETE", f"{one}/numbers/{NUMBERS[vendor]}", status=404)
    await control.ask("POST", f"{two}/numbers", {"number": NUMBERS[vendor]}, status=201)


@pytest.mark.parametrize("vendor", NUMBERS)
async def test_an_account_goes_with_its_numbers(control, vendor):
    """A deleted account is gone, its numbers are free, and the other account is as it was."""
    accounts, one, two = await accounts_of(control, vendor)
    await control.ask("POST", f"{one}/numbers", {"number": NUMBERS[vendor]}, status=201)
    before = await control.ask("GET", accounts)

    await control.ask("DELETE", one, status=204)

    assert await control.ask("GET", accounts) == before[1:]
    await control.ask("DELETE", one, status=404)
    await control.ask("GET", f"{one}/numbers", status=404)
    await control.ask("POST", f"{two}/numbers", {"number": NUMBERS[vendor]}, status=201)


@given(st.text().filter(lambda user: ":" not in user), st.text())
def test_basic_reads_what_it_writes(user, password):
    """Any user without a colon and any password come back from the header they were written into."""
    assert decoded(basic(user, password).removeprefix("Basic ")) == (user, password)


@given(st.text())
def test_no_proof_breaks_basic(proof):
    """Whatever stands behind the scheme, it is a pair or nothing."""
    pair = decoded(proof)
    assert pair is None or ":" not in pair[0]


def test_an_empty_secret_opens_nothing():
    """A secret that was never set fits no guess, not even an empty one."""
    assert is_one_of("second", "first", "second")
    assert not is_one_of("", None, "")
    assert not is_one_of("third", "first", None)


@pytest.mark.parametrize(
    ("url", "fits"),
    [
        ("https://example.com/in?code=1", True),
        ("http://user:password@127.0.0.1:8080/", True),
        ("ftp://example.com/", False),
        ("example.com/in", False),
        ("https:///in", False),
        ("https://example.com:port/", False),
        ("https://example.com/a b", False),
        ("https://[::1/", False),
        ("", False),
    ],
)
def test_a_web_address_is_absolute_and_sound(url, fits):
    """Only an absolute http or https address with a host, a possible port and no blanks counts."""
    assert (web_address(url) is not None) == fits


@given(st.text())
def test_no_text_breaks_the_check_of_addresses(url):
    """Whatever a customer writes, the check answers; what it lets through has a host."""
    parts = web_address(url)
    assert parts is None or parts.hostname


def test_a_guess_replaces_the_last_segment_alone():
    """A forged address differs from the true one in its token, which keeps its length; the rest stays."""
    url = "https://user:pw@example.com/in/0123456789?x=1"
    forged = with_wrong_token(url, IdSource(1))
    assert forged != url
    assert len(forged) == len(url)
    assert (forged[:31], forged[-4:]) == (url[:31], "?x=1")
    assert without_user(url) == "https://example.com/in/0123456789?x=1"
