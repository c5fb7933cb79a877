"""State: records in, account out."""
