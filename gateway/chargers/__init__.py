"""Charging stations: sockets in, answers out. `server` owns sockets, `station` the conversation with one charger,
`answers` what OCPP wants to hear, `calls` what the gateway asks a station; `certificates` and `signing` bring it its
own certificates.
"""
