"""The access keys of the app: who may call what, kept in a file that only its owner can read."""

from __future__ import annotations

import enum
import hmac
import json
import os
import secrets
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

EVENT_GRID_KEY = "eventgrid_extension"
"""The system key that opens the Event Grid endpoint."""

_KEY_BYTES = 40


class Level(enum.Enum):
    """What a key stands for.

    https://learn.microsoft.com/azure/azure-functions/function-keys-how-to
    """

    MASTER = "master"
    HOST = "host"
    FUNCTION = "function"
    SYSTEM = "system"


@dataclass(slots=True)
class Keys:
    """The keys of one app; a missing key opens nothing.

    Args:
        master: The admin key: opens everything.
        host: Host keys by name; each opens every function of level ``function``.
        functions: Function keys by function and name; each opens that function.
        system: System keys by name; each opens the endpoint of one extension.
        path: Where they are kept, or ``None`` when they live in memory only.
    """

    master: str
    host: dict[str, str] = field(default_factory=dict)
    functions: dict[str, dict[str, str]] = field(default_factory=dict)
    system: dict[str, str] = field(default_factory=dict)
    path: Path | None = None

    @classmethod
    def fresh(cls, path: Path | None = None) -> Keys:
        """Draw a new set: a master key, a default host key and the system key of Event Grid."""
        return cls(
            master=_draw(),
            host={"default": _draw()},
            system={EVENT_GRID_KEY: _draw()},
            path=path,
        )

    @classmethod
    def open(cls, path: Path) -> Keys:
        """Read the keys kept at ``path``, or draw and keep a new set; the file is made readable by its owner alone.

        Raises:
            ValueError: The file is there but is not one of ours; delete it to get new keys.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            keys = cls.fresh(path)
            keys.save()
            return keys
        try:
            document = json.loads(text)
            keys = cls(document["master"], document["host"], document["functions"], document["system"], path)
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path.name} does not hold keys; delete it and new ones are made") from error
        path.chmod(0o600)
        return keys

    def save(self) -> None:
        """Write the keys to their file in one step, so that a crash leaves the old or the new ones."""
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        document = {"master": self.master, "host": self.host, "functions": self.functions, "system": self.system}
        # mkstemp makes the file with mode 0600, so no key is ever readable by others, not even for a moment.
        handle, draft = tempfile.mkstemp(dir=self.path.parent, prefix=self.path.name)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=2)
        Path(draft).replace(self.path)

    def of_function(self, function: str, name: str = "default") -> str:
        """Return the key of that name for a function, drawing and keeping it when there is none yet."""
        named = self.functions.setdefault(function, {})
        if name not in named:
            named[name] = _draw()
            self.save()
        return named[name]

    def level(self, value: str | None, function: str | None = None) -> tuple[Level, str] | None:
        """Tell what a presented key stands for.

        Args:
            value: The key as it came in the request, compared exactly.
            function: The function that was asked for; other functions' keys count for nothing.

        Returns:
            The level and the key's name, or ``None`` for an unknown key.
        """
        if not value:
            return None
        known = [(Level.MASTER, "master", self.master)]
        known += [(Level.HOST, name, key) for name, key in self.host.items()]
        known += [(Level.FUNCTION, name, key) for name, key in self.functions.get(function or "", {}).items()]
        known += [(Level.SYSTEM, name, key) for name, key in self.system.items()]
        given = value.encode()
        return next(((level, name) for level, name, key in known if hmac.compare_digest(given, key.encode())), None)


def _draw() -> str:
    return secrets.token_urlsafe(_KEY_BYTES)
