"""Settlement: what parties owe each other for a period, as invoices that can be checked line by line. Pure."""
