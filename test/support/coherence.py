"""
Random operations on two mounts in turn, each compared at once, through the other mount and its kernel's caches, with
the same on a local directory:   coherence.py MOUNT_A MOUNT_B LOCAL SEED OPERATIONS
"""
import os
import random
import stat
import sys

MOUNTS, LOCAL = sys.argv[1:3], sys.argv[3]
SEED, OPERATIONS = int(sys.argv[4]), int(sys.argv[5])
rng = random.Random(SEED)
NAMES = ['a', 'b', 'c', 'd', 'sub', 'sub/a', 'sub/b', 'other', 'other/a', 'other/b']


def write(path, flags, data, offset):
    fd = os.open(path, flags, 0o644)
    try:
        os.lseek(fd, offset, os.SEEK_SET)
        os.write(fd, data)
    finally:
        os.close(fd)


def operation():
    """A function of the root on which it is to be done."""
    kind = rng.choice(['create', 'overwrite', 'append', 'truncate', 'unlink', 'mkdir', 'rmdir', 'rename', 'link',
                       'symlink', 'chmod', 'utime', 'setxattr', 'create', 'append', 'overwrite'])
    name, second = rng.choice(NAMES), rng.choice(NAMES)
    data, offset = rng.randbytes(rng.choice([1, 100, 5000])), rng.randrange(8000)
    mode, time = rng.choice([0o600, 0o644, 0o755]), rng.randrange(10**18)
    return (kind, name, second), {
        'create': lambda r: write(f'{r}/{name}', os.O_CREAT | os.O_EXCL | os.O_WRONLY, data, 0),
        'overwrite': lambda r: write(f'{r}/{name}', os.O_WRONLY | os.O_NOFOLLOW, data, offset),
        'append': lambda r: write(f'{r}/{name}', os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW, data, 0),
        'truncate': lambda r: os.truncate(f'{r}/{name}', offset),
        'unlink': lambda r: os.unlink(f'{r}/{name}'),
        'mkdir': lambda r: os.mkdir(f'{r}/{name}'),
        'rmdir': lambda r: os.rmdir(f'{r}/{name}'),
        'rename': lambda r: os.rename(f'{r}/{name}', f'{r}/{second}'),
        'link': lambda r: os.link(f'{r}/{name}', f'{r}/{second}', follow_symlinks=False),
        'symlink': lambda r: os.symlink(second, f'{r}/{name}'),
        'chmod': lambda r: os.chmod(f'{r}/{name}', mode),
        'utime': lambda r: os.utime(f'{r}/{name}', ns=(time, time), follow_symlinks=False),
        'setxattr': lambda r: os.setxattr(f'{r}/{name}', 'user.x', data[:100], follow_symlinks=False),
    }[kind]


def outcome(run, root):
    try:
        run(root)
        return 'done'
    except OSError as error:
        return error.errno


def view(path):
    """What a program can see of a name."""
    try:
        seen = os.lstat(path)
        kind = stat.S_IFMT(seen.st_mode)
        if kind == stat.S_IFDIR:
            return 'directory', stat.S_IMODE(seen.st_mode), seen.st_nlink, sorted(os.listdir(path))
        if kind == stat.S_IFLNK:
            return 'link', os.readlink(path)
        with open(path, 'rb') as file:
            content = file.read()
        xattrs = {name: os.getxattr(path, name) for name in os.listxattr(path)}
        return 'file', stat.S_IMODE(seen.st_mode), seen.st_nlink, seen.st_size, content, xattrs
    except OSError as error:
        return error.errno


for count in range(OPERATIONS):
    what, run = operation()
    one = rng.choice(MOUNTS)
    other = MOUNTS[1 - MOUNTS.index(one)]
    expected = outcome(run, LOCAL)
    actual = outcome(run, one)
    assert actual == expected, f'seed {SEED} #{count} {what} on {one}: {actual}, not {expected}'
    looked = {what[1], what[2], *rng.sample(NAMES, 3)}
    for root in (other, one):
        for name in sorted(looked):
            want, got = view(f'{LOCAL}/{name}'), view(f'{root}/{name}')
            assert got == want, f'seed {SEED} #{count} after {what} on {one}, {root}/{name}: {got!r:.300}, not {want!r:.300}'
print('ok')
