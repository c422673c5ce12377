"""Examples for the OpenAPI document; a test validates each against its model."""

from __future__ import annotations

from typing import Any

REQUESTS: dict[str, dict[str, dict[str, Any]]] = {
    "create_provider": {
        "twilio": {
            "value": {
                "vendor": "twilio",
                "name": "Twilio EU",
                "businessUnit": "retail",
                "settings": {
                    "accountSid": "AC0123456789abcdef0123456789abcdef",
                    "authToken": "0123456789abcdef0123456789abcdef",
                },
            }
        },
        "acs": {
            "value": {
                "vendor": "acs",
                "name": "ACS until 2028",
                "settings": {
                    "connectionString": "endpoint=https://contoso.communication.azure.com/;accesskey=bm90LWEta2V5"
                },
            }
        },
    },
    "change_provider": {
        "rotate": {"value": {"settings": {"authTokenSecondary": "fedcba9876543210fedcba9876543210"}}},
        "disable": {"value": {"state": "disabled"}},
    },
    "add_sender": {
        "toll-free": {"value": {"type": "toll_free", "address": "+18885550100", "displayName": "Orders"}},
        "alphanumeric": {"value": {"type": "alphanumeric", "address": "Contoso"}},
    },
    "change_sender": {"rename": {"value": {"displayName": "Returns"}}},
    "send_messages": {
        "one": {"value": {"from": "+18885550100", "to": "+14255550123", "text": "Your parcel is on its way."}},
        "personal": {
            "value": {
                "from": "+18885550100",
                "category": "transactional",
                "messages": [
                    {"to": "+14255550123", "text": "Hello Ann", "reference": "order-17"},
                    {"to": "+14255550124", "text": "Hello Bob", "metadata": {"journey": "welcome"}},
                ],
            }
        },
    },
    "preview_message": {"accent": {"value": {"text": "¿Qué día?"}}},
    "dry_run": {"parcel": {"value": {"to": "+14255550123", "text": "Your parcel is on its way."}}},
    "request_erasure": {
        "all but the opt-out": {"value": {"number": "+14255550123"}},
        "the opt-out too": {"value": {"number": "+14255550123", "optOuts": "erase"}},
    },
    "add_opt_out": {"all senders": {"value": {"number": "+14255550123", "note": "by phone"}}},
}
"""Request bodies by operation and title."""

ANSWERS: dict[str, dict[int, Any]] = {
    "send_messages": {
        202: {
            "accepted": 1,
            "refused": 1,
            "messages": [
                {
                    "index": 0,
                    "id": "01kb3v9r2m8q4t6w0x5y7z1a2b-00",
                    "to": "+14255550123",
                    "status": "queued",
                    "segments": 1,
                    "encoding": "GSM-7",
                    "warnings": [],
                },
                {
                    "index": 1,
                    "to": "4255550124",
                    "status": "refused",
                    "refusal": {
                        "code": "invalid_recipient",
                        "field": "/messages/1/to",
                        "detail": "Put a plus and the country code in front.",
                    },
                    "warnings": [],
                },
            ],
        }
    },
}
"""Answers by operation and status."""
