"""Access times of a mount with --atime relatime; the second directory is by way of a mount without."""
import mmap
import os
import time
from harness import *


def atime(path):
    return os.lstat(path).st_atime_ns


def settled(path, content):
    """A file whose content is stored, so that its times stay as they are."""
    create(path, content)
    settle(path)


def settle(path):
    fd = os.open(path, os.O_RDWR)
    os.fsync(fd)
    os.close(fd)
    time.sleep(0.012)


def moved(path, read):
    """Whether reading moves the access time; it must move nothing else."""
    before = os.lstat(path)
    time.sleep(0.012)
    read(path)
    after = os.lstat(path)
    equal((after.st_mtime_ns, after.st_ctime_ns), (before.st_mtime_ns, before.st_ctime_ns))
    return after.st_atime_ns > before.st_atime_ns


def mapped(path):
    fd = os.open(path, os.O_RDONLY)
    with mmap.mmap(fd, 0, prot=mmap.PROT_READ) as bytes_of_it:
        equal(bytes_of_it[100], ord('x'))
    os.close(fd)


def sent(path):
    source, target = os.open(path, os.O_RDONLY), os.open('/dev/null', os.O_WRONLY)
    os.sendfile(target, source, 0, 4096)
    os.close(source)
    os.close(target)


def direct(path):
    fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    os.preadv(fd, [mmap.mmap(-1, 4096)], 0)
    os.close(fd)


def opened(path):
    os.close(os.open(path, os.O_RDONLY))


def unnoticed(path):
    fd = os.open(path, os.O_RDONLY | os.O_NOATIME)
    if os.path.isdir(path):
        os.listdir(fd)
    else:
        os.read(fd, 4096)
    os.close(fd)


READERS = {'read': content, 'mmap': mapped, 'sendfile': sent, 'O_DIRECT': direct}


@case('reading moves it when it is not later than mtime, and then no more', 'mount(8), relatime; POSIX read()')
def _():
    for name, read in READERS.items():
        settled(name, b'x' * 8192)
        check(moved(name, read), '%s moves it' % name)
        check(not moved(name, read), '%s leaves it' % name)


@case('a write makes it due again, also when the kernel has kept every page', 'mount(8), relatime')
def _():
    settled('f', b'x' * 8192)
    for name, read in READERS.items():
        content('f')
        with open('f', 'r+b') as file:
            file.write(b'x')
        settle('f')
        check(moved('f', read), name)
        check(not moved('f', read), name)


@case('a change of mode makes it due again', 'mount(8), relatime: "or change time"')
def _():
    settled('f', b'x' * 8192)
    content('f')
    os.chmod('f', 0o600)
    check(moved('f', content), 'after chmod')
    os.utime('f', (1000, 2000))
    equal(os.stat('f').st_atime, 1000)
    check(moved('f', content), 'after utimes')


@case('opening is no reading, nor is what O_NOATIME reads', 'open(2), O_NOATIME')
def _():
    settled('f', b'x' * 8192)
    os.mkdir('d')
    create('d/f')
    for path, read in (('f', opened), ('f', unnoticed), ('d', opened), ('d', unnoticed)):
        check(not moved(path, read), '%s by %s' % (path, read.__name__))
    check(moved('f', content), 'read')
    check(moved('d', os.listdir), 'listed')


@case('listing a directory and reading a link move theirs', 'POSIX readdir(), readlink()')
def _():
    os.mkdir('d')
    os.symlink('d', 'l')
    for path, read in (('d', os.listdir), ('l', os.readlink)):
        check(moved(path, read), path)
        check(not moved(path, read), path)
    create('d/f')
    check(moved('d', os.listdir), 'after a change')
    check(not moved('d', os.listdir), 'then no more')


@case('other clients see it some seconds later; on a mount without the option reading moves nothing', 'README')
def _():
    theirs = Report.second
    for index in range(20):
        settled('f%d' % index, b'x' * 100)
    settled('g', b'x' * 100)
    os.mkdir('d')
    before = [os.stat(os.path.join(theirs, 'f%d' % index)).st_ctime_ns for index in range(20)]
    for index in range(20):
        content('f%d' % index)
    os.listdir('d')
    ours = [atime('f%d' % index) for index in range(20)] + [atime('d')]

    def seen():
        return [atime(os.path.join(theirs, 'f%d' % index)) for index in range(20)] + [atime(os.path.join(theirs, 'd'))]
    deadline = time.monotonic() + 40
    while seen() != ours and time.monotonic() < deadline:
        time.sleep(0.1)
    equal(seen(), ours)
    equal([os.stat(os.path.join(theirs, 'f%d' % index)).st_ctime_ns for index in range(20)], before)
    for path, read in (('g', content), ('.', os.listdir)):
        check(not moved(os.path.join(theirs, path), read), path)


@case('the table of mounts says which rule a mount has', 'statvfs(3), ST_NOATIME, ST_RELATIME')
def _():
    ours, theirs = (os.statvfs(path).f_flag & (os.ST_NOATIME | os.ST_RELATIME) for path in ('.', Report.second))
    equal((ours, theirs), (os.ST_RELATIME, os.ST_NOATIME))
