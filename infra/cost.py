"""What the gateway costs a month on Azure, from counted operations and list prices: python3 -m infra.cost.

The counts are held by tests/infra/test_cost.py, which runs the gateway and counts. The prices are list prices in US
dollars for a large US region, noted by hand: check them before you rely on a total. Text messages themselves, which the
vendor charges, cost a hundred times more.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass

PRICES_NOTED = "November 2026"
SECONDS_A_MONTH = 730 * 3600
VOLUMES = (10_000, 1_000_000, 100_000_000)


@dataclass(frozen=True, slots=True)
class Price:
    """A list price.

    Args:
        usd: US dollars a unit.
        unit: What one is.
        source: Where Microsoft publishes it.
        free: Units a month that cost nothing.
    """

    usd: float
    unit: str
    source: str
    free: float = 0.0

    def of(self, units: float) -> float:
        """Return what so many units cost."""
        return max(0.0, units - self.free) * self.usd


_FUNCTIONS = "https://azure.microsoft.com/pricing/details/functions/"
_STORAGE = "https://azure.microsoft.com/pricing/details/storage/"
_MONITOR = "https://azure.microsoft.com/pricing/details/monitor/"
PRICES = {
    "execution": Price(0.40 / 1e6, "execution", _FUNCTIONS, free=250_000),
    "on demand": Price(0.000026, "GB-second while functions run", _FUNCTIONS, free=100_000),
    "always ready": Price(0.000004, "GB-second, running or not", _FUNCTIONS),
    "table request": Price(0.00036 / 1e4, "request", _STORAGE + "tables/"),
    "queue request": Price(0.004 / 1e4, "request", _STORAGE + "queues/"),
    "table storage": Price(0.0563, "GB and month, ZRS", _STORAGE + "tables/"),
    "event": Price(0.60 / 1e6, "operation", "https://azure.microsoft.com/pricing/details/event-grid/", free=100_000),
    "telemetry": Price(2.30, "GB", _MONITOR, free=5),
    "query alert": Price(1.50, "rule that looks every 5 minutes, and month", _MONITOR),
    "metric alert": Price(0.10, "rule and month", _MONITOR),
    "private endpoint": Price(
        0.01 * 730, "endpoint and month", "https://azure.microsoft.com/pricing/details/private-link/"
    ),
    "private zone": Price(0.50, "zone and month", "https://azure.microsoft.com/pricing/details/dns/"),
}


@dataclass(frozen=True, slots=True)
class Use:
    """What one message takes, from accepting it to its last report.

    Args:
        tables: Requests to tables.
        swept: Requests to tables of the sweeps that wait for its reports and then close its batch.
        tidied: Requests to tables that delete it when it is old, and its raw payloads before.
        queues: Requests to queues, the host's own included.
        http: Executions of HTTP functions.
        other: Executions of all other functions that are not started by the clock.
        batches: Batches it makes; a call of 1,000 makes ten.
        stored: Bytes that are kept.
    """

    tables: float
    swept: float
    tidied: float
    queues: float
    http: float
    other: float
    batches: float
    stored: int

    @property
    def all_tables(self) -> float:
        """All requests to tables."""
        return self.tables + self.swept + self.tidied


CLOSING = 5.0
"""Requests with which a sweep closes a batch of which all is known."""
OPEN_TO_THE_END = 75.0
"""Requests for a batch of which something is never reported: ever rarer looks for the whole report window."""
UNREPORTED = 0.05
"""Messages of which no report comes, of all; so practically every batch of a hundred has one."""
USES = {
    "bulk": Use(
        tables=1.0, swept=OPEN_TO_THE_END / 100, tidied=0.09, queues=0.04, http=2.01, other=0.011, batches=0.01,
        stored=1_200,
    ),
    "one by one": Use(
        tables=12.0, swept=CLOSING + UNREPORTED * OPEN_TO_THE_END, tidied=4.2, queues=4.0, http=3.0, other=1.1,
        batches=1.0, stored=3_500,
    ),
}  # fmt: skip
"""A call of 1,000 messages, and a call for each; at a vendor that takes one recipient a call and reports twice.

