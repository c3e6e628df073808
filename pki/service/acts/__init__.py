"""The acts of the PKI service. Each is one transaction of the registry with its audit entry: who did what, and why."""
