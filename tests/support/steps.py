"""What the steps of a downstream training do with their pictures."""

from models.augmentation import augmented
from models.downstream import judging


def moves_seen(monkeypatch):
    """
    Whether the pictures of each step from now on are moved.
    """
    seen = []

    def spied(images, labels, stream, strength, *rest):
        seen.append(strength != strength.settled())
        return augmented(images, labels, stream, strength, *rest)

    monkeypatch.setattr(judging, "augmented", spied)
    return seen
