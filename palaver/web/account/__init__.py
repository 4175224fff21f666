"""Pages where people look after their own account."""
