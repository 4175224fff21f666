"""Who is online where, and the bus between processes."""
