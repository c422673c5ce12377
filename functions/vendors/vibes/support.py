"""What is written to Vibes' support."""

from __future__ import annotations

from collections.abc import Mapping

SUPPORT: tuple[Mapping[str, str], ...] = (
    {
        "language": "en",
        "subject": "Connect HTTP Message API: address for incoming messages",
        "text": """Hello,

this is about our account {account} for the Connect HTTP Message API and our senders {numbers}.

1. Please post what people send to these senders (moMessage, XML, version 3.2 with longMessageInfo) to
   {inbound}
   {proof}
2. Please give numbers in full, such as +13125550142.
3. Delivery receipts (mtMessageResponse) need no set-up: each message names this callbackUrl for them,
   {report}
4. Please tell us the source type of senders that are no short codes, how many messages a second we may send, and
   whether you act on STOP yourselves.

Both addresses are confidential: they prove that a request is yours.

Kind regards
""",
        "basic": "with Basic authentication, user name {user}; the password follows by a safe channel.",
        "none": "without authentication.",
        "all": "(all of them)",
    },
    {
        "language": "de",
        "subject": "Connect HTTP Message API: Adresse für eingehende Nachrichten",
        "text": """Guten Tag,

es geht um unser Konto {account} für die Connect HTTP Message API und um unsere Absender {numbers}.

1. Bitte senden Sie, was an diese Absender geht (moMessage, XML, Version 3.2 mit longMessageInfo), per POST an
   {inbound}
   {proof}
2. Bitte geben Sie Rufnummern vollständig an, etwa +13125550142.
3. Für Zustellberichte (mtMessageResponse) ist nichts einzurichten: Jede Nachricht nennt dafür die callbackUrl,
   {report}
4. Bitte nennen Sie uns den source type von Absendern, die keine Kurzwahlnummern sind, wie viele Nachrichten wir in der
   Sekunde senden dürfen und ob Sie STOP selbst beachten.

Beide Adressen sind vertraulich: Sie beweisen, dass eine Anfrage von Ihnen kommt.

Mit freundlichen Grüßen
""",
        "basic": "mit Basic-Authentifizierung, Benutzername {user}; das Passwort folgt auf einem sicheren Weg.",
        "none": "ohne Authentifizierung.",
        "all": "(alle)",
    },
)
