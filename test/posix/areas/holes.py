"""Holes: sparse files, SEEK_HOLE and SEEK_DATA, fallocate(2), copy_file_range(2)."""
import os
from harness import *
from syscalls import *

MIB = 1 << 20


def model_check(path, model):
    check(content(path) == bytes(model), 'content of %s' % path)
    equal(os.stat(path).st_size, len(model))


@case('what was never written reads as zeros and takes no room', 'POSIX lseek(): "gap … bytes with the value 0"')
def _():
    fd = os.open('f', os.O_CREAT | os.O_RDWR)
    os.pwrite(fd, b'end', 100 * MIB)
    os.fsync(fd)
    equal(os.pread(fd, 10, 50 * MIB), bytes(10))
    equal(os.fstat(fd).st_size, 100 * MIB + 3)
    check(0 < os.fstat(fd).st_blocks < 1000, 'blocks: %d' % os.fstat(fd).st_blocks)


@case('SEEK_DATA and SEEK_HOLE find data and holes, and ENXIO past the end', 'lseek(2), Seeking file data and holes; POSIX.1-2024')
def _():
    fd = os.open('f', os.O_CREAT | os.O_RDWR)
    os.pwrite(fd, b'x' * MIB, 0)
    os.pwrite(fd, b'y' * MIB, 4 * MIB)
    os.ftruncate(fd, 8 * MIB)
    os.fsync(fd)
    for whence, start, wanted in (
        (os.SEEK_DATA, 0, 0), (os.SEEK_HOLE, 0, MIB), (os.SEEK_DATA, MIB, 4 * MIB), (os.SEEK_DATA, 2 * MIB, 4 * MIB),
        (os.SEEK_HOLE, 2 * MIB, 2 * MIB), (os.SEEK_HOLE, 4 * MIB, 5 * MIB), (os.SEEK_HOLE, 6 * MIB, 6 * MIB), (os.SEEK_DATA, 4 * MIB + 5, 4 * MIB + 5),
    ):
        equal(os.lseek(fd, start, whence), wanted, 'from %d' % start)
        equal(os.lseek(fd, 0, os.SEEK_CUR), wanted)
    expect('ENXIO', os.lseek, fd, 5 * MIB, os.SEEK_DATA)
    expect('ENXIO', os.lseek, fd, 8 * MIB, os.SEEK_HOLE)
    expect('ENXIO', os.lseek, fd, 8 * MIB, os.SEEK_DATA)
    expect('ENXIO|EINVAL', os.lseek, fd, -1, os.SEEK_DATA)
    create('full', b'x' * 10000)
    full = os.open('full', os.O_RDONLY)
    equal((os.lseek(full, 0, os.SEEK_HOLE), os.lseek(full, 9999, os.SEEK_DATA)), (10000, 9999))
    create('empty')
    expect('ENXIO', os.lseek, os.open('empty', os.O_RDONLY), 0, os.SEEK_HOLE)


@case('SEEK_DATA finds what was written and not flushed yet', 'lseek(2)')
def _():
    fd = os.open('f', os.O_CREAT | os.O_RDWR)
    os.ftruncate(fd, 8 * MIB)
    os.pwrite(fd, b'new', 3 * MIB)
    found = os.lseek(fd, 0, os.SEEK_DATA)
    check(found <= 3 * MIB, 'data at %d' % found)
    check(os.lseek(fd, 3 * MIB, os.SEEK_HOLE) >= 3 * MIB + 3, 'no hole in the data')


@case('fallocate grows the file, and with KEEP_SIZE does not; what is there stays', 'fallocate(2); POSIX posix_fallocate()')
def _():
    create('f', b'content')
    fd = os.open('f', os.O_RDWR)
    fallocate(fd, KEEP_SIZE, 0, MIB)
    equal(content('f'), b'content')
    with moves('mtime ctime', 'f'):
        fallocate(fd, 0, 3, 2 * MIB)
    model_check('f', b'content' + bytes(2 * MIB - 4))
    fallocate(fd, 0, 0, 10)
    equal(os.fstat(fd).st_size, 2 * MIB + 3)
    os.posix_fallocate(fd, 2 * MIB, 100)
    equal(os.fstat(fd).st_size, 2 * MIB + 100)


@case('PUNCH_HOLE makes zeros, keeps the size, and gives room back', 'fallocate(2), Deallocating file space')
def _():
    model = bytearray(os.urandom(4 * MIB))
    create('f', bytes(model))
    fd = os.open('f', os.O_RDWR)
    before = os.fstat(fd).st_blocks
    for start, length in ((MIB, MIB), (10, 100), (4095, 2), (3 * MIB + 7, 8 * MIB), (6 * MIB, MIB)):
        fallocate(fd, PUNCH_HOLE | KEEP_SIZE, start, length)
        end = min(start + length, len(model))
        if start < len(model):
            model[start:end] = bytes(end - start)
        model_check('f', model)
    os.fsync(fd)
    check(os.fstat(fd).st_blocks < before, 'fewer blocks: %d of %d' % (os.fstat(fd).st_blocks, before))
    equal(os.lseek(fd, MIB, os.SEEK_HOLE), MIB)
    expect('EOPNOTSUPP', fallocate, fd, PUNCH_HOLE, 0, 10)


@case('ZERO_RANGE makes zeros, and grows the file unless KEEP_SIZE', 'fallocate(2), Zeroing file space')
def _():
    model = bytearray(b'z' * MIB)
    create('f', bytes(model))
    fd = os.open('f', os.O_RDWR)
    fallocate(fd, ZERO_RANGE, 100, 1000)
    model[100:1100] = bytes(1000)
    model_check('f', model)
    fallocate(fd, ZERO_RANGE | KEEP_SIZE, MIB - 10, 100)
    model[-10:] = bytes(10)
    model_check('f', model)
    fallocate(fd, ZERO_RANGE, MIB - 20, 120)
    model[MIB - 20:] = bytes(120)
    model_check('f', model)


