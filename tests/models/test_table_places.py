import sys

import pytest
import torch

from models.table_places import (
    Place,
    Room,
    free_on_host,
    new_table,
    place_for,
    room_beside,
)

CPU = torch.device("cpu")
GB = 10**9


class TestChoice:
    @pytest.mark.parametrize(
        ("size", "device", "host", "expected"),
        [
            (2 * GB, 80 * GB, 100 * GB, Place.DEVICE),
            (40 * GB, 80 * GB, 100 * GB, Place.DEVICE),
            (41 * GB, 80 * GB, 100 * GB, Place.HOST),
            (51 * GB, 80 * GB, 100 * GB, Place.DISK),
            (2 * GB, None, 4 * GB, Place.HOST),
            (3 * GB, None, 4 * GB, Place.DISK),
        ],
    )
    def test_is_the_nearest_that_half_of_what_is_free_has_room_for(
        self, size, device, host, expected
    ):
        """
        Beside the computation, else in the host's memory, else in a file; where the host itself
        computes there is nothing nearer than its memory.
        """
        assert place_for(size, Room(device, host)) is expected

    def test_the_host_that_computes_is_no_other_device(self):
        """
        Beside a CPU there is the host's memory, and no more.
        """
        room = room_beside(CPU)

        assert room.device is None
        assert room.host > 0


class TestTables:
    @pytest.mark.parametrize("place", Place)
    def test_keep_what_is_written(self, place, tmp_path):
        """
        Wherever a table lies, it is a tensor like any other.
        """
        table = new_table((30, 4), torch.float16, place, CPU, tmp_path)
        values = torch.arange(120.0).view(30, 4).half()

        table.copy_(values)
        table[3:5] += 1

        values[3:5] += 1
        assert torch.equal(table, values)
        assert table.is_contiguous()

    def test_a_file_has_no_name(self, tmp_path):
        """
        While the table is there, and after it, nothing lies in the folder.
        """
        table = new_table((1000, 4), torch.float16, Place.DISK, CPU, tmp_path)
        table.fill_(1)

        assert list(tmp_path.iterdir()) == []
        del table
        assert list(tmp_path.iterdir()) == []

    def test_a_full_disk_is_said_at_once(self, tmp_path):
        """
        A table that the disk has no room for is an error when it is made.
        """
        with pytest.raises(OSError):
            new_table((2**50, 1024), torch.float16, Place.DISK, CPU, tmp_path)


class TestFreeMemory:
    def machine(self, root, available=8000, limits=None):
        """
        A machine with so many kB available, and cgroups with limits by their paths.
        """
        (root / "proc/self").mkdir(parents=True)
        (root / "proc/meminfo").write_text(f"MemTotal: 9000 kB\nMemAvailable: {available} kB\n")
        (root / "proc/self/cgroup").write_text("1:name=old:/x\n0::/slice/own\n")
        for path, (limit, current, cached) in (limits or {}).items():
            folder = root / "sys/fs/cgroup" / path
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "memory.max").write_text(f"{limit}\n")
            (folder / "memory.current").write_text(f"{current}\n")
            (folder / "memory.stat").write_text(f"anon 5\ninactive_file {cached}\n")
        return root

    def test_is_what_the_kernel_says(self, tmp_path):
        """
        Without limits it is what the machine has available.
        """
        root = self.machine(tmp_path, limits={"slice/own": ("max", 700, 0)})

        assert free_on_host(root) == 8000 * 1024

    @pytest.mark.parametrize("path", ["slice/own", "slice", "."])
    def test_is_less_in_a_limited_group(self, path, tmp_path):
        """
        The limit of the process's group, and of each that it is in, holds; what is cached from
        files can be dropped.
        """
        root = self.machine(tmp_path, limits={path: (5000, 4200, 150)})

        assert free_on_host(root) == 950

    def test_another_group_does_not_matter(self, tmp_path):
        """
        Groups that the process is not in may be as full as they like.
        """
        root = self.machine(tmp_path, limits={"slice/other": (5000, 5000, 0)})

        assert free_on_host(root) == 8000 * 1024

    def test_a_group_beyond_its_limit_has_nothing_free(self, tmp_path):
        """
        There is no less than nothing.
        """
        root = self.machine(tmp_path, limits={"slice/own": (5000, 6000, 0)})

        assert free_on_host(root) == 0

    def test_nobody_says(self, tmp_path):
        """
        A machine that tells nothing has a lot.
        """
        assert free_on_host(tmp_path) == sys.maxsize
