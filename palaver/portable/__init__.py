"""What an account has, in a form that other servers read (XEP-0227)."""
