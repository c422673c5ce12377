"""What Vibes is: settings, senders, capabilities, and where it calls from."""

from __future__ import annotations

from datetime import timedelta

from functions.vendors.contract import Capabilities, Description, SenderRule, SenderType, Setting, SettingType
from functions.vendors.proofs import CALLBACK_BASIC, CALLBACK_SOURCES, CALLBACK_TOKEN

_COUNTRIES = ("US", "CA")

DESCRIPTION = Description(
    name="vibes",
    title="Vibes",
    docs="https://developer-aggregation.vibes.com/reference/send-an-sms-message",
    notice=(
        "Reaches the United States and Canada only. It needs an account for the Connect HTTP Message API; credentials "
        "of the Vibes Platform are refused there. A send whose answer is lost stays unknown until a receipt comes, for "
        "Vibes has no log to look it up in."
    ),
    settings=(
        Setting(
            name="username",
            required=True,
            pattern=r"[!-9;-~]{1,200}",
            help="The user name for the Connect HTTP Message API, an e-mail address. Vibes hands it out.",
            example="gateway@example.com",
        ),
        Setting(
            name="password",
            required=True,
            secret=True,
            help="The password that goes with the user name.",
            example="correct-horse-battery-staple",
        ),
        Setting(
            name="passwordSecondary",
            secret=True,
            secondary_of="password",
            help="The other password while it is being changed; used when the first one is refused.",
            example="staple-battery-horse-correct",
        ),
        Setting(
            name="baseUrl",
            type=SettingType.URL,
            help="The API's address; leave it out for the one that serves the United States and Canada.",
            example="https://messageapi.vibesapps.com",
        ),
        Setting(
            name="sourceType",
            pattern=r"[A-Za-z0-9_]{1,20}",
            help="What Vibes calls the type of toll-free numbers and long codes; ask its support. A short code is "
            "always SC, a number is MDN if this is left out.",
            example="MDN",
        ),
        *CALLBACK_TOKEN,
        *CALLBACK_BASIC,
        CALLBACK_SOURCES,
    ),
    senders=(
        SenderRule(
            SenderType.SHORT_CODE,
            two_way=True,
            countries=_COUNTRIES,
            note="Must be provisioned for each carrier. That Vibes acts on STOP is not documented; the gateway does.",
        ),
        SenderRule(
            SenderType.TOLL_FREE,
            two_way=True,
            countries=_COUNTRIES,
            note="Must be verified first; the network itself blocks after STOP.",
        ),
        SenderRule(
            SenderType.LONG_CODE,
            two_way=True,
            countries=_COUNTRIES,
            note="10DLC in the US: needs a registered brand and campaign.",
        ),
    ),
    capabilities=Capabilities(
        recipients_per_call=1,
        one_text_per_call=True,
        calls_at_once=10,
        # submitterMessageId is echoed; nothing says that a repeated one is recognised.
        replay_window=timedelta(0),
        lookup=False,
        status_query=True,
        max_text_length=900,
        validity=None,
        reports=True,
        inbound=True,
        correlation="Our message id as submitterMessageId",
        callback_authentication="A token in the address; replies can carry Basic authentication too, receipts cannot",
    ),
    # https://developer-aggregation.vibes.com/reference/receiving-messages
    published_sources=(
        *("35.155.139.143/32", "52.32.61.199/32", "35.161.244.84/32", "18.205.120.48/32"),
        *("52.22.43.57/32", "18.232.9.131/32", "54.245.204.57/32", "54.148.156.236/32"),
        *("34.243.232.57/32", "52.48.241.82/32", "34.249.188.130/32", "54.247.36.51/32"),
        *("34.253.250.65/32", "54.217.181.160/32"),
    ),
)
