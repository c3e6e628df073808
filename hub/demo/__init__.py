"""`pnc-hub demo`: a month of roaming among two CPOs, two eMSPs and a hub, each a running hub program of its own.

Start with `play`, which has the acts in their order; `cast` says who plays, `month` what is charged, `site` what a
gateway sends of it, `platform` runs a program and asks it, `account` says what has to hold at the end.
"""
