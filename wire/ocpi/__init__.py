"""OCPI 2.3.0 as values, with an adapter for 2.2.1: what roaming partners say to each other. Pure.

An object is met twice: as its document, the JSON that came, in which unknown fields are kept and which is what is
stored, merged by PATCH and sent on; and as its value, the typed view that rules are applied to.
"""
