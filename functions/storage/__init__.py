"""Where the gateway keeps things: ports, and two families that implement them."""
