"""What services share that act for a host: privileged ones (XEP-0356), and managing ones (XEP-0355)."""
