"""mkfifo(3) and what FIFOs do."""
import os
from harness import *


@case('the type, mode, owner and times of a FIFO', 'POSIX mkfifo()')
def _():
    directory('d', 0o777)
    for mode, umask in ((0o644, 0o022), (0o666, 0o077), (0o151, 0o0), (0o755, 0o070)):
        with moves('mtime ctime', 'd'):
            as_user(ALICE, os.mkfifo, 'd/p', mode, umask=umask)
        found = os.stat('d/p')
        equal((found.st_mode, found.st_uid, found.st_gid, found.st_size, found.st_nlink),
              (0o010000 | mode & ~umask, *ALICE, 0, 1))
        os.unlink('d/p')


@case('an existing name is EEXIST, of any type', 'POSIX mkfifo() [EEXIST]')
def _():
    for kind, make in MAKERS.items():
        make(kind)
        expect('EEXIST', os.mkfifo, kind)


@case('the directory must be there and writable', 'POSIX mkfifo() [ENOENT], [ENOTDIR], [EACCES]')
def _():
    create('f')
    directory('d', 0o755, BOB)
    expect('ENOENT', os.mkfifo, 'missing/p')
    expect('ENOTDIR', os.mkfifo, 'f/p')
    expect_as(ALICE, 'EACCES', os.mkfifo, 'd/p')


@case('what one process writes, another one reads; by any link of it', 'POSIX open(), FIFO')
def _():
    os.mkfifo('p')
    os.link('p', 'q')
    pid = os.fork()
    if pid == 0:
        fd = os.open('q', os.O_WRONLY)
        os.write(fd, b'hello')
        os._exit(0)
    fd = os.open('p', os.O_RDONLY)
    equal(os.read(fd, 100), b'hello')
    os.waitpid(pid, 0)
    equal(os.read(fd, 100), b'')


@case('the mode decides who opens it', 'POSIX open() [EACCES]')
def _():
    os.mkfifo('p')
    os.chmod('p', 0o640)
    expect_as(ALICE, 'EACCES', open_close, 'p', os.O_RDONLY | os.O_NONBLOCK)
    expect_as(ALICE, 'ok', open_close, 'p', os.O_RDONLY | os.O_NONBLOCK, groups=(0,))


@case('a FIFO that is removed while open goes on', 'POSIX unlink()')
def _():
    os.mkfifo('p')
    read = os.open('p', os.O_RDONLY | os.O_NONBLOCK)
    write = os.open('p', os.O_WRONLY)
    os.unlink('p')
    os.write(write, b'still')
    equal(os.read(read, 10), b'still')
    equal(os.fstat(read).st_nlink, 0)
