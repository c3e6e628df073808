"""HTTP for the charger software on this box: OCSP answers for its TLS handshakes, and whether the gateway is well."""
