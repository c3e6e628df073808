"""What the PKI service keeps: one SQLite file for its registry, opened so that what was committed survives a power cut."""
