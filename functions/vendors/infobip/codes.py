"""What Infobip's statuses, errors and refusals mean."""

from __future__ import annotations

from collections.abc import Mapping

from functions.vendors.contract import Reason, Retry, State

# https://www.infobip.com/docs/developer-resources/api-fundamentals/message-status-codes
_STATUSES: tuple[tuple[int, str, State, Reason | None], ...] = (
    # Handed to the operator only, although its group says DELIVERED.
    (2, "DELIVERED_TO_OPERATOR", State.SENT, None),
    (3, "PENDING_WAITING_DELIVERY", State.SENT, None),
    (4, "UNDELIVERABLE_REJECTED_OPERATOR", State.UNDELIVERED, Reason.CARRIER_BLOCKED),
    (5, "DELIVERED_TO_HANDSET", State.DELIVERED, None),
    (6, "REJECTED_NETWORK", State.REJECTED, Reason.UNROUTABLE),
    (7, "PENDING_ENROUTE", State.SENT, None),
    (8, "REJECTED_PREFIX_MISSING", State.REJECTED, Reason.INVALID_RECIPIENT),
    (9, "UNDELIVERABLE_NOT_DELIVERED", State.UNDELIVERED, Reason.OTHER),
    (10, "REJECTED_DND", State.REJECTED, Reason.OPTED_OUT),
    (11, "REJECTED_SOURCE", State.REJECTED, Reason.INVALID_SENDER),
    (12, "REJECTED_NOT_ENOUGH_CREDITS", State.REJECTED, Reason.ACCOUNT),
    (13, "REJECTED_SENDER", State.REJECTED, Reason.INVALID_SENDER),
    (14, "REJECTED_DESTINATION_BLOCKLISTED", State.REJECTED, Reason.OPTED_OUT),
    (15, "EXPIRED_EXPIRED", State.EXPIRED, Reason.EXPIRED),
    (17, "REJECTED_PREPAID_PACKAGE_EXPIRED", State.REJECTED, Reason.ACCOUNT),
    (18, "REJECTED_DESTINATION_NOT_REGISTERED", State.REJECTED, Reason.ACCOUNT),
    (19, "REJECTED_ROUTE_NOT_AVAILABLE", State.REJECTED, Reason.UNROUTABLE),
    (20, "REJECTED_FLOODING_FILTER", State.REJECTED, Reason.FILTERED),
    (21, "REJECTED_SYSTEM_ERROR", State.FAILED, Reason.TEMPORARY),
    # Only the copy was refused: the id is ours alone, so an earlier try of the same message was taken.
    (23, "REJECTED_DUPLICATE_MESSAGE_ID", State.SENT, None),
    (24, "REJECTED_INVALID_UDH", State.REJECTED, Reason.INVALID_CONTENT),
    (25, "REJECTED_MESSAGE_TOO_LONG", State.REJECTED, Reason.INVALID_CONTENT),
    (26, "PENDING_ACCEPTED", State.QUEUED, None),
    # The validity period ended without a report; it may have been delivered.
    (29, "EXPIRED_DLR_UNKNOWN", State.UNKNOWN, Reason.NO_REPORT),
    (31, "UNDELIVERABLE_NOT_SENT", State.FAILED, Reason.OTHER),
    (51, "MISSING_TO", State.REJECTED, Reason.INVALID_RECIPIENT),
    (52, "REJECTED_DESTINATION", State.REJECTED, Reason.INVALID_RECIPIENT),
    # In group EXPIRED when it is charged, in REJECTED when not.
    (87, "SIGNALS_BLOCKED", State.REJECTED, Reason.FILTERED),
    (100, "UNDELIVERABLE_REJECTED_PLATFORM", State.FAILED, Reason.TEMPORARY),
)
REPORT_STATUSES: Mapping[str, tuple[State, Reason | None]] = {
    name.lower(): (state, reason) for _, name, state, reason in _STATUSES
}
_NAMES = {str(number): name.lower() for number, name, _, _ in _STATUSES}
GROUPS: Mapping[str, tuple[State, Reason | None]] = {
    **dict.fromkeys(("0", "ok", "accepted", "1", "pending"), (State.QUEUED, None)),
    **dict.fromkeys(("2", "undeliverable"), (State.UNDELIVERED, Reason.OTHER)),
    **dict.fromkeys(("3", "delivered"), (State.DELIVERED, None)),
    **dict.fromkeys(("4", "expired"), (State.EXPIRED, Reason.EXPIRED)),
    **dict.fromkeys(("5", "rejected"), (State.REJECTED, Reason.OTHER)),
}

# https://www.infobip.com/docs/developer-resources/api-fundamentals/error-code-reference: "General" and "India DLT". The
# same numbers mean something else in other channels.
_ERRORS: tuple[tuple[Reason, tuple[int, ...]], ...] = (
    (Reason.OPTED_OUT, (573, 603, 604, 2050, 2052)),
    (Reason.INVALID_RECIPIENT, (1, 5, 9, 10, 11, 12, 21, 258, 261, 262, 351, 352, 568, 569, 629, 3041)),
    (Reason.UNREACHABLE, (2, 6, 7, 8, 13, 27, 31, 32, 33, 256, 257, 581, 628)),
    (Reason.UNROUTABLE, (345, 565, 592, 597, 598)),
    (Reason.CARRIER_BLOCKED, (15, 560, 561, 564, 566, 574, 632, 2049)),
    (Reason.FILTERED, (607, 608, 2051, 4103, 4104, 5492)),
    (Reason.INVALID_SENDER, (368, 375, 2053)),
    (Reason.SENDER_UNREGISTERED, (488, 562, 563, 571, 572, 594, 4106, *range(4108, 4141), *range(4142, 4145))),
    (Reason.SENDER_UNREGISTERED, (*range(4146, 4152), *range(4153, 4159))),
    (Reason.INVALID_CONTENT, (71, 355, 4096)),
    (Reason.THROTTLED, (541,)),
    (Reason.QUOTA, (542, 580, 609, 4202)),
    (Reason.ACCOUNT, (433, 577, 578, 579, 601, 4099)),
    (Reason.TEMPORARY, (20, 24, 34, 35, 36, 51, 259, 260, 630, 631, 815, 2048, 4097, 4102, 4107, 4141)),
    (Reason.TEMPORARY, (*range(500, 505), *range(507, 510), *range(1024, 1032), *range(1152, 1167))),
    (Reason.TEMPORARY, (*range(1281, 1285), *range(1536, 1542), *range(1792, 1797))),
    (Reason.EXPIRED, (811, 4098, 4100, 4101)),
    (Reason.OTHER, (255, 323, 633, 810)),
)
REPORT_ERRORS: Mapping[str, Reason] = {str(code): reason for reason, codes in _ERRORS for code in codes}

# https://www.infobip.com/docs/developer-resources/api-fundamentals/error-handling
REFUSALS: Mapping[int, tuple[Reason, Retry]] = {
    401: (Reason.CREDENTIALS, Retry.NEVER),
    403: (Reason.ACCOUNT, Retry.NEVER),
    404: (Reason.CONFIGURATION, Retry.NEVER),
    413: (Reason.INVALID_CONTENT, Retry.NEVER),
    429: (Reason.THROTTLED, Retry.LATER),
}
RETRIES: Mapping[Reason, Retry] = {Reason.INVALID_SENDER: Retry.OTHER_SENDER}
"""An id may stay taken once its message was refused, so the same one is not offered again."""


def name_of(number: str) -> str:
    """Return a status' name in lower case by its number; empty where it is not listed."""
    return _NAMES.get(number, "")
