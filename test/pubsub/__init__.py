"""Publish-Subscribe: a service on a domain of its own, through its module."""
