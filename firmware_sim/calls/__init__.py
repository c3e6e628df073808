"""The CALLs of a gateway that a charger answers, one module a subject; `table` puts them together for each version."""
