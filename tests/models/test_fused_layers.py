"""
The kernel, without a GPU: run in Triton's interpreter, and compiled for GPUs that are not here.
"""

import multiprocessing
import re
import subprocess
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import product

import pytest
import torch
from support.features import assert_near
from support.networks import ALL_KINDS, SPEC, small_generator, small_label_generator

from models import fused_check, fused_layers
from models.enlarging import EnlargedSum, Tile
from models.fused_layers import Shape
from models.heads.base import Vote
from models.heads.segmentation import SegmentationHead
from models.hypercolumns import Projected
from models.labels import SegmentationSpec

triton = pytest.importorskip("triton", reason="Triton is only made for Linux")

CPU = torch.device("cpu")
PROBLEMS = {
    "all of it odd": (Shape(3, 5, 20, 6, 5), torch.float32, (6, 10), 2),
    "wider than one step": (Shape(1, 20, 40, 3, 17), torch.float32, (10, 8), 1),
    "a wide second layer": (Shape(2, 3, 17, 70, 3), torch.float32, (6, 10), 1),
    "no corners": (Shape(2, 4, 8, 5, 3), torch.float32, (2, 4), 2),
    "in half": (Shape(2, 70, 40, 16, 3), torch.float16, (10, 8), 1),
    "in half and wide": (Shape(1, 3, 70, 70, 2), torch.float16, (4, 10), 1),
}
HIGHEST = {torch.float32: 1e-5, torch.float16: 3e-3}
SHAPES = {
    "demo-64": Shape(10, 64, 32, 16, 9),
    "config-e-256": Shape(10, 128, 256, 32, 19),
    "ffhq-1024": Shape(10, 192, 256, 32, 19),
    "car-512": Shape(10, 128, 512, 256, 10),
}
SHARED = {80: 163 * 1024, 90: 227 * 1024}
"""Bytes of shared memory that a program may have, by architecture."""


