"""What Telesign's codes mean."""

from __future__ import annotations

from collections.abc import Mapping

from functions.vendors.contract import Reason, Retry, State

# https://developer.telesign.com/enterprise/docs/all-status-and-error-codes
REPORT_CODES: Mapping[str, tuple[State, Reason | None]] = {
    "200": (State.DELIVERED, None),
    "201": (State.DELIVERED, None),
    "203": (State.SENT, None),
    "207": (State.UNDELIVERED, Reason.OTHER),
    "210": (State.UNDELIVERED, Reason.UNREACHABLE),
    "211": (State.UNDELIVERED, Reason.INVALID_RECIPIENT),
    "220": (State.UNDELIVERED, Reason.UNROUTABLE),
    "221": (State.EXPIRED, Reason.EXPIRED),
    "222": (State.UNDELIVERED, Reason.INVALID_RECIPIENT),
    "229": (State.REJECTED, Reason.FILTERED),
    "230": (State.REJECTED, Reason.FILTERED),
    "231": (State.REJECTED, Reason.INVALID_CONTENT),
    "233": (State.REJECTED, Reason.FILTERED),
    "237": (State.REJECTED, Reason.UNROUTABLE),
    "238": (State.REJECTED, Reason.UNROUTABLE),
    "250": (State.UNKNOWN, Reason.NO_REPORT),
    "251": (State.UNKNOWN, Reason.NO_REPORT),
    "290": (State.QUEUED, None),
    "292": (State.QUEUED, None),
    "293": (State.QUEUED, None),
    "295": (State.QUEUED, None),
    "500": (State.FAILED, Reason.OTHER),
    "501": (State.FAILED, Reason.ACCOUNT),
    "502": (State.FAILED, Reason.INVALID_SENDER),
    "503": (State.FAILED, Reason.TEMPORARY),
    "504": (State.FAILED, Reason.CARRIER_BLOCKED),
    "505": (State.FAILED, Reason.TEMPORARY),
    "506": (State.FAILED, Reason.OTHER),
    "507": (State.UNDELIVERED, Reason.INVALID_RECIPIENT),
    "508": (State.FAILED, Reason.INVALID_SENDER),
    "509": (State.FAILED, Reason.CONFIGURATION),
    "510": (State.REJECTED, Reason.OPTED_OUT),
    "511": (State.UNDELIVERED, Reason.UNREACHABLE),
    "512": (State.UNDELIVERED, Reason.UNREACHABLE),
    "513": (State.UNDELIVERED, Reason.UNROUTABLE),
    "514": (State.UNDELIVERED, Reason.UNREACHABLE),
    "515": (State.REJECTED, Reason.FILTERED),
    "516": (State.FAILED, Reason.INVALID_RECIPIENT),
    "517": (State.REJECTED, Reason.SENDER_UNREGISTERED),
    "518": (State.REJECTED, Reason.FILTERED),
    "519": (State.REJECTED, Reason.FILTERED),
    "520": (State.REJECTED, Reason.INVALID_CONTENT),
    "521": (State.REJECTED, Reason.INVALID_SENDER),
    "599": (State.UNKNOWN, Reason.NO_REPORT),
    # In a report these two are blocks; the answer to a request means a wrong host by the first.
    "10031": (State.REJECTED, Reason.FILTERED),
    "10032": (State.REJECTED, Reason.FILTERED),
    "-40024": (State.REJECTED, Reason.FILTERED),
    "-40025": (State.REJECTED, Reason.FILTERED),
}
# The negative ones are those of Telesign's older services, which answer in the same shape.
REFUSAL_CODES: Mapping[str, tuple[Reason, Retry]] = {
    **dict.fromkeys(("10002", "-30012"), (Reason.TEMPORARY, Retry.LATER)),
    **dict.fromkeys(("10019", "-40007"), (Reason.THROTTLED, Retry.LATER)),
    **dict.fromkeys(("10020", "-30003", "-40008"), (Reason.QUOTA, Retry.NEVER)),
    **dict.fromkeys(("10003", "10005", "10006", "10007", "10008", "10009"), (Reason.CREDENTIALS, Retry.NEVER)),
    **dict.fromkeys(("10013", "10015", "10022", "10028"), (Reason.CREDENTIALS, Retry.NEVER)),
    **dict.fromkeys(("-30000", "-30004", "-30005", "-30006", "-30007"), (Reason.CREDENTIALS, Retry.NEVER)),
    **dict.fromkeys(("-30008", "-30009", "-30011", "-30015"), (Reason.CREDENTIALS, Retry.NEVER)),
    **dict.fromkeys(("10010", "10011", "10030", "10033"), (Reason.ACCOUNT, Retry.NEVER)),
    **dict.fromkeys(("-10030", "-20002", "-20003", "-30001", "-30002", "-40002"), (Reason.ACCOUNT, Retry.NEVER)),
    **dict.fromkeys(("10004", "10014", "10017", "10031", "10035", "10036"), (Reason.CONFIGURATION, Retry.NEVER)),
    **dict.fromkeys(("11003", "11004", "11010", "11011", "11016"), (Reason.CONFIGURATION, Retry.NEVER)),
    **dict.fromkeys(("11017", "11027", "12017"), (Reason.CONFIGURATION, Retry.NEVER)),
    **dict.fromkeys(("-10001", "-10002", "-10003", "-10004", "-10009"), (Reason.CONFIGURATION, Retry.NEVER)),
    **dict.fromkeys(("-20001", "-30010", "-40004", "-40005", "-40006"), (Reason.CONFIGURATION, Retry.NEVER)),
    **dict.fromkeys(("11000", "11001", "12000", "-40009"), (Reason.INVALID_RECIPIENT, Retry.NEVER)),
    **dict.fromkeys(("11009", "12009"), (Reason.INVALID_CONTENT, Retry.NEVER)),
    **dict.fromkeys(("11034", "11035"), (Reason.SENDER_UNREGISTERED, Retry.NEVER)),
    **dict.fromkeys(("10032", "-40024", "-40025"), (Reason.FILTERED, Retry.NEVER)),
    "11013": (Reason.INVALID_SENDER, Retry.OTHER_SENDER),
    "-20004": (Reason.UNROUTABLE, Retry.NEVER),
}
REFUSAL_STATUSES: Mapping[int, tuple[Reason, Retry]] = {
    401: (Reason.CREDENTIALS, Retry.NEVER),
    402: (Reason.ACCOUNT, Retry.NEVER),
    403: (Reason.ACCOUNT, Retry.NEVER),
    404: (Reason.CONFIGURATION, Retry.NEVER),
    429: (Reason.THROTTLED, Retry.LATER),
}
AMBIGUOUS_CODES = frozenset({"10000", "-40001", "-90001"})
"""System or status unavailable: whether the message went out before that, nobody can tell."""
REQUEST_CODES = frozenset({*REFUSAL_CODES, *AMBIGUOUS_CODES})
NOT_FOUND_CODES = frozenset({"10017", "10036", "11011"})
"""What an account with good credentials is told when it asks for a message that does not exist."""
INBOUND_CODE = "1500"
