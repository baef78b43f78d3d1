"""utimensat(2)."""
import os
import time
from harness import *
from syscalls import *

NOW, OMIT = (0, UTIME_NOW), (0, UTIME_OMIT)


@case('nanoseconds of every type are kept, before 1970 and after 2106', 'POSIX utimensat(), futimens()')
def _():
    for kind, make in MAKERS.items():
        make(kind)
        for seconds, nanoseconds in ((0, 0), (1, 999999999), (981173106, 123456789), (-1, 500000001), (-2 ** 31 + 10, 1),
                                     (2 ** 31, 7), (2 ** 32 + 5, 3)):
            utimensat(kind, ((seconds, nanoseconds), (seconds + 1, 42)), AT_SYMLINK_NOFOLLOW)
            found = os.lstat(kind)
            equal((found.st_atime_ns, found.st_mtime_ns), (seconds * 10 ** 9 + nanoseconds, (seconds + 1) * 10 ** 9 + 42), kind)


@case('UTIME_OMIT leaves one as it is, UTIME_NOW is the time of now, NULL is both', 'POSIX utimensat(), UTIME_NOW and UTIME_OMIT')
def _():
    create('f')
    os.utime('f', ns=(111, 222))
    utimensat('f', (OMIT, (3, 333)))
    equal((os.stat('f').st_atime_ns, os.stat('f').st_mtime_ns), (111, 3000000333))
    utimensat('f', ((4, 444), OMIT))
    equal((os.stat('f').st_atime_ns, os.stat('f').st_mtime_ns), (4000000444, 3000000333))
    utimensat('f', (NOW, OMIT))
    check(abs(os.stat('f').st_atime - time.time()) < 60, 'atime is now')
    equal(os.stat('f').st_mtime_ns, 3000000333)
    utimensat('f', (OMIT, NOW))
    check(abs(os.stat('f').st_mtime - time.time()) < 60, 'mtime is now')
    os.utime('f', ns=(5, 6))
    utimensat('f', None)
    check(abs(os.stat('f').st_atime - time.time()) < 60 and abs(os.stat('f').st_mtime - time.time()) < 60, 'both are now')


@case('the times are set, and ctime is of now; with both omitted nothing moves', 'POSIX utimensat(): "mark for update the last file status change timestamp"')
def _():
    create('f')
    with moves('mtime ctime', 'f'):
        os.utime('f', ns=(1, 2 ** 62))
    with moves('ctime', 'f'):
        os.utime('f', ns=(5, 2 ** 62))
    with moves('', 'f'):
        utimensat('f', (OMIT, OMIT))
    fd = os.open('f', os.O_RDONLY)
    os.utime(fd, ns=(8, 9))
    equal((os.stat('f').st_atime_ns, os.stat('f').st_mtime_ns), (8, 9))


@case('a nanosecond out of range is EINVAL', 'POSIX utimensat() [EINVAL]')
def _():
    create('f')
    for nanoseconds in (10 ** 9, -1, 2 ** 31):
        expect('EINVAL', utimensat, 'f', ((1, nanoseconds), (1, 0)))
        expect('EINVAL', utimensat, 'f', ((1, 0), (1, nanoseconds)))


@case('times of one\'s choice are for the owner: EPERM; now is for whoever may write: EACCES', 'POSIX utimensat() [EPERM], [EACCES]')
def _():
    for mode, who, explicit, now in (
        (0o666, ALICE, 'EPERM', 'ok'), (0o644, ALICE, 'EPERM', 'EACCES'), (0o444, BOB, 'ok', 'ok'), (0o000, BOB, 'ok', 'ok'),
        (0o000, ROOT, 'ok', 'ok'),
    ):
        create('f', mode=mode, owner=BOB)
        expect_as(who, explicit, utimensat, 'f', ((1, 1), (2, 2)))
        expect_as(who, explicit, utimensat, 'f', ((1, 1), OMIT))
        expect_as(who, explicit, utimensat, 'f', (NOW, OMIT))
        expect_as(who, explicit, utimensat, 'f', (OMIT, NOW))
        expect_as(who, now, utimensat, 'f', None)
        expect_as(who, now, utimensat, 'f', (NOW, NOW))
        expect_as(who, 'ok', utimensat, 'f', (OMIT, OMIT))
        os.unlink('f')


@case('what was set is not moved by writing that was before, nor lost by closing', 'POSIX utimensat()')
def _():
    fd = os.open('f', os.O_CREAT | os.O_RDWR)
    os.write(fd, b'x' * 100000)
    os.utime(fd, ns=(1000000001, 2000000002))
    equal(os.fstat(fd).st_mtime_ns, 2000000002)
    os.fsync(fd)
    os.close(fd)
    equal(os.stat('f').st_mtime_ns, 2000000002)
    fd = os.open('f', os.O_RDWR)
    os.write(fd, b'y')
    os.utime('f', ns=(3, 4))
    os.close(fd)
    equal(os.stat('f').st_mtime_ns, 4)


@case('reading moves atime when it is older than mtime', 'POSIX read(): "mark for update the last data access timestamp"; mount(8) relatime')
def _():
    create('f', b'content')
    os.utime('f', ns=(1, 10 ** 18))
    content('f')
    if os.statvfs('.').f_flag & os.ST_NOATIME:
        raise Skip('mounted noatime')
    check(os.stat('f').st_atime_ns > 1, 'atime moved on')


@case('times that one mount sets, the other one sees', 'coherence of two mounts')
def _():
    if not Report.second:
        raise Skip('one mount')
    create('f')
    other = os.path.join(Report.second, 'f')
    os.stat(other)
    os.utime('f', ns=(123456789012345678, 234567890123456789))
    equal((os.stat(other).st_atime_ns, os.stat(other).st_mtime_ns), (123456789012345678, 234567890123456789))
