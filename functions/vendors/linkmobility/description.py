"""What LINK is: settings, senders, capabilities, and where it calls from."""

from __future__ import annotations

from datetime import timedelta

from functions.vendors.contract import Capabilities, Description, SenderRule, SenderType, Setting, SettingType
from functions.vendors.proofs import CALLBACK_BASIC, CALLBACK_HEADER, CALLBACK_SOURCES, CALLBACK_TOKEN

DESCRIPTION = Description(
    name="linkmobility",
    title="LINK Mobility",
    docs="https://www.linkmobility.com/developer/",
    notice=(
        "For accounts of LINK's Common platform, which come with a host, a platformId and a platformPartnerId. "
        "MyLINK accounts and LINK's other products have other APIs; with those every call ends in 401 or 404."
    ),
    settings=(
        Setting(
            name="baseUrl",
            type=SettingType.URL,
            required=True,
            help="The host that LINK's support named for the account, such as https://n-eu.linkmobility.io.",
            example="https://n-eu.linkmobility.io",
        ),
        Setting(
            name="username",
            help="The user name that LINK's support handed out; needed with the password.",
            example="contoso-sms",
        ),
        Setting(
            name="password",
            secret=True,
            help="The password that belongs to the user name. Give this or the client secret.",
            example="not-a-real-password",
        ),
        Setting(
            name="passwordSecondary",
            secret=True,
            secondary_of="password",
            help="The other password while it is being changed.",
            example="not-a-real-password-either",
        ),
        Setting(
            name="clientId",
            help="The client id for OAuth 2.0, where LINK's support handed one out; needed with the client secret.",
            example="contoso-client",
        ),
        Setting(
            name="clientSecret",
            secret=True,
            help="The client secret that belongs to the client id. Give this or the password.",
            example="not-a-real-secret",
        ),
        Setting(
            name="clientSecretSecondary",
            secret=True,
            secondary_of="clientSecret",
            help="The other client secret while it is being changed.",
            example="not-a-real-secret-either",
        ),
        Setting(
            name="platformId",
            required=True,
            help="The platformId that LINK's support handed out.",
            example="SMSC",
        ),
        Setting(
            name="platformPartnerId",
            required=True,
            help="The platformPartnerId that LINK's support handed out.",
            example="12345",
        ),
        Setting(
            name="reportGate",
            help="The id of the gate that posts delivery reports to the gateway; without it no reports are asked for.",
            example="BVldZyQt",
        ),
        Setting(
            name="inboundGate",
            help="The id of the gate that posts replies to the gateway; numbers and keywords are routed to it.",
            example="Q7rTm2Xa",
        ),
        *CALLBACK_TOKEN,
        *CALLBACK_BASIC,
        *CALLBACK_HEADER,
        CALLBACK_SOURCES,
    ),
    one_of=("password", "clientSecret"),
    senders=(
        SenderRule(
            SenderType.SHORT_CODE,
            two_way=True,
            pattern=r"[0-9]{1,14}",
            note="1 to 14 digits without the country letters: 2333, not NO-2333.",
        ),
        SenderRule(SenderType.LONG_CODE, two_way=True, note="A number that LINK has set up for the account."),
        SenderRule(
            SenderType.ALPHANUMERIC,
            two_way=False,
            pattern=r"[A-Za-z][A-Za-z0-9]{1,10}",
            note="One-way; 2 to 11 letters and digits without blanks, the first a letter.",
        ),
    ),
    capabilities=Capabilities(
        recipients_per_call=1000,
        one_text_per_call=False,
        calls_at_once=8,
        # refId is documented as "not used for anything", so a repeat may be a second message.
        replay_window=timedelta(0),
        lookup=False,
        status_query=False,
        # 254 segments of 67 characters; a text in the GSM alphabet could be longer.
        max_text_length=254 * 67,
        validity=(15 * 60, 48 * 60 * 60),
        reports=True,
        inbound=True,
        correlation="Our message id as refId, in answers and reports",
        callback_authentication="A token in the path; Basic authentication and a secret header where the gate has them",
        subscribes=True,
    ),
    # Appendix 1 of "MT and Delivery Reports" and of "MO messages", zone by zone: sp247, n-eu, no, c-eu, deb, s-eu.
    published_sources=(
        *("195.84.162.3/32", "195.84.162.16/32", "195.84.162.34/32"),
        *("194.71.165.71/32", "194.71.165.98/32", "194.71.165.122/32"),
        *("213.242.87.36/30", "213.242.87.40/29", "213.242.87.48/29"),
        *("213.242.87.68/30", "213.242.87.72/29", "213.242.87.80/29"),
        *("62.67.62.101/32", "62.67.62.102/31", "62.67.62.104/29", "62.67.62.112/29", "62.67.62.120/32"),
        *("62.67.62.68/30", "62.67.62.72/29", "62.67.62.80/29"),
        *("217.163.95.196/30", "217.163.95.200/29", "217.163.95.208/29"),
    ),
)
