"""Where bytes are kept for good: one protocol, a local folder and S3 behind it."""
