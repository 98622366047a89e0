"""S3 servers for tests: moto (a fake with the right semantics) and Swift (checks signatures).

Each is a process of its own, so that its warnings are not ours.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from support.processes import free_port, stop, wait_for_port
from support.s3 import S3Endpoint


@contextmanager
def moto_server(folder: Path) -> Iterator[S3Endpoint]:
    """
    Moto's server, empty.
    """
    port, log = free_port(), folder / "moto.log"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with started(command, log):
        wait_for_port(port, log)
        yield S3Endpoint(f"http://127.0.0.1:{port}", "key", "secret", checks_signatures=False)


@contextmanager
def swift_server(folder: Path) -> Iterator[S3Endpoint]:
    """
    OpenStack Swift with its S3 interface on one node: four processes, one folder.
    """
    etc, device = folder / "etc", folder / "srv" / "d1"
    etc.mkdir()
    device.mkdir(parents=True)
    (etc / "swift.conf").write_text(SWIFT_CONF)
    ports = {kind: free_port() for kind in ("account", "container", "object", "proxy")}
    environment = {"SWIFT_CONF_FILE": str(etc / "swift.conf"), "PATH": "/usr/bin:/bin"}
    subprocess.run([sys.executable, "-c", WRITE_RINGS, etc, json.dumps(ports)], check=True)
    with ExitStack() as servers:
        for kind, port in ports.items():
            conf = etc / f"{kind}-server.conf"
            template = PROXY_CONF if kind == "proxy" else BACKEND_CONF
            conf.write_text(template.format(devices=folder / "srv", port=port, etc=etc, kind=kind))
            command = [program(f"swift-{kind}-server"), str(conf)]
            servers.enter_context(started(command, folder / f"{kind}.log", environment))
        for kind, port in ports.items():
            wait_for_port(port, folder / f"{kind}.log")
        yield S3Endpoint(f"http://127.0.0.1:{ports['proxy']}", "test:tester", "testing")


@contextmanager
def started(command, log, environment=None) -> Iterator[None]:
    """
    A process, stopped afterwards.
    """
    with log.open("wb") as output:
        child = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
    try:
        yield
    finally:
        stop(child)


def program(name: str) -> str:
    """
    A script that is installed beside this Python.
    """
    return str(Path(sys.prefix, "bin", name))


# Swift's maps of where things lie: all of them on our one device.
WRITE_RINGS = """
import json, pathlib, sys
from swift.common.ring import RingBuilder
etc, ports = pathlib.Path(sys.argv[1]), json.loads(sys.argv[2])
for kind in ("account", "container", "object"):
    builder = RingBuilder(4, 1, 0)
    builder.add_dev({
        "id": 0, "region": 1, "zone": 1, "weight": 1, "device": "d1", "meta": "",
        "ip": "127.0.0.1", "port": ports[kind],
        "replication_ip": "127.0.0.1", "replication_port": ports[kind],
    })
    builder.rebalance()
    builder.get_ring().save(str(etc / f"{kind}.ring.gz"))
"""

SWIFT_CONF = """
[swift-hash]
swift_hash_path_prefix = a
swift_hash_path_suffix = b
[storage-policy:0]
name = gold
default = yes
"""

BACKEND_CONF = """
[DEFAULT]
devices = {devices}
mount_check = false
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
swift_dir = {etc}
fallocate_reserve = 0
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
"""

PROXY_CONF = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
swift_dir = {etc}
[pipeline:main]
pipeline = catch_errors cache listing_formats bulk s3api tempauth copy slo dlo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:1
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:bulk]
use = egg:swift#bulk
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
s3_acl = false
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
[filter:copy]
use = egg:swift#copy
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
"""
