"""mmap(2) of files."""
import mmap
import os
from harness import *

PAGE = mmap.PAGESIZE


@case('a shared mapping and read and write see the same bytes', 'POSIX mmap(), MAP_SHARED; Linux has one page cache')
def _():
    create('f', b'a' * (3 * PAGE))
    fd = os.open('f', os.O_RDWR)
    with mmap.mmap(fd, 3 * PAGE) as mapped:
        mapped[PAGE:PAGE + 5] = b'hello'
        equal(os.pread(fd, 5, PAGE), b'hello')
        os.pwrite(fd, b'world', 10)
        equal(mapped[10:15], b'world')
        equal(content('f')[PAGE:PAGE + 5], b'hello')
    equal(content('f')[PAGE:PAGE + 5], b'hello')


@case('two processes share what they map', 'POSIX mmap(), MAP_SHARED')
def _():
    create('f', bytes(PAGE))
    fd = os.open('f', os.O_RDWR)
    with mmap.mmap(fd, PAGE) as mapped:
        def body():
            with mmap.mmap(os.open('f', os.O_RDWR), PAGE) as theirs:
                theirs[100:105] = b'child'
        in_child(body)
        equal(mapped[100:105], b'child')


@case('what is written to a mapping is in the file after msync, munmap and close', 'POSIX msync(), munmap()')
def _():
    create('f', bytes(10 * PAGE))
    fd = os.open('f', os.O_RDWR)
    mapped = mmap.mmap(fd, 10 * PAGE)
    os.close(fd)
    mapped[5 * PAGE:5 * PAGE + 4] = b'sync'
    mapped.flush()
    where = os.path.join(Report.second, 'f') if Report.second else 'f'
    equal(content(where)[5 * PAGE:5 * PAGE + 4], b'sync')
    mapped[7 * PAGE:7 * PAGE + 5] = b'unmap'
    mapped.close()
    equal(content('f')[7 * PAGE:7 * PAGE + 5], b'unmap')
    equal(os.stat('f').st_size, 10 * PAGE)


@case('a private mapping keeps its changes to itself', 'POSIX mmap(), MAP_PRIVATE')
def _():
    create('f', b'a' * PAGE)
    fd = os.open('f', os.O_RDONLY)
    with mmap.mmap(fd, PAGE, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE) as mapped:
        mapped[0:5] = b'mine!'
        equal(content('f')[:5], b'aaaaa')
        equal(mapped[:6], b'mine!a')


@case('past the end the last page is zeros, and writing there does not grow the file', 'POSIX mmap(): "remaining bytes … zero … not … written out"')
def _():
    create('f', b'abc')
    fd = os.open('f', os.O_RDWR)
    with mmap.mmap(fd, 3) as mapped:
        equal(mapped[:3], b'abc')
    os.ftruncate(fd, 100)
    with mmap.mmap(fd, 100) as mapped:
        mapped[50:60] = b'x' * 10
        mapped.flush()
    equal((os.stat('f').st_size, content('f')), (100, b'abc' + bytes(47) + b'x' * 10 + bytes(40)))


@case('a page wholly past the end is SIGBUS', 'POSIX mmap(): "SIGBUS"')
def _():
    create('f', b'a' * (2 * PAGE))
    fd = os.open('f', os.O_RDWR)
    mapped = mmap.mmap(fd, 2 * PAGE)
    os.ftruncate(fd, PAGE)
    pid = os.fork()
    if pid == 0:
        import resource
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        mapped[PAGE]
        os._exit(0)
    import signal
    equal(os.waitpid(pid, 0)[1] & 0x7F, signal.SIGBUS)
    equal(mapped[:3], b'aaa')


@case('truncating and growing again shows zeros in the mapping', 'POSIX ftruncate(), mmap()')
def _():
    create('f', b'a' * (4 * PAGE))
    fd = os.open('f', os.O_RDWR)
    with mmap.mmap(fd, 4 * PAGE) as mapped:
        equal(mapped[2 * PAGE], 97)
        os.ftruncate(fd, PAGE + 10)
        os.ftruncate(fd, 4 * PAGE)
        equal(mapped[PAGE:4 * PAGE], b'a' * 10 + bytes(3 * PAGE - 10))
        mapped[3 * PAGE] = 98
    equal(content('f'), b'a' * (PAGE + 10) + bytes(2 * PAGE - 10) + b'b' + bytes(PAGE - 1))


@case('a shared writable mapping needs a descriptor to read and write: EACCES', 'POSIX mmap() [EACCES]')
def _():
    create('f', b'a' * PAGE)
    both = mmap.PROT_READ | mmap.PROT_WRITE
    expect('EACCES', mmap.mmap, os.open('f', os.O_RDONLY), PAGE, prot=both)
    expect('EACCES', mmap.mmap, os.open('f', os.O_WRONLY), PAGE, prot=both)
    expect('EACCES', mmap.mmap, os.open('f', os.O_WRONLY), PAGE, prot=mmap.PROT_READ)
    expect('ok', mmap.mmap, os.open('f', os.O_RDONLY), PAGE, prot=mmap.PROT_READ)
    expect('ENODEV', mmap.mmap, os.open('.', os.O_RDONLY), PAGE, prot=mmap.PROT_READ)


@case('a mapping outlives the name and the descriptor', 'POSIX mmap(): "adds an additional reference"')
def _():
    create('f', b'kept' * PAGE)
    fd = os.open('f', os.O_RDWR)
    mapped = mmap.mmap(fd, 4 * PAGE)
    os.close(fd)
    os.unlink('f')
    equal(mapped[-4:], b'kept')
    mapped[0:4] = b'here'
    mapped.flush()
    equal(mapped[:8], b'herekept')


@case('writing by a mapping moves mtime and ctime', 'POSIX mmap(): "marked for update … between a write reference and the next call to msync()"')
def _():
    create('f', b'a' * PAGE)
    fd = os.open('f', os.O_RDWR)
    with mmap.mmap(fd, PAGE) as mapped:
        with moves('mtime ctime', 'f'):
            mapped[0] = 65
            mapped.flush()
            os.fsync(fd)


@case('a hole is read as zeros by a mapping, and filled by writing', 'POSIX mmap(), lseek()')
def _():
    create('f')
    os.truncate('f', 1 << 30)
    fd = os.open('f', os.O_RDWR)
    with mmap.mmap(fd, 1 << 30) as mapped:
        equal(mapped[500 << 20], 0)
        mapped[700 << 20] = 77
        mapped.flush()
    equal(os.pread(fd, 3, (700 << 20) - 1), b'\0M\0')
    check(os.fstat(fd).st_blocks < 20000, 'few blocks')


@case('large mappings written all over come back byte for byte', 'POSIX mmap()')
def _():
    import random
    rnd = random.Random(7)
    size = 3 << 20
    model = bytearray(size)
    create('f', bytes(size))
    fd = os.open('f', os.O_RDWR)
    with mmap.mmap(fd, size) as mapped:
        for _ in range(300):
            start = rnd.randrange(size - 10000)
            piece = rnd.randbytes(rnd.randrange(1, 10000))
            mapped[start:start + len(piece)] = piece
            model[start:start + len(piece)] = piece
        check(mapped[:] == model, 'the mapping')
    check(content('f') == model, 'the file')
    if Report.second:
        check(content(os.path.join(Report.second, 'f')) == model, 'the file on the other mount')
