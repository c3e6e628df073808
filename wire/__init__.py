"""What is spoken: the values that travel and the protocols that carry them.

Pure: bytes, instants and randomness come in as arguments; nothing here opens a file or a socket or reads a clock.
Reading order: records, ids, ocpp, meter, sync.
"""
