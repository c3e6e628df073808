"""The operator's way into a running gateway: HTTP on a socket in the state directory, and the commands that use it."""
