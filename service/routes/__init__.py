"""One file per resource; each says which requests it answers, and with what."""
