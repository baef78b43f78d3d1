"""fcntl(2) locks, open file description locks, and flock(2); by way of two mounts where there are two."""
import fcntl
import os
import signal
import struct
import time
from harness import *
from syscalls import *

READ, WRITE, FREE = fcntl.F_RDLCK, fcntl.F_WRLCK, fcntl.F_UNLCK


def other(path):
    """The file as another client has it."""
    return os.path.join(Report.second, path) if Report.second else path


def posix(fd, kind, start=0, length=0, wait=False, whence=os.SEEK_SET, ofd=False):
    if ofd:
        command = F_OFD_SETLKW if wait else F_OFD_SETLK
    else:
        command = fcntl.F_SETLKW if wait else fcntl.F_SETLK
    fcntl.fcntl(fd, command, struct.pack(FLOCK, kind, whence, start, length, 0))


def holder(fd, kind, start, length=1):
    """What F_GETLK says is in the way: (type, start, length, pid), or None."""
    kind, _, start, length, pid = struct.unpack(FLOCK, fcntl.fcntl(fd, fcntl.F_GETLK, struct.pack(FLOCK, kind, 0, start, length, 0)))
    return None if kind == FREE else (kind, start, length, pid)


def elsewhere(path, attempts):
    """The outcomes of locks that another process tries by way of the other mount."""
    def body():
        fd = os.open(other(path), os.O_RDWR)
        said = []
        for kind, start, length in attempts:
            said.append(outcome(posix, fd, kind, start, length))
            if said[-1] == 'ok':
                posix(fd, FREE, start, length)
        return said
    return in_child(body)


@case('write locks exclude all, read locks exclude write locks', 'POSIX fcntl(), Advisory file locking')
def _():
    create('f', b'x' * 100)
    fd = os.open('f', os.O_RDWR)
    posix(fd, WRITE, 10, 10)
    posix(fd, READ, 40, 10)
    equal(elsewhere('f', [(READ, 10, 1), (WRITE, 19, 1), (READ, 9, 1), (READ, 20, 1), (READ, 45, 1), (WRITE, 45, 1), (WRITE, 0, 0)]),
          ['EAGAIN', 'EAGAIN', 'ok', 'ok', 'ok', 'EAGAIN', 'EAGAIN'])


@case('a process\'s own locks are changed, split and joined', 'POSIX fcntl(): "converted"')
def _():
    create('f', b'x' * 100)
    fd = os.open('f', os.O_RDWR)
    posix(fd, WRITE, 0, 100)
    posix(fd, FREE, 40, 20)
    posix(fd, READ, 80, 10)
    equal(elsewhere('f', [(READ, 39, 1), (WRITE, 40, 20), (READ, 60, 1), (READ, 80, 10), (WRITE, 80, 1), (READ, 90, 1), (WRITE, 100, 0)]),
          ['EAGAIN', 'ok', 'EAGAIN', 'ok', 'EAGAIN', 'EAGAIN', 'ok'])
    posix(fd, FREE)
    equal(elsewhere('f', [(WRITE, 0, 0)]), ['ok'])


@case('length 0 is to the end and beyond; a negative one goes backwards; SEEK_END and SEEK_CUR count', 'POSIX fcntl(), struct flock')
def _():
    create('f', b'x' * 100)
    fd = os.open('f', os.O_RDWR)
    posix(fd, WRITE, 50, 0)
    equal(elsewhere('f', [(READ, 49, 1), (READ, 10 ** 15, 1)]), ['ok', 'EAGAIN'])
    posix(fd, FREE)
    posix(fd, WRITE, 50, -10)
    equal(elsewhere('f', [(READ, 39, 1), (READ, 40, 1), (READ, 49, 1), (READ, 50, 1)]), ['ok', 'EAGAIN', 'EAGAIN', 'ok'])
    posix(fd, FREE)
    posix(fd, WRITE, -10, 5, whence=os.SEEK_END)
    os.lseek(fd, 20, os.SEEK_SET)
    posix(fd, WRITE, 5, 5, whence=os.SEEK_CUR)
    equal(elsewhere('f', [(READ, 89, 1), (READ, 90, 1), (READ, 95, 1), (READ, 24, 1), (READ, 25, 1), (READ, 30, 1)]),
          ['ok', 'EAGAIN', 'ok', 'ok', 'EAGAIN', 'ok'])
    expect('EINVAL', posix, fd, WRITE, -1, 0)
    expect('EINVAL', posix, fd, 77, 0, 1)


