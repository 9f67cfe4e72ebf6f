from pathlib import Path

from orchestrator.facts.filesystem import inodes_of, mount_of, nearest, selinux_mode, selinux_type

MOUNTINFO = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
30 22 0:30 / /mnt/c rw,noatime - 9p C:\\134 rw,trans=fd
31 22 0:31 / /srv/my\\040disk rw,noexec,nosuid shared:5 master:1 - nfs4 server:/export rw,vers=4.2
32 22 0:32 / /srv/my\\040disk/inner rw - xfs /dev/sdb rw
33 22 0:33 / /srv/my\\040disk/inner rw - btrfs /dev/sdc rw
a line that is none
"""


def recorded(tmp_path: Path) -> Path:
    path = tmp_path / "mountinfo"
    path.write_text(MOUNTINFO)
    return path


def test_the_longest_mount_above_wins_and_of_two_the_last(tmp_path):
    file = recorded(tmp_path)

    def kind(path):
        mount = mount_of(Path(path), file)
        return mount and mount.kind

    assert kind("/") == "ext4"
    assert kind("/etc") == "ext4"


def test_spaces_and_options(tmp_path):
    disk = tmp_path / "my disk"
    disk.mkdir()
    file = tmp_path / "mountinfo"
    escaped = str(disk).replace(" ", "\\040")
    file.write_text(MOUNTINFO + f"40 22 0:40 / {escaped} rw,noexec shared:9 - tmpfs none rw\n")
    mount = mount_of(disk / "deep" / "not there", file)
    assert (mount.point, mount.kind, mount.source) == (str(disk), "tmpfs", "none")
    assert "noexec" in mount.options


def test_a_name_that_only_begins_alike_is_not_above(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "database").mkdir()
    file = tmp_path / "mountinfo"
    file.write_text(MOUNTINFO + f"40 22 0:40 / {tmp_path / 'data'} rw - nfs4 there:/x rw\n")
    assert mount_of(tmp_path / "database", file).kind == "ext4"
    assert mount_of(tmp_path / "data", file).kind == "nfs4"


def test_a_link_is_followed(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "near").symlink_to(tmp_path / "far")
    file = tmp_path / "mountinfo"
    file.write_text(MOUNTINFO + f"40 22 0:40 / {tmp_path / 'far'} rw - nfs4 there:/x rw\n")
    assert mount_of(tmp_path / "near", file).kind == "nfs4"


def test_the_real_root_and_no_list_at_all(tmp_path):
    assert mount_of(Path("/")).point == "/"
    assert mount_of(Path("/"), tmp_path / "nothing") is None


def test_nearest_and_inodes(tmp_path):
    assert nearest(tmp_path / "a" / "b") == tmp_path
    found = inodes_of(tmp_path / "a" / "b")
    assert found.total == 0 or 0 < found.free <= found.total


def test_selinux(tmp_path):
    assert selinux_mode(tmp_path) is None
    enforce = tmp_path / "sys/fs/selinux/enforce"
    enforce.parent.mkdir(parents=True)
    for text, mode in (("1", "enforcing"), ("0", "permissive")):
        enforce.write_text(text)
        assert selinux_mode(tmp_path) == mode
    assert selinux_type(tmp_path / "nothing") is None
