"""What Infobip is: settings, senders, capabilities, and where it calls from."""

from __future__ import annotations

from datetime import timedelta

from functions.vendors.contract import Capabilities, Description, SenderRule, SenderType, Setting, SettingType
from functions.vendors.proofs import CALLBACK_BASIC, CALLBACK_HEADER, CALLBACK_SOURCES, CALLBACK_TOKEN

_KEY = r"[!-~]{8,300}"
MOST_PARTS = 25
GSM_PART = 153

DESCRIPTION = Description(
    name="infobip",
    title="Infobip",
    docs="https://www.infobip.com/docs/api/channels/sms",
    settings=(
        Setting(
            name="apiKey",
            required=True,
            secret=True,
            pattern=_KEY,
            help="Infobip portal > Developer Tools > API keys, with the scopes sms:message:send, sms:logs:read and, to "
            "let the gateway set up callbacks, subscriptions:manage.",
            example="003026bbc133714df1834b8638bb496e-8f4b3d9a-e931-478d-a994-28a725159ab9",
        ),
        Setting(
            name="apiKeySecondary",
            secret=True,
            secondary_of="apiKey",
            pattern=_KEY,
            help="The other API key while keys are rotated, used when the first one is refused.",
            example="7d5bb00f4e9a7f3a1a0a5c1f6d2f0a11-2c1d5f52-7a0e-4c1f-9b6a-51d1c7f0a001",
        ),
        Setting(
            name="baseUrl",
            type=SettingType.URL,
            required=True,
            help="Infobip portal > start page > API Base URL: the account's own address.",
            example="https://xxxxxx.api.infobip.com",
        ),
        Setting(
            name="entityId",
            help="The CPaaS X entity that messages are sent for; leave it out if the account has none.",
            example="contoso-retail",
        ),
        Setting(
            name="applicationId",
            help="The CPaaS X application that messages are sent for; leave it out if the account has none.",
            example="sms-gateway",
        ),
        *CALLBACK_TOKEN,
        *CALLBACK_BASIC,
        *CALLBACK_HEADER,
        CALLBACK_SOURCES,
    ),
    # https://www.infobip.com/docs/essentials/us-sender-registration and https://www.infobip.com/docs/10dlc
    senders=(
        SenderRule(
            SenderType.TOLL_FREE,
            two_way=True,
            countries=("US", "CA"),
            note="Ordered and verified through Infobip's support.",
        ),
        SenderRule(SenderType.SHORT_CODE, two_way=True, note="Reaches its own country only."),
        SenderRule(SenderType.LONG_CODE, two_way=True, note="10DLC in the US: needs a registered brand and campaign."),
        SenderRule(
            SenderType.ALPHANUMERIC,
            two_way=False,
            # https://www.infobip.com/docs/sms/get-started#sender-names
            pattern=r"[A-Za-z0-9 ]{3,11}",
            note="One-way; 3 to 11 characters; not in the US and Canada; some countries want it registered.",
        ),
    ),
    capabilities=Capabilities(
        # No maximum is published; a lost answer leaves this many to look up.
        recipients_per_call=100,
        one_text_per_call=False,
        calls_at_once=8,
        # A repeated id is refused (status 23), but for how long, and whether in every account, is not published.
        replay_window=timedelta(0),
        lookup=True,
        lookup_by_id=True,
        status_query=True,
        max_text_length=MOST_PARTS * GSM_PART,
        # The least is not published; what is above 48 hours becomes 48 hours without a word.
        validity=(60, 172_800),
        reports=True,
        inbound=True,
        correlation="Our message id as messageId",
        callback_authentication="A token in the path; from a subscription also Basic authentication and a header",
        subscribes=True,
    ),
    # https://www.infobip.com/docs/developer-resources/security/ip-address-safelist
    published_sources=(
        *("193.105.74.0/24", "62.140.31.0/24", "83.166.64.0/19", "202.22.160.0/20", "81.23.248.0/21"),
        *("185.255.8.0/22", "208.93.48.0/22", "89.164.98.0/24", "149.5.186.0/24", "171.244.0.32/27"),
        *("203.223.163.32/28", "203.223.170.88/29", "119.30.69.0/28", "103.23.95.200/29", "66.203.199.128/27"),
        *("13.87.78.119/32", "20.216.25.182/32", "20.173.68.171/32", "172.195.40.23/32", "34.166.0.168/32"),
        *("34.166.49.86/32", "20.233.44.67/32", "20.108.54.3/32"),
    ),
)