Requests for reports depend on how many come together; this is the most that the budgets of tests/test_budgets.py allow.
"""


@dataclass(frozen=True, slots=True)
class Timer:
    """What a function that the clock starts takes while there is nothing to do.

    Args:
        runs: A month.
        tables: Requests to tables, a run.
        queues: Requests to queues, a run.
    """

    runs: float
    tables: float = 0.0
    queues: float = 0.0


TIMERS = {
    "sweep_batches": Timer(SECONDS_A_MONTH / 60, tables=16),
    "watch_queues": Timer(SECONDS_A_MONTH / 300, queues=2),
    "erase_people": Timer(SECONDS_A_MONTH / 600, tables=1),
    "delete_by_age": Timer(SECONDS_A_MONTH / 600, tables=9),
}
"""All of them, by their names; tests/infra/test_cost.py holds them against the app."""

MEMORY_GB = 2.0
CORES = 1.0
SECONDS_OF_CORE = {"execution": 0.0027, "request": 0.0014}
"""Measured: host and worker for an execution, Azure's client for a storage request."""
UTILISATION = 0.5
"""Of its cores that an instance is used before Azure starts the next."""
LEAST_SECONDS = 1.0
"""Billed for an execution that runs alone: https://learn.microsoft.com/azure/azure-functions/flex-consumption-plan#billing."""
TIMER_EXECUTIONS = sum(timer.runs for timer in TIMERS.values())
PAGE_ROWS = 1_000
PAGE_SECONDS = 0.05
"""Measured against Azurite: Azure's client reads a page of the largest size."""
LONGEST_SWEEP = 180.0
"""Seconds after which a sweep leaves the rest to the next: sweep_for of docs/architecture.md."""
SWEPT_MONTHS = (360 + 11 * 60) / SECONDS_A_MONTH
"""How much of the index a sweep reads: six minutes, and one for each age at which a batch is looked at."""
LONGEST_UPKEEP = 180.0
"""Seconds after which a run that deletes or erases leaves the rest to the next: upkeep_for of docs/architecture.md."""
ERASURES = 10
"""People a month who ask to be forgotten; a guess. Each time the index of all that is kept is read."""
QUERY_ALERTS, METRIC_ALERTS = 6, 4
"""Of modules/alerts.bicep, events included."""
QUEUE_POLLS = 2 * SECONDS_A_MONTH / 10
"""Looks of Azure at the two queues while nothing runs."""
TELEMETRY_BYTES = 2_000
"""For an execution, all its lines and figures together."""
TELEMETRY_CAP_GB = 5 * 30
"""logDailyCapGB of main.bicep, for a month."""
KEPT_MONTHS = 12
"""SMS_KEEP_MESSAGES_DAYS."""


@dataclass(frozen=True, slots=True)
class Cost:
    """US dollars a month."""

    functions: float
    storage: float
    telemetry: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.functions + self.storage + self.telemetry


def active_seconds(executions: float, busy: float) -> float:
    """Return for how many seconds instances of one group of functions are billed as running.

    Executions that are spread evenly over the month, the dearest way, overlap by chance; a group that is busier than
    one core allows needs more instances.

    Args:
        executions: A month.
        busy: Seconds of a core that they take in all.
    """
    alone = SECONDS_A_MONTH * (1 - math.exp(-executions * LEAST_SECONDS / SECONDS_A_MONTH))
    return max(alone, busy / (CORES * UTILISATION))


@dataclass(frozen=True, slots=True)
class Ticked:
    """What the runs of one timer take a month.

    Args:
        seconds: Billed as running.
        tables: Requests to tables.
        queues: Requests to queues.
    """

    seconds: float
    tables: float
    queues: float


def timers(use: Use, messages: float) -> list[Ticked]:
    """Return what each timer takes; on Flex Consumption each runs on instances of its own, one run at a time.

    Args:
        use: What one message takes.
        messages: A month.
    """
    per_request = SECONDS_OF_CORE["request"] / UTILISATION
    sweeps, upkeep = TIMERS["sweep_batches"].runs, LONGEST_UPKEEP
    pages = use.batches * messages * SWEPT_MONTHS / PAGE_ROWS
    erased = ERASURES * use.batches * messages * KEPT_MONTHS / PAGE_ROWS
    swept, tidied = use.swept * messages, use.tidied * messages
    more = {
        "sweep_batches": (sweeps * pages + swept, sweeps * pages * PAGE_SECONDS + swept * per_request, LONGEST_SWEEP),
        # After each page it remembers how far it came.
        "erase_people": (2 * erased, erased * (PAGE_SECONDS + per_request), upkeep),
        "delete_by_age": (tidied, tidied * per_request, upkeep),
    }
    ticked = []
    for name, timer in TIMERS.items():
        requests, busy, longest = more.get(name, (0.0, 0.0, LEAST_SECONDS))
        seconds = min(max(timer.runs * LEAST_SECONDS, busy), timer.runs * longest, SECONDS_A_MONTH)
        ticked.append(Ticked(seconds, timer.runs * timer.tables + requests, timer.runs * timer.queues))
    return ticked


