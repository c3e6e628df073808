"""Signed meter values: what a meter signed, whether it did, and whether two records make a session.

Reading order: record (values), ocmf (bytes to record), draft (values to signed bytes), curves, keys, carrier (how OCPP
wraps a record), recognise (what it then is), formats (the ones beside OCMF, in its terms), verdict, signature, judge
(is this record what the meter signed?), session (do two records make one billable session?), told (verdicts as JSON),
export (the forms in which others check it).
"""
