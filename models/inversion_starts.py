"""The ways to a start of an inversion, each by its name, and which one is taken."""

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from models.configs import InversionConfig, Start
from models.encoders.encoder import Encoder
from models.inversion_targets import Wanted
from models.perceptual import Distance
from models.progress import Report
from models.starts import LinearEncoder, best_samples, best_starts, everywhere, fit_encoder
from models.stylegan2.networks import Generator

_SAMPLED: tuple[Start, ...] = ("samples", "best_of")


@dataclass
class Starts:
    """Every way to a start, by its name in `InversionConfig.start`.

    Attributes:
        generator: on the device to compute on.
        distance: on the same device.
        config: which, how many samples, which seed, how often ReStyle looks.
        report: told phase `searching` (samples), where samples are needed.
        encoder: on the same device, if there is one.
    """

    generator: Generator
    distance: Distance
    config: InversionConfig
    report: Report
    encoder: Encoder | None = None

    @property
    def tried(self) -> tuple[Start, ...]:
        """The ways that are to be compared: drawing samples is dear, what needs none is not."""
        encoders: tuple[Start, ...] = () if self.encoder is None else ("encoder",)
        sampled = self.config.compare_starts or self.chosen in _SAMPLED
        return (*encoders, *(_SAMPLED if sampled else ()), "mean")

    @property
    def chosen(self) -> Start:
        """The way that is asked for, or else the best.

        Raises:
            ValueError: an encoder's guess is asked for, but there is no encoder.
        """
        if self.config.start == "encoder" and self.encoder is None:
            raise ValueError("start 'encoder' needs an encoder: give one, or choose another start")
        return self.config.start or ("samples" if self.encoder is None else "encoder")

    def find(self, name: Start, wanted: Wanted) -> Tensor:
        """Codes float32 [N, num_ws, w_dim] for the wanted images, on the generator's device."""
        if name == "encoder":
            assert self.encoder is not None, "only a start that there is can be found"
            looks = self.config.restyle_iterations if self.encoder.config.restyle else 1
            return self.encoder.encode(wanted.images, self.generator, looks)
        if name == "mean":
            return everywhere(self.generator, self.generator.w_avg.expand(len(wanted.images), -1))
        search = best_starts if name == "samples" else best_samples
        return search(self.generator, self._fitted, wanted)

    @cached_property
    def _fitted(self) -> LinearEncoder:
        config = self.config
        return fit_encoder(self.generator, self.distance, config.starts, config.seed, self.report)
