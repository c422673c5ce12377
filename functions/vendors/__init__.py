"""One file per vendor behind one contract."""
