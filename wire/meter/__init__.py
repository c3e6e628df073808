"""Signed meter values (OCMF): what a meter signed, whether it did, and whether two records make a session.

Reading order: record (values), ocmf (bytes to record), draft (values to signed bytes), keys, carrier (how OCPP wraps a
record), verdict, judge (is this record what the meter signed?), session (do two records make one billable session?).
"""