@case('F_GETLK tells of the first lock in the way, and of none when there is none', 'POSIX fcntl(), F_GETLK')
def _():
    create('f', b'x' * 100)
    fd = os.open('f', os.O_RDWR)
    posix(fd, WRITE, 20, 10)
    equal(holder(fd, WRITE, 20), None, 'own locks are not in the way')
    found = in_child(lambda: holder(os.open(other('f'), os.O_RDWR), WRITE, 0, 100))
    equal(found[:3], [WRITE, 20, 10])
    if not Report.second:
        equal(found[3], os.getpid())
    equal(in_child(lambda: holder(os.open(other('f'), os.O_RDWR), WRITE, 30, 5)), None)


@case('a lock needs a descriptor of its kind: EBADF', 'POSIX fcntl() [EBADF]')
def _():
    create('f')
    expect('EBADF', posix, os.open('f', os.O_RDONLY), WRITE)
    expect('EBADF', posix, os.open('f', os.O_WRONLY), READ)
    expect('ok', posix, os.open('f', os.O_RDONLY), READ)
    expect('ok', fcntl.flock, os.open('f', os.O_RDONLY), fcntl.LOCK_EX)


@case('closing any descriptor of the file drops the process\'s locks', 'POSIX fcntl(): "All locks … shall be removed when a file descriptor for that file is closed"')
def _():
    create('f')
    fd = os.open('f', os.O_RDWR)
    posix(fd, WRITE)
    os.close(os.open('f', os.O_RDONLY))
    equal(elsewhere('f', [(WRITE, 0, 0)]), ['ok'])


@case('a child does not inherit them; they end with the process', 'POSIX fcntl(), fork()')
def _():
    create('f')
    fd = os.open('f', os.O_RDWR)
    posix(fd, WRITE)
    equal(in_child(lambda: outcome(posix, fd, WRITE)), 'EAGAIN')
    posix(fd, FREE)
    in_child(lambda: posix(os.open('f', os.O_RDWR), WRITE))
    equal(elsewhere('f', [(WRITE, 0, 0)]), ['ok'])


@case('who waits gets the lock when it is free', 'POSIX fcntl(), F_SETLKW')
def _():
    create('f')
    for kind in ('fcntl', 'ofd', 'flock'):
        fd = os.open('f', os.O_RDWR)
        ready, say = os.pipe()
        take = {
            'fcntl': lambda fd, wait: posix(fd, WRITE, wait=wait), 'ofd': lambda fd, wait: posix(fd, WRITE, wait=wait, ofd=True),
            'flock': lambda fd, wait: fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB)),
        }[kind]
        take(fd, False)
        pid = os.fork()
        if pid == 0:
            mine = os.open(other('f'), os.O_RDWR)
            os.close(fd)
            refused = outcome(take, mine, False)
            os.write(say, b'x')
            os._exit(0 if refused == 'EAGAIN' and outcome(take, mine, True) == 'ok' else 1)
        os.read(ready, 1)
        time.sleep(0.2)
        equal(os.waitpid(pid, os.WNOHANG)[0], 0, kind + ' is waited for')
        os.close(fd)
        equal(os.waitpid(pid, 0)[1], 0, kind)


@case('a signal ends waiting', 'POSIX fcntl() [EINTR]; flock(2) [EINTR]')
def _():
    create('f')
    for take in (lambda fd: posix(fd, WRITE, wait=True), lambda fd: fcntl.flock(fd, fcntl.LOCK_EX)):
        fd = os.open('f', os.O_RDWR)
        take(fd)

        def body():
            def alarm(*_):
                raise InterruptedError
            mine = os.open(other('f'), os.O_RDWR)
            signal.signal(signal.SIGALRM, alarm)
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            try:
                take(mine)
            except InterruptedError:
                return 'interrupted'
            return 'locked'
        # A child that was forked shares the descriptor, and with it the flock; the one it opens is its own.
        equal(in_child(body), 'interrupted')
        os.close(fd)


@case('two processes that wait for each other: EDEADLK', 'POSIX fcntl() [EDEADLK]')
def _():
    create('f', b'xx')
    ready, say = os.pipe()
    start, go = os.pipe()
    children = []
    for path, first, second in (('f', 0, 1), (other('f'), 1, 0)):
        pid = os.fork()
        children.append(pid)
        if pid == 0:
            fd = os.open(path, os.O_RDWR)
            posix(fd, WRITE, first, 1)
            os.write(say, b'x')
            os.read(start, 1)
            os._exit({'ok': 0, 'EDEADLK': 1}.get(outcome(posix, fd, WRITE, second, 1, wait=True), 2))
    os.read(ready, 1)
    os.read(ready, 1)
    os.write(go, b'xx')
    equal(sorted(os.waitpid(child, 0)[1] >> 8 for child in children), [0, 1])


