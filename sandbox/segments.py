"""How many SMS a text becomes: GSM-7 or UCS-2, in one part or in several (3GPP TS 23.038)."""

from __future__ import annotations

_GSM = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà",
)
_GSM_ESCAPED = frozenset("\f^{}\\[~]|€")
_LAST_OF_BMP = 0xFFFF


def is_gsm(text: str) -> bool:
    """Tell whether a text fits the GSM alphabet; another is sent in UCS-2."""
    return all(char in _GSM or char in _GSM_ESCAPED for char in text)


def count_segments(text: str) -> int:
    """Count the parts a text is sent in; an empty text counts as one.

    A character of two units is never split, so the last unit of a part may stay empty.
    """
    if is_gsm(text):
        widths = [2 if char in _GSM_ESCAPED else 1 for char in text]
        alone, in_parts = 160, 153
    else:
        widths = [2 if ord(char) > _LAST_OF_BMP else 1 for char in text]
        alone, in_parts = 70, 67
    if sum(widths) <= alone:
        return 1
    parts, used = 1, 0
    for width in widths:
        if used + width > in_parts:
            parts, used = parts + 1, 0
        used += width
    return parts
