"""The ledger as an operator looks at it: what it is, whether it is whole, and proofs for others."""
