"""What is written to Telesign's support: language, subject and text."""

from __future__ import annotations

SUPPORT = (
    (
        "en",
        "SMS API for Customer ID {customer}: status callbacks, inbound SMS and sender ids",
        """Hello,

please set up the SMS API (POST /v1/messaging) for Customer ID {customer}, sender ids {senders}:

1. Enable status callbacks and the parameter callback_url, which names this address with every message:
   {report}
2. Register this address for inbound SMS (2-way) to the numbers above:
   {inbound}
3. Allow the sender ids above for ARN and MKT traffic.

Both addresses take POST with application/json over HTTPS on port 443 and answer 200. They check the signature in
Authorization and X-TS-Authorization (HMAC-SHA256 with our API key); there is no user name or password to enter.
Please tell us how many transactions per second the account has.
""",
    ),
    (
        "de",
        "SMS API für Customer ID {customer}: Status-Callbacks, eingehende SMS und Absender",
        """Guten Tag,

bitte richten Sie die SMS API (POST /v1/messaging) für Customer ID {customer}, Absender {senders}, ein:

1. Status-Callbacks und den Parameter callback_url freischalten, der mit jeder Nachricht diese Adresse nennt:
   {report}
2. Diese Adresse für eingehende SMS (2-Way) an die genannten Nummern eintragen:
   {inbound}
3. Die genannten Absender für ARN und MKT freigeben.

Beide Adressen nehmen POST mit application/json über HTTPS auf Port 443 an und antworten mit 200. Sie prüfen die
Signatur in Authorization und X-TS-Authorization (HMAC-SHA256 mit unserem API-Schlüssel); Benutzername oder Passwort
sind nicht einzutragen. Bitte teilen Sie uns mit, wie viele Transaktionen pro Sekunde das Konto hat.
""",
    ),
)
