"""One file for each vendor that the demo can show; each ends in ``KIT``."""
