"""Where webhooks may be sent."""

from ipaddress import ip_network

import pytest

from workers.receivers import ReceiverRefused, Receivers

INSIDE = [
    *("127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.9", "192.168.1.1", "100.64.0.1"),
    *("169.254.169.254", "168.63.129.16", "100.100.100.200", "192.0.0.192", "224.0.0.1"),
    *("239.255.255.250", "255.255.255.255", "198.18.0.1", "240.0.0.1"),
    *("::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1", "fec0::1"),
    *("::ffff:10.0.0.1", "::ffff:93.184.216.34", "2002:a00:1::", "64:ff9b::a00:1"),
    *("64:ff9b:1::1", "2001:db8::1"),
]


def leading_to(*addresses, allow=()):
    """
    Receivers in a world where every name has these addresses.
    """
    networks = [ip_network(each) for each in allow]
    return Receivers(networks, lambda host, port: list(addresses))


@pytest.mark.parametrize("address", INSIDE)
def test_what_is_inside_is_refused(address):
    """
    This machine, its network, its cloud's metadata and disguises of them: none of the internet.
    """
    with pytest.raises(ReceiverRefused, match="HANDSOFF_WEBHOOK_ALLOW"):
        leading_to(address).find("https://hooks.example/x")


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:4700::1111", "64:ff9b::5db8:d822"])
def test_the_internet_is_allowed(address):
    """
    The addresses that were judged are the ones that are given back.
    """
    found = leading_to(address).find("https://hooks.example/x")

    assert (address,) == found.addresses
    assert str(found.url) == "https://hooks.example/x"


def test_one_bad_address_is_enough():
    """
    A name that leads outside and inside is refused: who knows which one is taken next time.
    """
    with pytest.raises(ReceiverRefused, match=r"10\.0\.0\.1"):
        leading_to("93.184.216.34", "10.0.0.1").find("https://hooks.example/")


@pytest.mark.parametrize(
    "url",
    [
        *("http://hooks.example/", "ftp://hooks.example/", "https://", "hooks.example", ""),
        *("https://user:pw@hooks.example/", "https://hooks.example/#x", "https://[::1", "\x00"),
        *("file:///etc/passwd", "https://hooks.example:99999999/"),
    ],
)
def test_only_plain_https_urls_will_do(url):
    """
    No other scheme, no passwords, nothing that cannot be read.
    """
    with pytest.raises(ReceiverRefused):
        leading_to("93.184.216.34").find(url)


def test_spelt_out_numbers_are_resolved_like_names():
    """
    127.0.0.1 in decimal, hexadecimal or short is what the resolver makes of it.
    """
    for spelt in ("127.1", "2130706433", "0x7f000001", "localhost", "[::1]"):
        with pytest.raises(ReceiverRefused, match="loopback"):
            Receivers().find(f"https://{spelt}/")


@pytest.mark.parametrize("host", ["a..b", f"{'a' * 64}.example", "-", "%00", "1.2.3.4.5", "é" * 80])
def test_names_that_are_none_are_refused(host):
    """
    Whatever the resolver makes of them, it is no fault of ours.
    """
    with pytest.raises(ReceiverRefused):
        Receivers().find(f"https://{host}/")


def test_a_name_without_address_is_named():
    """
    The one who registers it sees what is wrong with it.
    """
    with pytest.raises(ReceiverRefused, match=r"no-such\.invalid cannot be resolved"):
        Receivers().find("https://no-such.invalid/")


class TestAllowedNetworks:
    def test_may_be_private_and_without_tls(self):
        """
        An operator's own receivers; the internet stays https only.
        """
        inner = leading_to("10.1.2.3", allow=["10.1.0.0/16"])

        assert inner.find("http://hooks.internal/").addresses == ("10.1.2.3",)
        with pytest.raises(ReceiverRefused, match="not https"):
            leading_to("93.184.216.34", allow=["10.1.0.0/16"]).find("http://hooks.example/")

    def test_end_where_they_end(self):
        """
        The next network is as private as before.
        """
        with pytest.raises(ReceiverRefused, match=r"10\.2\.0\.1"):
            leading_to("10.2.0.1", allow=["10.1.0.0/16"]).find("https://hooks.internal/")
