"""Signed meter values before a person: files and batches of them are read, judged, and shown (`pnc-gateway meter`).

Reading order: given (a file to records), judged (records to verdicts), steps and page (verdicts for people), batch
(lines for machines), command.
"""
