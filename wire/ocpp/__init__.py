"""OCPP-J: frames, the messages of 1.6, 2.0.1 and 2.1, what is accepted beyond them, Plug & Charge over 1.6,
and one version-blind reading of transaction messages.
"""
