"""The edge program: verifies, decides, stores and syncs beside the chargers, with or without an uplink.

Reading order: decide (pure rules), store (what is kept and how), chargers (OCPP in), uplink (records out), __main__.
"""
