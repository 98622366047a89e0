"""Encoders: networks that guess the codes of a picture. pSp, e4e and ReStyle."""

from models.encoders.encoder import Encoder

__all__ = ["Encoder"]