@case('COLLAPSE_RANGE and INSERT_RANGE do it right, or say EOPNOTSUPP', 'fallocate(2), Collapsing file space')
def _():
    blocks = [bytes([65 + index]) * 65536 for index in range(6)]
    create('f', b''.join(blocks))
    fd = os.open('f', os.O_RDWR)
    said = outcome(fallocate, fd, COLLAPSE_RANGE, 65536, 65536)
    check(said in ('ok', 'EOPNOTSUPP'), said)
    if said == 'ok':
        del blocks[1]
    model_check('f', b''.join(blocks))
    said = outcome(fallocate, fd, INSERT_RANGE, 65536, 65536)
    check(said in ('ok', 'EOPNOTSUPP'), said)
    if said == 'ok':
        blocks.insert(1, bytes(65536))
    model_check('f', b''.join(blocks))


@case('wrong ranges and descriptors are EINVAL, EBADF, EFBIG, ENODEV, ESPIPE', 'fallocate(2), ERRORS')
def _():
    create('f', b'content')
    fd = os.open('f', os.O_RDWR)
    expect('EINVAL', fallocate, fd, 0, 0, 0)
    for mode in (0x80, 0x40 | KEEP_SIZE, 1 << 30):
        expect('EOPNOTSUPP', fallocate, fd, mode, 0, 10)
    expect('EINVAL', os.lseek, fd, 0, 5)
    expect('EINVAL', fallocate, fd, 0, -1, 10)
    expect('EINVAL', fallocate, fd, 0, 0, -1)
    expect('EFBIG', fallocate, fd, 0, 2 ** 62, 2 ** 62 + 1000)
    expect('EBADF', fallocate, os.open('f', os.O_RDONLY), 0, 0, 10)
    expect('EBADF|EISDIR|ENODEV', fallocate, os.open('.', os.O_RDONLY), 0, 0, 10)
    os.mkfifo('p')
    expect('ESPIPE', fallocate, os.open('p', os.O_RDWR), 0, 0, 10)
    equal(content('f'), b'content')


@case('copy_file_range copies, within a file and between files, by offsets and without', 'copy_file_range(2)')
def _():
    data = os.urandom(3 * MIB)
    create('a', data)
    create('b', b'old' * 10)
    a, b = os.open('a', os.O_RDWR), os.open('b', os.O_RDWR)
    model = bytearray(b'old' * 10)
    for source, target, length in ((0, 5, 100), (4096, 8192, 65536), (12345, 1, 2 * MIB), (MIB, 4 * MIB, MIB)):
        done = 0
        while done < length:
            done += os.copy_file_range(a, b, length - done, source + done, target + done)
        if len(model) < target:
            model += bytes(target - len(model))
        model[target:target + length] = data[source:source + length]
        model_check('b', model)
    equal(os.copy_file_range(a, b, 100, len(data), 0), 0)
    equal(os.copy_file_range(a, b, 100, len(data) - 10, 0), 10)
    os.lseek(a, 5, os.SEEK_SET)
    os.lseek(b, 7, os.SEEK_SET)
    equal(os.copy_file_range(a, b, 20), 20)
    equal((os.lseek(a, 0, os.SEEK_CUR), os.lseek(b, 0, os.SEEK_CUR)), (25, 27))
    equal(os.pread(b, 20, 7), data[5:25])
    equal(os.copy_file_range(a, a, 1000, 0, 2 * MIB), 1000)
    equal(os.pread(a, 1000, 2 * MIB), data[:1000])


@case('copy_file_range moves mtime and ctime of the target, and clears its set-user-ID', 'copy_file_range(2); file_remove_privs')
def _():
    create('a', b'content', 0o644)
    create('b', b'', 0o4777, BOB)
    with moves('mtime ctime', 'b'), moves('', 'a'):
        def body():
            a, b = os.open('a', os.O_RDONLY), os.open('b', os.O_WRONLY)
            os.copy_file_range(a, b, 7)
            os.close(b)
        as_user(ALICE, body)
    equal((content('b'), mode_of('b')), (b'content', 0o777))


@case('copy_file_range: overlapping ranges of one file EINVAL, descriptors EBADF, directories EISDIR', 'copy_file_range(2), ERRORS')
def _():
    create('a', b'content' * 100)
    create('b')
    a, b = os.open('a', os.O_RDWR), os.open('b', os.O_RDWR)
    expect('EINVAL', os.copy_file_range, a, a, 100, 0, 50)
    expect('EBADF', os.copy_file_range, os.open('a', os.O_WRONLY), b, 10)
    expect('EBADF', os.copy_file_range, a, os.open('b', os.O_RDONLY), 10)
    expect('EBADF', os.copy_file_range, a, os.open('b', os.O_RDWR | os.O_APPEND), 10)
    expect('EISDIR|EINVAL', os.copy_file_range, os.open('.', os.O_RDONLY), b, 10)


@case('a copy and its source go separate ways', 'copy_file_range(2): a copy, however it is made')
def _():
    create('a', b'a' * MIB)
    create('b')
    a, b = os.open('a', os.O_RDWR), os.open('b', os.O_RDWR)
    os.copy_file_range(a, b, MIB)
    os.pwrite(a, b'A' * 10, 100)
    os.pwrite(b, b'B' * 10, 200)
    os.fsync(a)
    os.fsync(b)
    os.unlink('a')
    model = bytearray(b'a' * MIB)
    model[200:210] = b'B' * 10
    model_check('b', model)
