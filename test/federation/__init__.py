"""Servers that speak to each other, on loopback addresses, with a DNS zone of their own."""