def swept_in_time(use: Use) -> float:
    """Return how many messages a month sweeps can look after, each within its time."""
    requests = LONGEST_SWEEP / (SECONDS_OF_CORE["request"] / UTILISATION)
    return TIMERS["sweep_batches"].runs * requests / use.swept


def tidied_in_time(use: Use) -> float:
    """Return of how many messages a month all can be deleted again in the time that the runs have."""
    requests = LONGEST_UPKEEP / (SECONDS_OF_CORE["request"] / UTILISATION)
    return TIMERS["delete_by_age"].runs * requests / use.tidied


def cost(use: Use, messages: float) -> Cost:
    """Return what so many messages a month cost, without what runs all the time.

    Args:
        use: What one message takes.
        messages: A month.
    """
    per_request, per_execution = SECONDS_OF_CORE["request"], SECONDS_OF_CORE["execution"]
    clock = timers(use, messages)
    http, other = use.http * messages, use.other * messages
    requests = (use.tables + use.queues) * messages
    busy = {group: part * per_execution + requests * per_request * part / (http + other) for group, part in
            (("http", http), ("other", other))}  # fmt: skip
    seconds = (
        active_seconds(http, busy["http"])
        + active_seconds(other, busy["other"])
        + sum(timer.seconds for timer in clock)
    )
    executions = http + other + TIMER_EXECUTIONS
    kept = use.stored * messages * KEPT_MONTHS / 1e9
    return Cost(
        functions=PRICES["on demand"].of(seconds * MEMORY_GB) + PRICES["execution"].of(executions),
        storage=PRICES["table request"].of(use.tables * messages + sum(timer.tables for timer in clock))
        + PRICES["queue request"].of(use.queues * messages + QUEUE_POLLS + sum(timer.queues for timer in clock))
        + PRICES["table storage"].of(kept),
        telemetry=PRICES["telemetry"].of(min(executions * TELEMETRY_BYTES / 1e9, TELEMETRY_CAP_GB)),
    )


def events(messages: float) -> float:
    """Return what Event Grid asks for a report a message of Azure Communication Services: taken in and delivered."""
    return PRICES["event"].of(2 * messages)


def standing() -> list[tuple[str, float]]:
    """Return what runs all the time, in US dollars a month, by what it is."""
    instance = PRICES["always ready"].of(MEMORY_GB * SECONDS_A_MONTH)
    network = 4 * PRICES["private endpoint"].usd + 4 * PRICES["private zone"].usd
    return [
        ("an always ready instance of 2,048 MB", instance),
        ("the alerts", QUERY_ALERTS * PRICES["query alert"].usd + METRIC_ALERTS * PRICES["metric alert"].usd),
        ("the private network", network),
    ]


def dollars(amount: float) -> str:
    """Return an amount as nobody could take for exact: two digits that count."""
    if amount < 1:
        return "under 1"
    digits = 1 - math.floor(math.log10(amount))
    return f"{round(amount, digits):,.0f}"


def volume_rows() -> list[list[str]]:
    """Return the table of costs by volume: how messages come, how many, and US dollars."""
    return [
        [name, f"{messages:,}", *(dollars(part) for part in (made.functions, made.storage, made.telemetry, made.total)),
         f"{made.total / messages * 1000:.3f}", dollars(events(messages))]
        for name, use in USES.items() for messages in VOLUMES for made in (cost(use, messages),)
    ]  # fmt: skip


def price_rows() -> list[list[str]]:
    """Return the table of prices."""
    return [
        [name, f"{price.usd:.10f}".rstrip("0").rstrip("."), price.unit, f"{price.free:,.0f}" if price.free else "",
         f"[{price.source.removeprefix('https://azure.microsoft.com/pricing/details/').strip('/')}]({price.source})"]
        for name, price in PRICES.items()
    ]  # fmt: skip


def use_rows() -> list[list[str]]:
    """Return the table of what a message takes."""
    return [
        [name, f"{use.all_tables:.3g}", f"{use.queues:g}", f"{use.http:g}", f"{use.other:g}", f"{use.stored:,}"]
        for name, use in USES.items()
    ]


def standing_rows() -> list[list[str]]:
    """Return the table of what runs all the time."""
    return [[name, dollars(amount)] for name, amount in standing()]


def main() -> int:
    """Print the totals."""
    for row in volume_rows():
        sys.stdout.write("  ".join(f"{cell:>12}" for cell in row) + "\n")
    for name, amount in standing_rows():
        sys.stdout.write(f"{name:40} {amount:>8}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
