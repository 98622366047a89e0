"""What happens to the networks in one training step, and the state a step changes.

Knows no files and no clock; batches come from a `RenderCache`.
"""

import copy
import dataclasses
import math
from dataclasses import dataclass

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from models.demo import losses
from models.demo.cache import Batch, RenderCache, to_sphere
from models.demo.optimizer import MuonAndAdam
from models.demo.recipe import Z_DIM, Recipe
from models.demo.widening import widened
from models.stylegan2.discriminator import Discriminator
from models.stylegan2.networks import Generator

W_AVG_SAMPLES = 10_000


@dataclass
class Progress:
    """How far a run is."""

    pretrained: int = 0
    adversarial: int = 0
    discriminator_steps: int = 0
    seconds: float = 0.0

    @property
    def seen(self) -> int:
        """Images shown to the generator so far, both stages."""
        return self.pretrained + self.adversarial


class Trainer:
    """Generator, its average, discriminator and optimisers of one run."""

    def __init__(
        self,
        recipe: Recipe,
        cache: RenderCache,
        stream: torch.Generator,
        start: Generator | None = None,
    ) -> None:
        """Fresh networks; weights are drawn from torch's global stream.

        Args:
            recipe: all numbers.
            cache: where renders come from.
            stream: where batches, z and mixing come from.
            start: a generator to begin from, as wide as the recipe's or narrower; None for none.

        Raises:
            ValueError: `start` does not fit into the recipe's generator.
        """
        self.recipe, self.cache, self.stream = recipe, cache, stream
        self.share = recipe.batch // processes()
        config = recipe.generator_config()
        self.generator = Generator(config) if start is None else widened(start, config)
        self.average = copy.deepcopy(self.generator).eval().requires_grad_(False)
        self.discriminator = Discriminator(3, recipe.discriminator_channels)
        self.pretrain_optimizer = MuonAndAdam(self.generator)
        self.generator_optimizer = _adam(self.generator, recipe.generator_rate)
        self.discriminator_optimizer = _adam(self.discriminator, recipe.discriminator_rate)
        self.progress = Progress()
        self.dtype = torch.bfloat16 if recipe.bfloat16 else torch.float32

    @property
    def finished(self) -> bool:
        """Whether both stages are done."""
        return self.progress.adversarial >= self.recipe.adversarial_images and (
            self.progress.pretrained >= self.recipe.pretrain_images
        )

    def step(self) -> dict[str, float]:
        """One batch of whichever stage is due; returns its losses."""
        if self.progress.pretrained < self.recipe.pretrain_images:
            return self._pretrain()
        return self._adversarial()

    def _pretrain(self) -> dict[str, float]:
        """Regression of the render from z."""
        done = self.progress.pretrained / self.recipe.pretrain_images
        rate = self.recipe.pretrain_rate * (0.505 + 0.495 * math.cos(math.pi * done))
        self.pretrain_optimizer.set_rate(rate * min(1.0, done * 100 + 0.02))
        batch = self.cache.batch(self.share, self.stream)
        size = self.recipe.pretrain_size(self.progress.pretrained)
        images = self._draw(self.generator.map(batch.z), size)
        loss = self._regression(images, batch).mean()
        _descend(self.pretrain_optimizer, loss)
        self.progress.pretrained += self.recipe.batch
        self._update_average(self.progress.pretrained)
        l1 = F.l1_loss(images.detach(), _shrunk(batch.images, size))
        return {"size": size, "regression": loss.item(), "l1": l1.item()}

    def _regression(self, images: Tensor, batch: Batch) -> Tensor:
        """Distance of each image [N, 3, size, size] from its render: [N]."""
        size = images.shape[-1]
        weights = losses.detail_weights(batch.images)
        return losses.regression(images, _shrunk(batch.images, size), _shrunk(weights, size))

    def _adversarial(self) -> dict[str, float]:
        """One discriminator step and, once it is warm, one generator step."""
        size, images = self.recipe.adversarial_size(self.progress.adversarial)
        report = {"size": size} | self._discriminator_step(size)
        if images >= self.recipe.warmup_images:
            report |= self._generator_step(size)
            self._update_average(self.progress.seen)
        self.progress.adversarial += self.recipe.batch
        return report

    def _draw(self, ws: Tensor, size: int) -> Tensor:
        """Images float32 [N, 3, size, size] with fresh noise: the first blocks' for small sizes."""
        blocks = size.bit_length() - 2
        image: Tensor = self.generator.synthesis(ws, "random", self.dtype, blocks)[0]
        return image

    def _discriminator_step(self, size: int) -> dict[str, float]:
        n = self.share
        real_images = _shrunk(self.cache.batch(n, self.stream).images, size)
        with torch.no_grad():
            z = to_sphere(torch.randn(n, Z_DIM, generator=self.stream))
            ws, _ = self._mixed(z)
            fake_images = self._draw(ws, size)
        real = self.discriminator(real_images, self.dtype)
        fake = self.discriminator(fake_images, self.dtype)
        loss = losses.discriminator_loss(real, fake)
        report = {"d": loss.item(), "real": real.mean().item(), "fake": fake.mean().item()}
        if self.progress.discriminator_steps % self.recipe.r1_every == 0:
            penalty = self._penalty(real_images)
            report["r1"] = penalty.item()
            loss = loss + penalty * (self.recipe.r1 / 2 * self.recipe.r1_every)
        _descend(self.discriminator_optimizer, loss)
        self.progress.discriminator_steps += 1
        return report

    def _penalty(self, images: Tensor) -> Tensor:
        """R1 on half of the batch, in float32 because it is a gradient of a gradient."""
        half = images[: max(1, images.shape[0] // 2)].clone().requires_grad_()
        return losses.gradient_penalty(self.discriminator(half), half)

    def _generator_step(self, size: int) -> dict[str, float]:
        self.discriminator.requires_grad_(False)
        batch = self.cache.batch(self.share, self.stream)
        ws, mixed = self._mixed(batch.z)
        images = self._draw(ws, size)
        logits = self.discriminator(images, self.dtype)
        adversarial = losses.generator_loss(logits)
        paired = (self._regression(images, batch) * ~mixed).mean()
        _descend(self.generator_optimizer, adversarial + self._paired_weight() * paired)
        self.discriminator.requires_grad_(True)
        return {"g": adversarial.item(), "paired": paired.item()}

    def _paired_weight(self) -> float:
        """Weight of the paired term now; 0 where there was no regression stage."""
        if not self.recipe.pretrain_images:
            return 0.0
        done = self.progress.adversarial / self.recipe.adversarial_images
        return self.recipe.paired + (self.recipe.paired_end - self.recipe.paired) * min(1.0, done)

    def _mixed(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """ws of z, some with another sample's fine styles.

        Returns:
            ws [N, num_ws, w_dim] and bool [N], true where styles are mixed.
        """
        n, count = z.shape[0], self.generator.num_ws
        ws = self.generator.map(z)
        mixed = torch.rand(n, generator=self.stream) < self.recipe.mixing
        cut = torch.randint(1, count, (n,), generator=self.stream)
        foreign = mixed[:, None] & (torch.arange(count) >= cut[:, None])  # [N, num_ws]
        return torch.where(foreign[:, :, None], ws.roll(1, dims=0), ws), mixed

    @torch.no_grad()
    def _update_average(self, seen: int) -> None:
        """Moves the average towards the generator; its half-life grows with `seen` at first."""
        half_life = min(self.recipe.ema_images, max(seen * 0.05, 1e-8))
        beta = 0.5 ** (self.recipe.batch / half_life)
        pairs = zip(self.average.parameters(), self.generator.parameters(), strict=True)
        for own, latest in pairs:
            own.lerp_(latest, 1 - beta)

    @torch.no_grad()
    def refresh_w_avg(self) -> None:
        """Sets the averaged generator's mean w from fresh samples."""
        stream = torch.Generator().manual_seed(self.recipe.seed)
        z = torch.randn(W_AVG_SAMPLES, self.generator.z_dim, generator=stream)
        self.average.w_avg.copy_(self.average.mapping(z).mean(dim=0))

    def state(self) -> dict[str, object]:
        """Everything `restore` needs, as plain containers of tensors and numbers."""
        return {
            "progress": dataclasses.asdict(self.progress),
            **{name: part.state_dict() for name, part in self._parts().items()},
        }

    def restore(self, state: dict[str, object]) -> None:
        """Goes on from `state`."""
        progress = state["progress"]
        assert isinstance(progress, dict)
        self.progress = Progress(**progress)
        for name, part in self._parts().items():
            part.load_state_dict(state[name])  # type: ignore[arg-type]
        for name in ("generator", "discriminator"):
            optimizer = self._parts()[f"{name}_optimizer"]
            assert isinstance(optimizer, torch.optim.Adam)
            optimizer.param_groups[0]["lr"] = getattr(self.recipe, f"{name}_rate")

    def _parts(self) -> dict[str, nn.Module | torch.optim.Adam | MuonAndAdam]:
        return {
            "generator": self.generator,
            "average": self.average,
            "discriminator": self.discriminator,
            "pretrain_optimizer": self.pretrain_optimizer,
            "generator_optimizer": self.generator_optimizer,
            "discriminator_optimizer": self.discriminator_optimizer,
        }


def _adam(module: nn.Module, rate: float) -> torch.optim.Adam:
    """Adam as GANs are trained with it: no momentum."""
    return torch.optim.Adam(module.parameters(), lr=rate, betas=(0.0, 0.99), eps=1e-8)


def _shrunk(images: Tensor, size: int) -> Tensor:
    """[N, 3, H, H] averaged down to [N, 3, size, size]."""
    return F.avg_pool2d(images, images.shape[-1] // size)


def processes() -> int:
    """How many processes share each batch; 1 without torch.distributed."""
    return dist.get_world_size() if dist.is_initialized() else 1


def _descend(optimizer: torch.optim.Adam | MuonAndAdam, loss: Tensor) -> None:
    """One step along the gradient, averaged over the processes."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    if processes() > 1:
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        flat /= processes()
        means = torch.split(flat, [gradient.numel() for gradient in gradients])
        for gradient, mean in zip(gradients, means, strict=True):
            gradient.copy_(mean.view_as(gradient))
    optimizer.step()
