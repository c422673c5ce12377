"""Infobip's statuses and errors, as far as the sandbox gives them.

Source: https://www.infobip.com/docs/essentials/api-essentials/response-status-and-error-codes. Which of them stands for
which magic number is the sandbox's choice.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from sandbox.outcomes import Reason


@dataclass(frozen=True, slots=True)
class Status:
    """Where a message stands, in Infobip's words.

    Attributes:
        groupId: The group's number.
        groupName: The group's name.
        id: The status's number.
        name: The status's name.
        description: A sentence for people.
    """

    groupId: int  # noqa: N815 - as it stands in the JSON
    groupName: str  # noqa: N815 - as it stands in the JSON
    id: int
    name: str
    description: str

    def shown(self, action: str = "") -> dict[str, Any]:
        """Give it as JSON, with what to do against it where the page says so."""
        return asdict(self) | ({"action": action} if action else {})


@dataclass(frozen=True, slots=True)
class Fault:
    """What went wrong on the way, in Infobip's words: the `error` object.

    Attributes:
        groupId: The group's number.
        groupName: The group's name.
        id: The error's number.
        name: The error's name.
        description: A sentence for people.
        permanent: Whether the same message, sent again unchanged, would fail again.
    """

    groupId: int  # noqa: N815 - as it stands in the JSON
    groupName: str  # noqa: N815 - as it stands in the JSON
    id: int
    name: str
    description: str
    permanent: bool

    def shown(self) -> dict[str, Any]:
        """Give it as JSON."""
        return asdict(self)


def _handset(number: int, name: str, description: str, *, permanent: bool) -> Fault:
    return Fault(1, "HANDSET_ERRORS", number, name, description, permanent)


def _user(number: int, name: str, description: str, *, permanent: bool) -> Fault:
    return Fault(2, "USER_ERRORS", number, name, description, permanent)


def _operator(number: int, name: str, description: str, *, permanent: bool) -> Fault:
    return Fault(3, "OPERATOR_ERRORS", number, name, description, permanent)


def _rejected(number: int, name: str, description: str) -> Status:
    return Status(5, "REJECTED", number, name, description)


NO_ERROR = Fault(0, "OK", 0, "NO_ERROR", "No Error", permanent=False)

ACCEPTED = Status(1, "PENDING", 26, "PENDING_ACCEPTED", "Message sent to next instance")
ENROUTE = Status(1, "PENDING", 7, "PENDING_ENROUTE", "Message sent to next instance")
DELIVERED = Status(3, "DELIVERED", 5, "DELIVERED_TO_HANDSET", "Message delivered to handset")
REJECTED_OPERATOR = Status(
    2, "UNDELIVERABLE", 4, "UNDELIVERABLE_REJECTED_OPERATOR", "Message has been rejected by operator"
)
NOT_DELIVERED = Status(2, "UNDELIVERABLE", 9, "UNDELIVERABLE_NOT_DELIVERED", "Message sent not delivered")
EXPIRED = Status(4, "EXPIRED", 15, "EXPIRED_EXPIRED", "Message expired")
EXPIRED_DLR_UNKNOWN = Status(
    4, "EXPIRED", 29, "EXPIRED_DLR_UNKNOWN", "Delivery report not delivered from operator within validity"
)

REJECTED_NETWORK = _rejected(6, "REJECTED_NETWORK", "Network is forbidden")
REJECTED_PREFIX_MISSING = _rejected(8, "REJECTED_PREFIX_MISSING", "Number prefix missing")
REJECTED_SOURCE = _rejected(11, "REJECTED_SOURCE", "Invalid Source address")
REJECTED_BLOCKLISTED = _rejected(14, "REJECTED_DESTINATION_BLOCKLISTED", "Destination blocklisted")
REJECTED_DUPLICATE = _rejected(23, "REJECTED_DUPLICATE_MESSAGE_ID", "Duplicate messageId")
REJECTED_TOO_LONG = _rejected(25, "REJECTED_MESSAGE_TOO_LONG", "Message too long")
MISSING_TO = _rejected(51, "MISSING_TO", "Missing to.")
REJECTED_DESTINATION = _rejected(52, "REJECTED_DESTINATION", "Invalid destination address.")

REFUSALS: dict[Reason, Status] = {
    Reason.INVALID_NUMBER: REJECTED_DESTINATION,
    Reason.OPTED_OUT: REJECTED_BLOCKLISTED,
    Reason.NO_ROUTE: REJECTED_NETWORK,
    Reason.NOT_MOBILE: REJECTED_PREFIX_MISSING,
}
"""How a recipient is refused in the answer to a send request."""

FAILURES: dict[Reason, tuple[Status, Fault]] = {
    Reason.INVALID_NUMBER: (REJECTED_DESTINATION, NO_ERROR),
    Reason.OPTED_OUT: (
        REJECTED_OPERATOR,
        _user(603, "EC_CONTENT_BLOCKED", "Content blocked by user opt-out (MO: STOP)", permanent=True),
    ),
    Reason.NO_ROUTE: (REJECTED_NETWORK, NO_ERROR),
    Reason.NOT_MOBILE: (
        NOT_DELIVERED,
        _handset(629, "EC_DEST_ADDRESS_UNABLE_TO_RECEIVE_SMS", "Unable to receive SMS", permanent=True),
    ),
    Reason.UNREACHABLE: (
        NOT_DELIVERED,
        _handset(27, "EC_ABSENT_SUBSCRIBER", "Absent Subscriber", permanent=False),
    ),
    Reason.UNKNOWN_SUBSCRIBER: (
        NOT_DELIVERED,
        _handset(1, "EC_UNKNOWN_SUBSCRIBER", "Unknown Subscriber", permanent=True),
    ),
    Reason.CARRIER_BLOCKED: (
        REJECTED_OPERATOR,
        _operator(632, "EC_SMS_REJECTED_BY_MOBILE_OPERATOR", "SMS rejected by the mobile operator", permanent=True),
    ),
    Reason.FILTERED: (
        REJECTED_OPERATOR,
        _user(607, "EC_REJECTED_SPAM_BY_OPERATOR", "Message identified as spam", permanent=True),
    ),
    Reason.EXPIRED: (EXPIRED, _user(4101, "EC_VALIDITY_EXPIRED", "Validity expired", permanent=True)),
    Reason.UNCLEAR: (NOT_DELIVERED, _handset(255, "EC_UNKNOWN_ERROR", "Unknown Error", permanent=False)),
    Reason.SENDER_UNREGISTERED: (
        REJECTED_OPERATOR,
        _user(572, "EC_CAMPAIGNID_NOT_PROVISIONED", "Campaign ID is not provisioned", permanent=True),
    ),
    Reason.CARRIER_LIMIT: (
        REJECTED_OPERATOR,
        _user(542, "EC_QUOTA_REACHED", "Carrier daily quota reached", permanent=False),
    ),
    Reason.NO_CARRIER_REPORT: (EXPIRED_DLR_UNKNOWN, NO_ERROR),
}
"""How a failure is told in a delivery report and in the log."""

_STATES = {"queued": ACCEPTED, "sent": ENROUTE, "delivered": DELIVERED}


def words_for(state: str, reason: Reason | None) -> tuple[Status, Fault]:
    """Say in Infobip's words where a message stands."""
    return (_STATES[state], NO_ERROR) if reason is None else FAILURES[reason]
