"""What accounts take and send, by their lists."""
