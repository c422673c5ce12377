"""How functions fail that no caller waits for: the host logs and reports whatever they raise, word for word.

So what leaves them says which error it was and where, and quotes nothing: the words of an error may hold a number, a
text or a credential.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable


class FailedError(Exception):
    """A function could not do its work; the host tries again where its trigger does so."""


async def carry_out(what: str, work: Callable[[], Awaitable[object]]) -> None:
    """Do the work of a function.

    Args:
        what: The function's name.
        work: What to do.

    Raises:
        FailedError: It failed or was cancelled. The worker would never answer for a cancelled function, see
            https://github.com/Azure/azure-functions-python-worker; a failed one is tried again.
    """
    try:
        await work()
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - the last boundary
        failure = FailedError(f"{what} failed with {type(error).__name__} at {place_of(error)}")
    else:
        return
    # Outside of the clause above, so that the error is not reported along as this one's context.
    raise failure


def place_of(error: BaseException) -> str:
    """Return where an error was raised: a log line that quotes nothing."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else "?"
