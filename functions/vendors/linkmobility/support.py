"""What is written to LINK's support."""

from __future__ import annotations

from types import MappingProxyType

SUPPORT_WORDS = MappingProxyType(
    {
        "en": {
            "subject": "SMS REST API: gates for delivery reports and replies, platformPartnerId {partner}",
            "callbackPassword": (
                '\n   Basic authentication with the user name "{user}"; the password follows by a safe channel.'
            ),
            "callbackSecret": "\n   Header {header} (http.header1); its value follows by a safe channel.",
            "text": """Dear LINK Mobility support,

we send SMS over the SMS REST API of your Common platform. Please

1. confirm our account: host {host}, login {login}, platformId {platform}, platformPartnerId {partner};

2. create two gates with one destination each, and tell us their gate ids:
   Delivery reports: {report}
   Replies (MO): {inbound}
   Both: HTTP POST, content type application/json, acknowledge off, ttl {hours} hours.{proofs}

3. route these numbers and all their keywords to the gate for replies: {numbers}
   This includes the DEFAULT keyword and the notifications (notifyStop) of shared STOP keywords;

4. tell us how many messages a second we may send, from which addresses your gates call, and whether a message sent
   again with the same refId is recognised.

Kind regards""",
        },
        "de": {
            "subject": "SMS REST API: Gates für Zustellberichte und Antworten, platformPartnerId {partner}",
            "callbackPassword": (
                "\n   Basic Authentication mit dem Benutzernamen „{user}“; das Passwort folgt auf sicherem Weg."
            ),
            "callbackSecret": "\n   Header {header} (http.header1); sein Wert folgt auf sicherem Weg.",
            "text": """Guten Tag,

wir versenden SMS über die SMS REST API Ihrer Common-Plattform. Bitte

1. bestätigen Sie unser Konto: Host {host}, Login {login}, platformId {platform}, platformPartnerId {partner};

2. legen Sie zwei Gates mit je einem Ziel an und nennen Sie uns die Gate-IDs:
   Zustellberichte: {report}
   Antworten (MO): {inbound}
   Beide: HTTP POST, Content-Type application/json, acknowledge aus, ttl {hours} Stunden.{proofs}

3. leiten Sie diese Nummern mit allen Keywords auf das Gate für Antworten: {numbers}
   Dazu gehören das Keyword DEFAULT und die Benachrichtigungen (notifyStop) gemeinsam genutzter STOP-Keywords;

4. nennen Sie uns die erlaubten Nachrichten pro Sekunde, die Adressen, von denen Ihre Gates senden, und ob eine
   Nachricht erkannt wird, die mit derselben refId noch einmal gesendet wird.

Mit freundlichen Grüßen""",
        },
    }
)
