"""Whether an account is there, on pages for everybody (webpresence)."""
