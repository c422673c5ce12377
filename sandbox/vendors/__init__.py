"""One file per simulated vendor; `sandbox.registry` finds them by their `VENDOR`."""
