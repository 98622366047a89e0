"""The method: arrays and paths in, arrays out. No web, no queue, no store, no environment."""
