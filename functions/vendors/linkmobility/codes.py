"""What LINK's result codes and refusals mean."""

from __future__ import annotations

from collections.abc import Mapping

from functions.vendors.contract import Reason, Retry, State

# "Result Codes" of "MT and Delivery Reports"; the same table for the same platform under another name:
# https://sergel.se/foretagstjanster/sergel-connect/sergel-connect-support/smsapi/sms-delivery-reports
REPORT_CODES: Mapping[str, tuple[State, Reason | None]] = {
    "0": (State.FAILED, Reason.OTHER),
    "1": (State.FAILED, Reason.TEMPORARY),
    "2": (State.FAILED, Reason.UNROUTABLE),
    "3": (State.FAILED, Reason.THROTTLED),
    "4": (State.UNKNOWN, Reason.TEMPORARY),
    "5": (State.UNKNOWN, Reason.OTHER),
    "6": (State.FAILED, Reason.OTHER),
    "104": (State.FAILED, Reason.CONFIGURATION),
    "105": (State.FAILED, Reason.TEMPORARY),
    "1000": (State.SENT, None),
    "1001": (State.DELIVERED, None),
    "1002": (State.EXPIRED, Reason.EXPIRED),
    "1003": (State.UNDELIVERED, Reason.OTHER),
    "1004": (State.UNDELIVERED, Reason.UNREACHABLE),
    "1005": (State.QUEUED, None),
    "1006": (State.UNDELIVERED, Reason.OTHER),
    "1007": (State.DELIVERED, None),
    "1008": (State.QUEUED, None),
    "1009": (State.UNDELIVERED, Reason.OTHER),
    "1010": (State.UNKNOWN, Reason.NO_REPORT),
    "1011": (State.SENT, None),
    "1012": (State.QUEUED, None),
    "1013": (State.SENT, None),
    **dict.fromkeys(("2000", "2001", "2002", "2003"), (State.REJECTED, Reason.INVALID_SENDER)),
    **dict.fromkeys(("2100", "2101", "2102", "2106"), (State.REJECTED, Reason.INVALID_RECIPIENT)),
    # The opt-out of 2103 is a suspicion only, so it does not count as one; 2205 says it outright.
    "2103": (State.REJECTED, Reason.CARRIER_BLOCKED),
    "2104": (State.UNDELIVERED, Reason.INVALID_RECIPIENT),
    "2105": (State.UNDELIVERED, Reason.INVALID_RECIPIENT),
    "2107": (State.UNDELIVERED, Reason.UNREACHABLE),
    **dict.fromkeys(("2200", "2201", "2202", "2203", "2204", "2206", "2207"), (State.REJECTED, Reason.OTHER)),
    "2205": (State.REJECTED, Reason.OPTED_OUT),
    **dict.fromkeys(("3000", "3001", "3002"), (State.REJECTED, Reason.INVALID_CONTENT)),
    **dict.fromkeys(("4000", "4002", "4006"), (State.REJECTED, Reason.CONFIGURATION)),
    **dict.fromkeys(("4001", "4003", "4004", "4005", "4007"), (State.REJECTED, Reason.INVALID_CONTENT)),
}
RETRIES: Mapping[str, Retry] = {
    **dict.fromkeys(("1", "3", "105"), Retry.LATER),
    **dict.fromkeys(("2000", "2001", "2002", "2003"), Retry.OTHER_SENDER),
}
"""What may be tried after a result code in the answer to a send; never, for those that are not here."""
# "Error Result Codes" of "MT and Delivery Reports": what stands in ``status`` of an error's body
REFUSAL_CODES: Mapping[str, tuple[Reason, Retry]] = {
    "106000": (Reason.OTHER, Retry.NEVER),
    "106100": (Reason.CREDENTIALS, Retry.NEVER),
    **dict.fromkeys(("106101", "106102"), (Reason.ACCOUNT, Retry.NEVER)),
    **dict.fromkeys(("106200", "106201", "106202", "106300", "106301"), (Reason.CONFIGURATION, Retry.NEVER)),
}
# "HTTP Methods" of the same; 404, 420 and 429 are not in it.
REFUSAL_STATUSES: Mapping[int, tuple[Reason, Retry]] = {
    401: (Reason.CREDENTIALS, Retry.NEVER),
    403: (Reason.ACCOUNT, Retry.NEVER),
    404: (Reason.CONFIGURATION, Retry.NEVER),
    420: (Reason.THROTTLED, Retry.LATER),
    429: (Reason.THROTTLED, Retry.LATER),
}
