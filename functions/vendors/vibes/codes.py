"""What Vibes' stages, codes and words mean."""

from __future__ import annotations

from collections.abc import Mapping

from functions.vendors.contract import Reason, Retry, State

# https://developer-aggregation.vibes.com/reference/callbacks: the stage a receipt comes from, with what it means when
# all is well and when it tells of an error without a code below.
REPORT_STAGES: Mapping[str, tuple[State, State]] = {
    "system": (State.QUEUED, State.REJECTED),
    "carrier": (State.SENT, State.FAILED),
    "handset": (State.DELIVERED, State.UNDELIVERED),
}
# https://developer-aggregation.vibes.com/reference/delivery-receipt-response-codes: Vibes' own codes, for the stage
# "System" only. Samples of later stages pair them with errors that they do not fit.
REPORT_INTERNAL: Mapping[str, tuple[State, Reason | None]] = {
    "1": (State.REJECTED, Reason.UNROUTABLE),
    "2": (State.REJECTED, Reason.CONFIGURATION),
    "3": (State.REJECTED, Reason.CONFIGURATION),
    "4": (State.REJECTED, Reason.CONFIGURATION),
    "5": (State.REJECTED, Reason.CONFIGURATION),
    "6": (State.REJECTED, Reason.CONFIGURATION),
    "7": (State.FAILED, Reason.CANCELED),
    "8": (State.REJECTED, Reason.UNROUTABLE),
    "9": (State.REJECTED, Reason.OPTED_OUT),
    "10": (State.FAILED, Reason.TEMPORARY),
    "11": (State.UNKNOWN, Reason.OTHER),
    "12": (State.REJECTED, Reason.QUOTA),
    "13": (State.EXPIRED, Reason.EXPIRED),
    # A part that came twice was dropped: the lowest state there is, so that it stands in the story and changes nothing.
    "14": (State.QUEUED, None),
    "15": (State.REJECTED, Reason.CONFIGURATION),
    "16": (State.REJECTED, Reason.INVALID_SENDER),
}
# The meanings are those of https://developer.vibes.com/pages/viewpage.action?pageId=29164422, which survives without
# its numbers; but for 107 they are inferred from the order. So a description's own words go first.
REPORT_CARRIER: Mapping[str, tuple[State, Reason | None]] = {
    "100": (State.UNKNOWN, Reason.NO_REPORT),
    "101": (State.EXPIRED, Reason.EXPIRED),
    "102": (State.FAILED, Reason.CARRIER_BLOCKED),
    "103": (State.UNDELIVERED, Reason.UNREACHABLE),
    "104": (State.SENT, None),
    "105": (State.REJECTED, Reason.UNREACHABLE),
    "106": (State.REJECTED, Reason.CARRIER_BLOCKED),
    "107": (State.FAILED, Reason.CARRIER_BLOCKED),
    "255": (State.UNKNOWN, Reason.OTHER),
}
REPORT_WORDS = (
    ("failed while submitting", "107"),
    ("not opted in", "106"),
    ("undeliverable", "103"),
    ("expired", "101"),
    ("deleted", "102"),
    ("rejected", "105"),
    ("accepted", "104"),
    ("unknown error", "255"),
    ("unknown", "100"),
)
REFUSAL_STATUSES: Mapping[int, tuple[Reason, Retry]] = {
    401: (Reason.CREDENTIALS, Retry.NEVER),
    403: (Reason.ACCOUNT, Retry.NEVER),
    404: (Reason.CONFIGURATION, Retry.NEVER),
    429: (Reason.THROTTLED, Retry.LATER),
}
# No list of the errors of a send is public. These are words that Vibes' lists and samples use of each fault; none of
# them makes the gateway send the same again.
REFUSAL_WORDS = (
    ("authenticat", Reason.CREDENTIALS, Retry.NEVER),
    ("mdn blocked", Reason.OPTED_OUT, Retry.NEVER),
    ("block list", Reason.OPTED_OUT, Retry.NEVER),
    ("route", Reason.UNROUTABLE, Retry.OTHER_SENDER),
    ("lease", Reason.INVALID_SENDER, Retry.OTHER_SENDER),
    ("source", Reason.INVALID_SENDER, Retry.OTHER_SENDER),
    ("destination", Reason.INVALID_RECIPIENT, Retry.NEVER),
    ("mdn", Reason.INVALID_RECIPIENT, Retry.NEVER),
    ("capped", Reason.QUOTA, Retry.NEVER),
    ("text", Reason.INVALID_CONTENT, Retry.NEVER),
)