@pytest.fixture(scope="module")
def interpreter():
    """
    A process in which kernels are interpreted: Triton decides that when they are defined.
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TRITON_INTERPRET", "1")
            pool.submit(torch.set_num_threads, 1).result()
        yield pool


def problem(shape, dtype, size, n, corners=True):
    """
    Projected maps of n images of that size, and the layers above them.
    """
    projected, layers = fused_check.random_problem(shape, dtype, CPU)
    stream = torch.Generator().manual_seed(3)
    width, (high, wide) = shape.members * shape.h1, (size[0] // 2, size[1] // 2)
    last = torch.randn(n, width, high, wide, generator=stream).to(dtype)
    own = torch.randn(n, width, high + 1, wide + 1, generator=stream).to(dtype)
    maps = [
        torch.randn(n, channels, *size, generator=stream).to(dtype)
        for channels in (1, shape.channels - 1)
    ]
    sums = EnlargedSum(own if corners else None, last)
    return Projected(sums, maps, projected.weight, projected.bias), layers


def by_kernel(projected, layers):
    """
    Outputs, and the decision of each vote.
    """
    votes = [fused_layers.voted(projected, layers, vote) for vote in Vote]
    return fused_layers.said(projected, layers), votes


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_kernel_agrees_with_the_plain_layers(interpreter, name):
    """
    Outputs and both votes, at borders, for several images, and where nothing is a round number.
    """
    shape, dtype, size, n = PROBLEMS[name]
    projected, layers = problem(shape, dtype, size, n, corners=name != "no corners")
    expected = fused_check.plainly(projected, layers)
    spec = SegmentationSpec(classes=tuple(str(k) for k in range(shape.outputs)))

    got, votes = interpreter.submit(by_kernel, projected, layers).result()

    assert got.shape == (shape.members, shape.outputs, n, *size)
    assert float((got - expected).abs().max() / expected.abs().max()) <= HIGHEST[dtype]
    for vote, decided in zip(Vote, votes, strict=True):
        # The vote on the kernel's own outputs: in half others may win where two are near.
        plain = SegmentationHead(spec, {}).decide(got.flatten(2).mT, vote)
        assert torch.equal(decided.values.flatten(), plain.values.flatten())
        off = decided.uncertainty.flatten() - plain.uncertainty
        assert float(off.abs().max()) <= 2e-6


def test_equal_votes_go_to_the_lowest_id(interpreter):
    """
    Three members, each of them sure of another class in another order: as in the plain vote.
    """
    projected, layers = problem(Shape(3, 4, 8, 4, 4), torch.float32, (4, 4), 1)
    said = torch.tensor([[-9.0, 0.1, 0.2, 0.3], [-9, 0.2, 0.3, 0.1], [-9, 0.3, 0.1, 0.2]])
    layers = replace(layers, w3=torch.zeros_like(layers.w3), b3=said)

    _, votes = interpreter.submit(by_kernel, projected, layers).result()

    assert all(decided.values.eq(1).all() for decided in votes)


@pytest.mark.parametrize("spec", ALL_KINDS, ids=lambda spec: spec.kind)
def test_maps_of_a_generator(interpreter, spec):
    """
    From features to outputs, each member's are those of the plain path.
    """
    generator = small_generator(size=16)
    made = small_label_generator(generator, members=2, spec=spec)
    features = generator.synthesize_with_features(torch.randn(2, generator.num_ws, 8))[1]
    expected = made.outputs(features)

    projected = made.projected(features)
    got = interpreter.submit(fused_layers.said, projected, made.layers).result()

    assert_near(got, expected)


class TestWorks:
    shape = Shape(2, 4, 8, 4, 3)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
    def test_a_kernel_that_gives_the_right_numbers_does(self, interpreter, dtype):
        """
        It is compared with the plain path where it is to run.
        """
        assert interpreter.submit(fused_check.works, self.shape, dtype, CPU).result()

    def test_where_it_cannot_be_run_it_does_not(self):
        """
        Nor is that an error: there is a warning, and the plain path.
        """
        fused_check.works.cache_clear()

        with pytest.warns(UserWarning, match="computed without the fused kernel: it cannot be run"):
            assert not fused_check.works(self.shape, torch.float32, CPU)

    def test_wrong_numbers_do_not(self):
        """
        A GPU that is off by a thousandth gets a warning that says so, and is not used.
        """

        def off(projected, layers):
            return 1.001 * fused_check.plainly(projected, layers)

        with pytest.warns(UserWarning, match=r"outputs are off by 0\.001 of the largest"):
            assert not fused_check.works(self.shape, torch.float32, CPU, off)


def test_features_in_half_are_projected_in_half():
    """
    Where the finest maps are float16, projected maps are; else all is float32.
    """
    generator = small_generator(size=16)
    made = small_label_generator(generator)
    features = generator.synthesize_with_features(torch.randn(1, generator.num_ws, 8))[1]
    halved = [*features[:-2], *(f.half() for f in features[-2:])]

    full, half = made.projected(features), made.projected(halved)

    assert full.smaller.last.dtype == full.finest[0].dtype == torch.float32
    assert half.smaller.last.dtype == half.smaller.corners.dtype == torch.float16
    whole = Tile(0, 16, 0, 16)
    off = (full.at(whole) - half.at(whole).float()).abs().max() / full.at(whole).abs().max()
    assert 1e-6 < float(off) < 5e-3


def test_weights_too_large_for_half_are_not_halved():
    """
    They belong to features that hardly vary, whose last digits count.
    """
    generator = small_generator(size=16)
    made = small_label_generator(generator)
    large = replace(made.layers, w1=made.layers.w1 * 1e4)
    features = generator.synthesize_with_features(torch.randn(1, generator.num_ws, 8))[1]

    projected = replace(made, layers=large).projected([f.half() for f in features])

    assert projected.smaller.last.dtype == projected.finest[0].dtype == torch.float32


def test_too_wide_ensembles_are_not_for_the_kernel():
    """
    Registers do not hold more than 256 hidden values of the second layer, or 64 outputs.
    """
    generator = small_generator(size=8)

    assert fused_layers.fits(small_label_generator(generator, hidden=(5, 256)).layers)
    assert not fused_layers.fits(small_label_generator(generator, hidden=(5, 257)).layers)
    many = SegmentationSpec(classes=tuple(str(k) for k in range(65)))
    assert not fused_layers.fits(small_label_generator(generator, spec=many).layers)


def compiled(shape, dtype, architecture, votes=True):
    """
    The kernel as it would be loaded onto a GPU, and its use of registers and stack.
    """
    from triton import knobs
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from models.fused_kernel import label_patch

    known = {**fused_layers.settings(shape, dtype), "HARD": False}
    options = {name: known.pop(name) for name in ("num_warps", "num_stages")}
    known |= {"outputs": None} if votes else {"classes": None, "uncertainty": None}
    factor = {torch.float32: "*fp32", torch.float16: "*fp16"}[dtype]
    types = dict.fromkeys(("finest", "last", "corners", "w1", "w2", "w3"), factor)
    types |= dict.fromkeys(("b2", "b3", "outputs", "uncertainty"), "*fp32")
    types |= {"classes": "*u8", **dict.fromkeys(("height", "width", "images"), "i32")}
    names = label_patch.arg_names
    types = {name: "constexpr" if name in known else types[name] for name in names}
    aligned = {(i,): [["tt.divisibility", 16]] for i, n in enumerate(names) if types[n][0] == "*"}
    source = ASTSource(label_patch, types, constexprs=known, attrs=aligned)
    made = triton.compile(source, target=GPUTarget("cuda", architecture, 32), options=options)
    return made, knobs.nvidia.cuobjdump.path


def stack_of(binary, cuobjdump, folder):
    """
    Registers, and bytes that each thread keeps in memory for want of them.
    """
    (folder / "kernel.cubin").write_bytes(binary)
    asked = [cuobjdump, "-res-usage", folder / "kernel.cubin"]
    said = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    return map(int, re.search(r"REG:(\d+) STACK:(\d+)", said).groups())


@pytest.fixture
def compiler(tmp_path, monkeypatch):
    """
    The assembler that comes with Triton; nothing it makes is kept.
    """
    from triton import knobs

    if not knobs.nvidia.ptxas.path:
        pytest.skip("this Triton has no ptxas")
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("name", "kind"), list(product(SHAPES, [(torch.float32, 80), (torch.float16, 90)]))
)
def test_it_compiles_for_gpus(compiler, tmp_path, name, kind):
    """
    For the benchmark's shapes: within shared memory, and with next to nothing spilled.
    """
    dtype, architecture = kind

    made, cuobjdump = compiled(SHAPES[name], dtype, architecture)

    assert made.metadata.shared <= SHARED[architecture]
    _, stack = stack_of(made.asm["cubin"], cuobjdump, tmp_path)
    assert stack <= 160


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("vote", list(Vote))
def test_on_a_gpu_labels_are_those_of_a_cpu(vote):
    """
    The kernel is used there, and only the last digits tell.
    """
    generator = small_generator(size=32)
    made = small_label_generator(generator, spec=SPEC, vote=vote)
    features = generator.synthesize_with_features(torch.randn(2, generator.num_ws, 8))[1]
    expected = made.predict(features)
    there = made.to(torch.device("cuda"))
    assert fused_check.works(Shape.of(there.layers, 6), torch.float32, torch.device("cuda", 0))

    got = there.predict([f.cuda() for f in features]).cpu()

    assert float((got.values == expected.values).double().mean()) > 0.999
    torch.testing.assert_close(got.uncertainty, expected.uncertainty, atol=1e-4, rtol=0)
