"""Certificates for the gateway and its stations, from a PKI that speaks EST. `identity` is the gateway's own pair on
disk, `est` the client, `answer` the verification of what came, `enrolment` the act of getting one's own, `renewal` that
it happens in time, `order` what a station may ask for, `registrar` asking the PKI for it.
"""
