"""What the PKI service keeps: one SQLite file, opened so that what was committed survives a power cut."""
