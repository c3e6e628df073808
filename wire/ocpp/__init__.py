"""OCPP-J: frames (the same in every version), the messages a session needs in 1.6 and 2.0.1, Plug & Charge over 1.6,
and one version-blind reading of transaction messages.
"""
