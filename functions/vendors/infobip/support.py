"""What is written to Infobip's support, sentence by sentence."""

from __future__ import annotations

from collections.abc import Mapping

SUPPORT: tuple[tuple[str, Mapping[str, str]], ...] = (
    (
        "en",
        {
            "subject": "Forwarding of SMS replies and delivery reports",
            "inbound": "Please forward inbound SMS (MO) for our numbers {numbers}\nby HTTP POST in the format "
            "MO_JSON_2 to this address:\n{inbound}",
            "report": "Please post SMS delivery reports (JSON, v3) of our account to this address:\n{report}",
            "own_address": "Delivery reports need no set-up: each message names this address:\n{report}",
            "callbackPassword": "The requests must carry Basic authentication with the user name {user}.",
            "callbackSecret": "The requests must carry the header {header} with a value of ours.",
            "safe_channel": "Please name a safe channel: secrets follow there and never by mail.",
            "end": "The addresses are confidential. Please confirm when this is done. Thank you.",
        },
    ),
    (
        "de",
        {
            "subject": "Weiterleitung von SMS-Antworten und Zustellberichten",
            "inbound": "Bitte leiten Sie eingehende SMS (MO) für unsere Nummern {numbers}\nper HTTP POST im Format "
            "MO_JSON_2 an diese Adresse weiter:\n{inbound}",
            "report": "Bitte senden Sie die SMS-Zustellberichte (JSON, v3) unseres Kontos an diese Adresse:\n{report}",
            "own_address": "Zustellberichte brauchen keine Einrichtung: Jede Nachricht nennt diese Adresse:\n{report}",
            "callbackPassword": "Die Anfragen müssen Basic-Authentifizierung mit dem Benutzernamen {user} enthalten.",
            "callbackSecret": "Die Anfragen müssen den Header {header} mit einem Wert von uns enthalten.",
            "safe_channel": "Bitte nennen Sie uns einen sicheren Weg: Geheimnisse folgen dort und nie per E-Mail.",
            "end": "Die Adressen sind vertraulich. Bitte bestätigen Sie die Einrichtung. Vielen Dank.",
        },
    ),
)
