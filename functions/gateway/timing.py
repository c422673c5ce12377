"""How long the gateway waits for what; one place, so that tests can make hours pass in a second."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Timing:
    """The waits, in seconds unless they say otherwise.

    Args:
        lease: For which the claim of an attempt holds; after that its worker makes no more calls.
        margin: Before the end of the lease, beside the time one call may take, after which no call is begun: covers the
            difference of two machines' clocks.
        settle_after: Until the vendor's log is taken for evidence that a message was not sent; doubled each time.
        max_lookups: Times the vendor's log is read before a message stays unknown.
        backoff_base: After the first passing refusal; doubled each time.
        backoff_cap: The most between two tries.
        circuit_wait: After a provider's calls failed one after another, until one call tries again; doubled each time
            that fails too.
        circuit_cap: The most between two such trials.
        grace: For which the sweeper leaves alone what is due: its queue message is probably on its way.
        ask_after: Age from which a batch's open messages are asked for, each time the sweeper looks at it.
        sweep_for: For which a sweep takes up batches; the host ends a function that runs for longer than its time-out.
        upkeep_for: For which one run of the upkeep takes up work: deleting by age, and erasing people.
        young: Up to this age every sweep looks at a batch, then ever more rarely.
    """

    lease: float = 120.0
    margin: float = 10.0
    settle_after: float = 10.0
    max_lookups: int = 5
    backoff_base: float = 1.0
    backoff_cap: float = 60.0
    circuit_wait: float = 5.0
    circuit_cap: float = 120.0
    grace: timedelta = timedelta(seconds=30)
    ask_after: timedelta = timedelta(minutes=10)
    sweep_for: timedelta = timedelta(minutes=3)
    upkeep_for: timedelta = timedelta(minutes=3)
    young: timedelta = timedelta(minutes=6)

    @property
    def never_closed_before(self) -> timedelta:
        """The age before which no sweeper has closed a batch, whatever the difference of two machines' clocks."""
        return self.grace - timedelta(seconds=self.margin)