@case('open file description locks belong to the description', 'fcntl(2), Open file description locks')
def _():
    create('f', b'x' * 100)
    a, b = os.open('f', os.O_RDWR), os.open(other('f'), os.O_RDWR)
    posix(a, WRITE, 0, 10, ofd=True)
    expect('EAGAIN', posix, b, WRITE, 5, 1, ofd=True)
    expect('EAGAIN', posix, b, WRITE, 5, 1)
    expect('ok', posix, os.dup(a), WRITE, 5, 1, ofd=True)
    os.close(os.open('f', os.O_RDONLY))
    expect('EAGAIN', posix, b, WRITE, 0, 1, ofd=True)


@case('an open file description lock goes with the last close of its description', 'fcntl(2), Open file description locks')
def _():
    create('f', b'x' * 100)
    b = os.open('f', os.O_RDWR)
    for kind in (WRITE, READ):
        for _ in range(20):
            a = os.open('f', os.O_RDWR)
            posix(a, kind, 0, 10, ofd=True)
            expect('EAGAIN', posix, b, WRITE, 5, 1, ofd=True)
            os.close(a)
            expect('ok', posix, b, WRITE, 5, 1, ofd=True)
            posix(b, FREE, ofd=True)
    a = os.open('f', os.O_RDWR)
    second = os.dup(a)
    posix(a, WRITE, ofd=True)
    os.close(a)
    expect('EAGAIN', posix, b, WRITE, ofd=True)
    ready, go = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(go)
        os.read(ready, 1)
        os._exit(0)
    os.close(ready)
    os.close(second)
    expect('EAGAIN', posix, b, WRITE, ofd=True)
    os.close(go)
    os.waitpid(pid, 0)
    expect('ok', posix, b, WRITE, ofd=True)


@case('the last close of a description frees its lock for other clients too', 'fcntl(2), Open file description locks')
def _():
    create('f', b'x' * 100)
    a, kept, theirs = os.open('f', os.O_RDWR), os.open('f', os.O_RDWR), os.open(other('f'), os.O_RDWR)
    posix(a, WRITE, 0, 10, ofd=True)
    posix(kept, WRITE, 50, 10, ofd=True)
    expect('EAGAIN', posix, theirs, WRITE, 5, 1, ofd=True)
    os.close(a)
    posix(theirs, WRITE, 5, 1, wait=True, ofd=True)
    expect('EAGAIN', posix, theirs, WRITE, 55, 1, ofd=True)


@case('the last close of a description leaves the locks that its process has taken since by another one', 'POSIX fcntl()')
def _():
    create('f', b'x' * 100)
    b = os.open('f', os.O_RDWR)
    for _ in range(20):
        a = os.open('f', os.O_RDWR)
        posix(a, WRITE, 0, 10)
        os.close(a)
        posix(b, WRITE, 0, 10)
        os.fstat(b)
        equal(elsewhere('f', [(WRITE, 5, 1)]), ['EAGAIN'])


@case('flock belongs to the description, shared or exclusive, and is converted', 'flock(2)')
def _():
    create('f')
    a, b = os.open('f', os.O_RDWR), os.open(other('f'), os.O_RDWR)
    SH, EX, UN, NB = fcntl.LOCK_SH, fcntl.LOCK_EX, fcntl.LOCK_UN, fcntl.LOCK_NB
    fcntl.flock(a, SH)
    expect('ok', fcntl.flock, b, SH | NB)
    expect('EAGAIN', fcntl.flock, a, EX | NB)
    fcntl.flock(b, UN)
    fcntl.flock(a, SH)
    expect('ok', fcntl.flock, a, EX | NB)
    expect('EAGAIN', fcntl.flock, b, SH | NB)
    copy = os.dup(a)
    os.close(a)
    expect('EAGAIN', fcntl.flock, b, SH | NB)
    fcntl.flock(copy, UN)
    expect('ok', fcntl.flock, b, EX | NB)


@case('flock and fcntl locks do not see each other', 'flock(2), NOTES')
def _():
    create('f')
    a, b = os.open('f', os.O_RDWR), os.open(other('f'), os.O_RDWR)
    fcntl.flock(a, fcntl.LOCK_EX)
    expect('ok', posix, b, WRITE)
    expect('EAGAIN', fcntl.flock, b, fcntl.LOCK_EX | fcntl.LOCK_NB)


@case('a directory can be flocked', 'flock(2)')
def _():
    directory('d')
    # By one mount: the kernel hands locks of directories to no FUSE file system.
    a, b = os.open('d', os.O_RDONLY), os.open('d', os.O_RDONLY)
    fcntl.flock(a, fcntl.LOCK_EX)
    expect('EAGAIN', fcntl.flock, b, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(a)
    expect('ok', fcntl.flock, b, fcntl.LOCK_EX | fcntl.LOCK_NB)
