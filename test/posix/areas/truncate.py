"""truncate(2) and ftruncate(2)."""
import os
from harness import *


@case('shorter cuts, longer adds zeros, also what was cut', 'POSIX truncate()')
def _():
    create('f', bytes(range(256)) * 1000)
    for by_name in (True, False):
        fd = os.open('f', os.O_RDWR)
        cut = (lambda size: os.truncate('f', size)) if by_name else (lambda size: os.ftruncate(fd, size))
        for size in (100000, 4097, 4096, 4095, 1, 0, 5000, 10, 300000):
            before = content('f')
            cut(size)
            equal(os.stat('f').st_size, size)
            equal(content('f'), (before + bytes(size))[:size] if size > len(before) else before[:size])
        os.close(fd)


@case('a size of many TiB costs nothing', 'POSIX truncate(); a hole')
def _():
    create('f', b'x')
    for size in (2 ** 31 - 1, 2 ** 31, 2 ** 32 + 1, 10 * 2 ** 40):
        os.truncate('f', size)
        equal(os.stat('f').st_size, size)
    fd = os.open('f', os.O_RDWR)
    equal(os.pread(fd, 10, 2 ** 40), bytes(10))
    check(os.stat('f').st_blocks <= 64, 'it takes no room')


@case('truncating moves mtime and ctime when the size changes, ftruncate always', 'POSIX truncate(): "mark for update"')
def _():
    create('f', b'content')
    for size in (3, 10, 0):
        with moves('mtime ctime', 'f'):
            os.truncate('f', size)
    fd = os.open('f', os.O_RDWR)
    with moves('mtime ctime', 'f'):
        os.ftruncate(fd, 5)
    with moves('mtime ctime', 'f'):
        os.ftruncate(fd, 5)


@case('a negative size is EINVAL, a directory EISDIR, a FIFO EINVAL', 'POSIX truncate() [EINVAL], [EISDIR]')
def _():
    create('f', b'content')
    directory('d')
    os.mkfifo('p')
    expect('EINVAL', os.truncate, 'f', -1)
    expect('EINVAL', os.ftruncate, os.open('f', os.O_RDWR), -1)
    expect('EISDIR', os.truncate, 'd', 0)
    expect('EINVAL', os.truncate, 'p', 0)
    expect('ENOENT', os.truncate, 'missing', 0)
    equal(content('f'), b'content')


@case('more than the largest file is EFBIG', 'POSIX truncate() [EFBIG]')
def _():
    create('f', b'content')
    expect('EFBIG|EINVAL', os.truncate, 'f', 2 ** 63 - 1)
    expect('EFBIG|EINVAL', os.ftruncate, os.open('f', os.O_RDWR), 2 ** 63 - 1)
    equal(content('f'), b'content')


@case('write permission decides for truncate, the descriptor for ftruncate', 'POSIX truncate() [EACCES]; ftruncate() [EBADF] or [EINVAL]')
def _():
    create('f', b'content', 0o644, BOB)
    expect_as(ALICE, 'EACCES', os.truncate, 'f', 0)
    expect_as(BOB, 'ok', os.truncate, 'f', 5)
    fd = os.open('f', os.O_RDWR)
    os.chmod('f', 0o444)
    expect_as(BOB, 'EACCES', os.truncate, 'f', 0)
    expect_as(BOB, 'ok', os.ftruncate, fd, 3)
    expect('EINVAL|EBADF', os.ftruncate, os.open('f', os.O_RDONLY), 0)
    expect('EINVAL', os.ftruncate, os.open('.', os.O_RDONLY), 0)


@case('all who have it open see the new size at once', 'POSIX truncate()')
def _():
    create('f', b'0123456789')
    a, b = os.open('f', os.O_RDWR), os.open('f', os.O_RDWR)
    os.pwrite(a, b'abc', 10)
    os.ftruncate(b, 12)
    equal((os.fstat(a).st_size, os.pread(a, 20, 8)), (12, b'89ab'))
    os.truncate('f', 20)
    equal(os.pread(b, 20, 8), b'89ab' + bytes(8))
    os.pwrite(a, b'end', 30)
    equal((os.fstat(b).st_size, os.pread(b, 20, 20)), (33, bytes(10) + b'end'))


@case('what is written after cutting starts from zeros', 'POSIX truncate(): "extended part … null bytes"')
def _():
    fd = os.open('f', os.O_CREAT | os.O_RDWR)
    for step in (1, 4095, 4096, 4097, 65536, 1048577):
        os.pwrite(fd, b'x' * (2 * step), 0)
        os.ftruncate(fd, step)
        os.pwrite(fd, b'end', 3 * step)
        equal(os.pread(fd, 3 * step + 3, 0), b'x' * step + bytes(2 * step) + b'end', str(step))
        os.ftruncate(fd, 0)


@case('through a symbolic link the target is cut', 'POSIX truncate()')
def _():
    create('f', b'content')
    os.symlink('f', 'l')
    os.truncate('l', 3)
    equal((content('f'), os.readlink('l')), (b'con', 'f'))


@case('a size that one mount changes, the other one sees', 'coherence of two mounts')
def _():
    if not Report.second:
        raise Skip('one mount')
    create('f', b'0123456789')
    other = os.path.join(Report.second, 'f')
    fd = os.open(other, os.O_RDWR)
    equal(os.pread(fd, 20, 0), b'0123456789')
    os.truncate('f', 4)
    equal((os.fstat(fd).st_size, os.pread(fd, 20, 0)), (4, b'0123'))
    os.ftruncate(fd, 6)
    equal(content('f'), b'0123\0\0')
