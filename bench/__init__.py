"""What the verifier costs, next to raw signature verification and to its peers: `make bench`."""
