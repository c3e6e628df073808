"""The commands of `pnc-pki` that work on a state folder; `pki.__main__` registers them."""
