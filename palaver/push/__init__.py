"""What the modules that tell others of events share, and push notifications (XEP-0357) above all."""
