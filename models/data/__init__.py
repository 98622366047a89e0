"""Datasets as files: pictures, masks, archives, shards, manifests, cards. Knows no torch."""
