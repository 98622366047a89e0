import pytest
import torch
from support.generator_files import Network, arrays, random_generator, tensorflow_network
from support.nvidia_files import Pickler
from support.parity import GOLDEN, TOLERANCE, errors, recorded

from models.checkpoints.containers import read_contents
from models.checkpoints.notes import Notes
from models.checkpoints.tensorflow import build, recognises
from models.errors import CheckpointError
from models.stylegan2.config import Architecture


def read(path, notes=None):
    """The generator in a file, known to be of this family."""
    root = read_contents(path).root
    assert recognises(root)
    return build(root, str(path), notes or Notes())


@pytest.fixture
def written(tmp_path):
    """Writes networks as TensorFlow's repositories do, and returns the file."""

    def write(*networks, protocol=4):
        root = networks if len(networks) > 1 else networks[0]
        with (tmp_path / "network.pkl").open("wb") as file:
            Pickler(file, protocol=protocol).dump(root)
        return tmp_path / "network.pkl"

    return write


def images(generator, labels=None):
    stream = torch.Generator().manual_seed(3)
    z = torch.randn(2, generator.z_dim, generator=stream)
    return generator.synthesize(generator.map(z, labels, psi=0.7))


def test_puts_out_what_the_original_does():
    """
    Codes, styles, activations, images and gradients of a (G, D, Gs) tuple agree within 1e-4 of
    each maximum with the same network in NVIDIA's own successor.
    """
    notes = Notes()

    found = errors(read(GOLDEN / "tf_r32.proto3.pkl", notes), recorded("nv_r32"))

    assert len(found) == 37
    assert max(found.values()) < TOLERANCE
    assert notes.estimated == []
    assert notes.ignored == ["G: the generator before averaging", "D: the discriminator"]


class TestForms:
    @pytest.mark.parametrize("protocol", [2, 3, 4])
    def test_any_protocol(self, written, protocol):
        """
        Gs of a tuple is read, whichever pickle protocol wrote it.
        """
        original = random_generator()
        others = tensorflow_network(random_generator(seed=1)), Network()
        path = written(*others, tensorflow_network(original), protocol=protocol)

        torch.testing.assert_close(images(read(path)), images(original), rtol=1e-5, atol=1e-5)

    def test_labels(self, written):
        """
        StyleGAN2-ADA's embedded labels choose the image.
        """
        original = random_generator(label_dim=2, label_embed_dim=6)
        labels = torch.eye(2)

        generator = read(written(tensorflow_network(original)))

        assert original.config == generator.config
        expected = images(original, labels)
        torch.testing.assert_close(images(generator, labels), expected, rtol=1e-5, atol=1e-5)

    @pytest.mark.parametrize("architecture", [Architecture.RESNET, Architecture.ORIG])
    def test_architectures(self, written, architecture):
        """
        Shortcuts and the single image layer of other architectures are recognised by name.
        """
        original = random_generator(architecture=architecture)

        generator = read(written(tensorflow_network(original)))

        assert architecture == generator.config.architecture
        torch.testing.assert_close(images(generator), images(original), rtol=1e-5, atol=1e-5)

    def test_settings(self, written):
        """
        What shapes do not tell is read from the arguments that the network was made with.
        """
        original = random_generator(
            conv_clamp=0.5, mapping_lr_multiplier=0.02, fir=(1.0, 2.0, 2.0, 1.0), half_from=8
        )
        settings = {"conv_clamp": 0.5, "mapping_lrmul": 0.02, "resample_kernel": [1, 2, 2, 1]}

        generator = read(written(tensorflow_network(original, num_fp16_res=2, **settings)))

        assert generator.config.half_from == 8
        torch.testing.assert_close(images(generator), images(original), rtol=1e-5, atol=1e-5)


class TestRefusals:
    def refused(self, path, message):
        with pytest.raises(CheckpointError, match=message):
            read(path)

    @pytest.mark.parametrize("version", [2, 3])
    def test_stylegan1(self, written, version):
        """
        The older formats are StyleGAN1's.
        """
        self.refused(written(tensorflow_network(random_generator(), version)), "StyleGAN1")

    def test_early_configurations(self, written):
        """
        Image layers called ToRGB_lod are those of configurations A to D.
        """
        lod = {"ToRGB_lod0/weight": torch.zeros(1, 1, 4, 3)}
        network = tensorflow_network(random_generator())
        network.state["variables"] += arrays(lod)

        self.refused(written(network), "configuration A to D")

    def test_labels_of_the_first_stylegan2(self, written):
        """
        LabelConcat joins labels before normalising; no later network does.
        """
        network = tensorflow_network(random_generator(), version=4)
        network.state["variables"] += arrays({"LabelConcat/weight": torch.zeros(2, 6)})

        self.refused(written(network), "LabelConcat")

    def test_a_discriminator(self, written):
        """
        A single network that only judges images is told apart.
        """
        judge = arrays({"16x16/FromRGB/weight": torch.zeros(1, 1, 3, 4)})

        self.refused(written(Network(judge)), "discriminator alone")

    def test_another_activation(self, written):
        """
        Only leaky ReLU is supported; another one is named.
        """
        network = tensorflow_network(random_generator(), nonlinearity="swish")

        self.refused(written(network), "activation 'swish'")

    def test_bad_settings(self, written):
        """
        Arguments of the wrong kind are a checkpoint error, not a crash.
        """
        network = tensorflow_network(random_generator(), mapping_lrmul="much")

        self.refused(written(network), "bad settings")

    def test_a_tuple_of_other_things_is_of_another_family(self):
        """
        Only networks of TensorFlow's are taken for this family.
        """
        assert not recognises((1, 2, 3))
        assert not recognises([])
