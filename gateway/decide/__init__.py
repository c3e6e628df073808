"""The gateway's rules, pure: what is true about a token, a chain and the uplink goes in, a decision comes out."""
