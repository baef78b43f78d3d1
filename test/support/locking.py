"""What a program does with locks: one command line, one behaviour. Says what happened on standard output."""
import errno
import fcntl
import os
import signal
import struct
import sys
import time

KINDS = {'flock': fcntl.flock, 'fcntl': fcntl.lockf}


def lock(kind, file, how):
    KINDS[kind](file, how)


def count(kind, path, times):
    """Adds one to the number in a file, under a lock, so many times."""
    for _ in range(int(times)):
        with open(path, 'r+') as file:
            lock(kind, file, fcntl.LOCK_EX)
            value = int(file.read() or 0)
            file.seek(0)
            file.write('%08d' % (value + 1))
            file.flush()
            lock(kind, file, fcntl.LOCK_UN)


def hold(kind, path):
    """Locks, says so, and keeps the lock until it is killed."""
    file = open(path, 'r+')
    lock(kind, file, fcntl.LOCK_EX)
    print('held', flush=True)
    signal.pause()


def attempt(kind, path, how='exclusive'):
    """Tries to lock without waiting."""
    file = open(path, 'r+')
    try:
        lock(kind, file, (fcntl.LOCK_EX if how == 'exclusive' else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        print('got it')
    except OSError as error:
        print(errno.errorcode[error.errno])


def wait(kind, path):
    """Waits for the lock, and says how long it took."""
    file = open(path, 'r+')
    start = time.monotonic()
    lock(kind, file, fcntl.LOCK_EX)
    print('%.3f' % (time.monotonic() - start))


def interrupted(kind, path):
    """Waits for the lock until a signal comes."""
    def alarm(*_):
        raise InterruptedError
    file = open(path, 'r+')
    signal.signal(signal.SIGALRM, alarm)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    start = time.monotonic()
    try:
        lock(kind, file, fcntl.LOCK_EX)
        print('got it')
    except InterruptedError:
        print('interrupted' if time.monotonic() - start < 3 else 'interrupted late')


def ranges(ours, theirs):
    """POSIX ranges as fcntl(2) has them, seen from the other mount."""
    a = open(ours, 'r+')
    fcntl.lockf(a, fcntl.LOCK_EX, 100, 0)
    fcntl.lockf(a, fcntl.LOCK_UN, 10, 40)
    fcntl.lockf(a, fcntl.LOCK_SH, 10, 60)
    said = []
    child = os.fork()
    if child == 0:
        b = open(theirs, 'r+')
        for start, how in ((0, fcntl.LOCK_SH), (40, fcntl.LOCK_EX), (49, fcntl.LOCK_EX), (50, fcntl.LOCK_SH),
                           (60, fcntl.LOCK_SH), (60, fcntl.LOCK_EX), (99, fcntl.LOCK_SH), (100, fcntl.LOCK_EX)):
            try:
                fcntl.lockf(b, how | fcntl.LOCK_NB, 1, start)
                said.append('free')
            except OSError as error:
                said.append(errno.errorcode[error.errno])
        layout = 'hhqqi4x'
        answer = fcntl.fcntl(b, fcntl.F_GETLK, struct.pack(layout, fcntl.F_WRLCK, os.SEEK_SET, 45, 0, 0))
        kind, _, start, length, _ = struct.unpack(layout, answer)
        said.append('%s %d+%d' % ({0: 'read', 1: 'write', 2: 'none'}[kind], start, length))
        print(', '.join(said), flush=True)
        os._exit(0)
    os.waitpid(child, 0)


def closing(ours, theirs):
    """close(2) of any descriptor of the file releases a process's POSIX locks, but not its flock."""
    for kind in ('fcntl', 'flock'):
        a = open(ours, 'r+')
        lock(kind, a, fcntl.LOCK_EX)
        os.close(os.open(ours, os.O_RDONLY))
        child = os.fork()
        if child == 0:
            attempt(kind, theirs)
            sys.stdout.flush()
            os._exit(0)
        os.waitpid(child, 0)
        a.close()


def deadlock(ours, theirs):
    """Two processes on two mounts, each of which has what the other waits for: one of them is told."""
    said, say = os.pipe()
    ready, go = os.pipe()
    children = []
    for path, first, second in ((ours, 0, 1), (theirs, 1, 0)):
        pid = os.fork()
        children.append(pid)
        if pid == 0:
            file = open(path, 'r+')
            fcntl.lockf(file, fcntl.LOCK_EX, 1, first)
            os.write(say, b'x')
            os.read(ready, 1)
            try:
                fcntl.lockf(file, fcntl.LOCK_EX, 1, second)
                print('got it', flush=True)
            except OSError as error:
                print('EDEADLK' if error.errno == errno.EDEADLK else errno.errorcode[error.errno], flush=True)
            os._exit(0)
    os.read(said, 1), os.read(said, 1)
    os.write(go, b'xx')
    for child in children:
        os.waitpid(child, 0)


COMMANDS = {
    'count': count, 'hold': hold, 'attempt': attempt, 'wait': wait, 'interrupted': interrupted,
    'ranges': ranges, 'closing': closing, 'deadlock': deadlock,
}
COMMANDS[sys.argv[1]](*sys.argv[2:])
