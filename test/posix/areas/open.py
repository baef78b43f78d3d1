"""open(2)."""
import os
import socket
import subprocess
from harness import *
from syscalls import *

O_TMPFILE = os.O_TMPFILE


@case('O_CREAT makes an empty regular file of the caller, mode less the umask', 'POSIX open(), O_CREAT')
def _():
    directory('d', 0o777)
    for mode, umask in ((0o777, 0o022), (0o666, 0o077), (0o7777, 0o0), (0o151, 0o77), (0o644, 0o070), (0o0, 0o0)):
        def make():
            open_close('d/f', os.O_CREAT | os.O_WRONLY, mode)
        as_user(ALICE, make, umask=umask)
        found = os.stat('d/f')
        equal(found.st_mode, 0o100000 | mode & ~umask, 'mode %o umask %o' % (mode, umask))
        equal((found.st_uid, found.st_gid, found.st_size, found.st_nlink), (*ALICE, 0, 1))
        os.unlink('d/f')


@case('O_CREAT of a new file sets its times and moves mtime and ctime of the directory; of an existing one, none', 'POSIX open(), O_CREAT')
def _():
    directory('d')
    with moves('mtime ctime', 'd'):
        create('d/f')
    found, parent = os.stat('d/f'), os.stat('d')
    check(abs(found.st_mtime_ns - parent.st_mtime_ns) < 10 ** 9, 'the times are about the same')
    with moves('', 'd'), moves('', 'd/f'):
        open_close('d/f', os.O_CREAT | os.O_WRONLY)


@case('a file in a set-group-ID directory has the group of the directory', 'open(2); inode(7) S_ISGID')
def _():
    directory('d', 0o2777, (0, BOB[1]))
    as_user(ALICE, create, 'd/f')
    equal((os.stat('d/f').st_uid, os.stat('d/f').st_gid), (ALICE[0], BOB[1]))
    as_user(ALICE, os.mkdir, 'd/e')
    equal(os.stat('d/e').st_gid, BOB[1])
    check(os.stat('d/e').st_mode & 0o2000, 'the directory is set-group-ID')
    # A group that the caller is not in: set-group-ID of the file does not come to be.
    as_user(ALICE, lambda: open_close('d/g', os.O_CREAT | os.O_WRONLY, 0o2770), umask=0)
    equal(mode_of('d/g'), 0o770)


@case('O_CREAT | O_EXCL is EEXIST for any name that is there, symbolic links that lead nowhere included', 'POSIX open(), O_EXCL')
def _():
    for kind, make in MAKERS.items():
        make(kind)
        expect('EEXIST', open_close, kind, os.O_CREAT | os.O_EXCL | os.O_RDWR)
    check(not exists('anywhere'), 'nothing was made through the link')


@case('of many that create with O_EXCL at once, one wins', 'POSIX open(), O_EXCL: "atomic with respect to other threads"')
def _():
    for turn in range(20):
        read, write = os.pipe()
        children = []
        for _ in range(4):
            pid = os.fork()
            children.append(pid)
            if pid == 0:
                os.close(write)
                os.read(read, 1)
                os._exit(0 if outcome(open_close, 'f%d' % turn, os.O_CREAT | os.O_EXCL | os.O_WRONLY) == 'ok' else 1)
        os.close(read)
        os.close(write)
        equal(sorted(os.waitpid(child, 0)[1] >> 8 for child in children), [0, 1, 1, 1])


@case('O_CREAT through a symbolic link that leads nowhere makes its target', 'POSIX open(), O_CREAT without O_EXCL')
def _():
    os.symlink('target', 'link')
    open_close('link', os.O_CREAT | os.O_WRONLY)
    check(os.path.isfile('target'), 'the target is there')


@case('O_TRUNC empties a regular file and moves its mtime and ctime, also when it was empty', 'POSIX open(), O_TRUNC')
def _():
    create('f', b'content', 0o640)
    with moves('mtime ctime', 'f'):
        open_close('f', os.O_WRONLY | os.O_TRUNC)
    equal((os.stat('f').st_size, mode_of('f')), (0, 0o640))
    with moves('mtime ctime', 'f'):
        open_close('f', os.O_WRONLY | os.O_TRUNC)
    create('ro', b'content', 0o444, ALICE)
    expect_as(ALICE, 'EACCES', open_close, 'ro', os.O_RDONLY | os.O_TRUNC)
    equal(content('ro'), b'content')


@case('O_TRUNC is no matter for a file that is open elsewhere: it is emptied there, too', 'POSIX open(), O_TRUNC')
def _():
    create('f', b'content')
    fd = os.open('f', os.O_RDONLY)
    os.close(os.open('f', os.O_WRONLY | os.O_TRUNC))
    equal(os.fstat(fd).st_size, 0)
    equal(os.read(fd, 10), b'')


@case('writing to a directory is EISDIR, reading one is EISDIR', 'POSIX open() [EISDIR]; read() [EISDIR]')
def _():
    directory('d')
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_RDONLY | os.O_TRUNC, os.O_WRONLY | os.O_CREAT):
        expect('EISDIR', open_close, 'd', flags)
    fd = os.open('d', os.O_RDONLY)
    expect('EISDIR', os.read, fd, 10)
    expect('EBADF', os.write, fd, b'x')
    expect('EISDIR', open_close, 'd/', os.O_CREAT | os.O_WRONLY)
    expect('EISDIR', open_close, 'new/', os.O_CREAT | os.O_WRONLY)


@case('O_DIRECTORY of what is not one is ENOTDIR', 'POSIX open() [ENOTDIR]')
def _():
    for kind, make in MAKERS.items():
        make(kind)
        if kind not in ('directory', 'symlink'):
            expect('ENOTDIR', open_close, kind, os.O_RDONLY | os.O_DIRECTORY)
    expect('ok', open_close, 'directory', os.O_RDONLY | os.O_DIRECTORY)


@case('O_NOFOLLOW of a symbolic link is ELOOP', 'POSIX open() [ELOOP]')
def _():
    create('f')
    directory('d')
    os.symlink('f', 'l')
    os.symlink('d', 'm')
    expect('ELOOP', open_close, 'l', os.O_RDONLY | os.O_NOFOLLOW)
    expect('ENOTDIR|ELOOP', open_close, 'm', os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY)
    expect('ok', open_close, 'l', os.O_RDONLY)


@case('a missing file is ENOENT', 'POSIX open() [ENOENT]')
def _():
    for flags in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC, os.O_RDONLY | os.O_DIRECTORY):
        expect('ENOENT', open_close, 'missing', flags)


@case('a socket is ENXIO, and a FIFO for writing without a reader is ENXIO when not waiting', 'POSIX open() [ENXIO]')
def _():
    os.mknod('s', 0o140644)
    os.mkfifo('p')
    expect('ENXIO', open_close, 's', os.O_RDONLY)
    expect('ENXIO', open_close, 'p', os.O_WRONLY | os.O_NONBLOCK)
    expect('ok', open_close, 'p', os.O_RDONLY | os.O_NONBLOCK)


@case('a program that runs is ETXTBSY to write, and one that is open to write is ETXTBSY to run', 'POSIX open() [ETXTBSY]; exec [ETXTBSY]')
def _():
    with open('/bin/sleep', 'rb') as program:
        create('prog', program.read(), 0o755)
    child = subprocess.Popen(['./prog', '30'])
    try:
        expect('ETXTBSY', open_close, 'prog', os.O_WRONLY)
        expect('ETXTBSY', open_close, 'prog', os.O_RDWR | os.O_TRUNC)
        expect('ETXTBSY', os.truncate, 'prog', 0)
        expect('ok', open_close, 'prog', os.O_RDONLY)
    finally:
        child.kill()
        child.wait()
    fd = os.open('prog', os.O_WRONLY)
    expect('ETXTBSY', os.execv, './prog', ['prog', '0'])
    os.close(fd)
    equal(subprocess.call(['./prog', '0']), 0)


@case('the access mode is kept to: EBADF', 'POSIX read() and write() [EBADF]')
def _():
    create('f', b'content')
    fd = os.open('f', os.O_RDONLY)
    expect('EBADF', os.write, fd, b'x')
    expect('EINVAL|EBADF', os.ftruncate, fd, 0)
    fd = os.open('f', os.O_WRONLY)
    expect('EBADF', os.read, fd, 1)


@case('who creates a file read-only may write by the descriptor that created it', 'POSIX open(), O_CREAT: the mode is for later opens')
def _():
    directory('d', 0o777)

    def body():
        fd = os.open('d/f', os.O_CREAT | os.O_RDWR, 0o444)
        equal(os.write(fd, b'content'), 7)
        os.close(fd)
        expect('EACCES', open_close, 'd/f', os.O_WRONLY)
        equal(content('d/f'), b'content')
    as_user(ALICE, body)


@case('O_APPEND writes at the end, wherever the offset is, and leaves the offset there', 'POSIX write(), O_APPEND')
def _():
    create('f', b'12345')
    a, b = os.open('f', os.O_RDWR | os.O_APPEND), os.open('f', os.O_WRONLY | os.O_APPEND)
    os.lseek(a, 0, os.SEEK_SET)
    os.write(a, b'678')
    equal(os.lseek(a, 0, os.SEEK_CUR), 8)
    os.write(b, b'9')
    os.write(a, b'0')
    equal(content('f'), b'1234567890')
    # pwrite(2), BUGS: Linux appends, whatever the offset.
    os.pwrite(a, b'!', 2)
    equal(content('f'), b'1234567890!')


@case('of processes that append at once, no write is lost or torn', 'POSIX write(), O_APPEND: no intervening modification')
def _():
    create('f')
    children = []
    for number in range(4):
        pid = os.fork()
        children.append(pid)
        if pid == 0:
            path = 'f' if number % 2 or not Report.second else os.path.join(Report.second, 'f')
            fd = os.open(path, os.O_WRONLY | os.O_APPEND)
            for index in range(50):
                os.write(fd, b'%d %03d %s\n' % (number, index, b'x' * 50))
            os.close(fd)
            os._exit(0)
    for child in children:
        os.waitpid(child, 0)
    lines = content('f').split(b'\n')
    equal(sorted(lines), sorted([b''] + [b'%d %03d %s' % (n, i, b'x' * 50) for n in range(4) for i in range(50)]))


@case('O_TMPFILE gives a file without a name, which linkat can give one', 'open(2), O_TMPFILE')
def _():
    before = os.stat('.').st_nlink
    fd = os.open('.', O_TMPFILE | os.O_RDWR, 0o640)
    equal(os.fstat(fd).st_nlink, 0)
    equal(os.fstat(fd).st_mode, 0o100640)
    os.write(fd, b'content')
    equal(os.pread(fd, 10, 0), b'content')
    equal(os.listdir('.'), [])
    linkat(AT_FDCWD, '/proc/self/fd/%d' % fd, 'named', AT_SYMLINK_FOLLOW)
    equal(os.fstat(fd).st_nlink, 1)
    os.close(fd)
    equal(content('named'), b'content')
    equal(os.stat('.').st_nlink, before)


@case('what was written to a file of O_TMPFILE fails nobody when it is closed', 'open(2), O_TMPFILE')
def _():
    for index in range(20):
        create(f'f{index}')
        fd = os.open('.', O_TMPFILE | os.O_RDWR, 0o600)
        os.write(fd, b'x' * 1000)
        os.close(fd)
    expect('ok', os.fsync, os.open('.', os.O_RDONLY))


@case('O_TMPFILE | O_EXCL cannot be given a name; for reading alone is EINVAL; of a file is ENOTDIR', 'open(2), O_TMPFILE')
def _():
    fd = os.open('.', O_TMPFILE | os.O_RDWR | os.O_EXCL, 0o640)
    expect('ENOENT', linkat, AT_FDCWD, '/proc/self/fd/%d' % fd, 'named', AT_SYMLINK_FOLLOW)
    expect('EINVAL', open_close, '.', O_TMPFILE | os.O_RDONLY)
    create('f')
    expect('ENOTDIR', open_close, 'f', O_TMPFILE | os.O_RDWR)
    directory('d', 0o555, ALICE)
    expect_as(ALICE, 'EACCES', open_close, 'd', O_TMPFILE | os.O_RDWR)


@case('O_PATH gives a descriptor that names a file and does nothing more', 'open(2), O_PATH')
def _():
    create('f', b'x')
    os.symlink('f', 'l')
    fd = os.open('f', os.O_PATH)
    expect('EBADF', os.read, fd, 1)
    expect('EBADF', os.fchmod, fd, 0o600)
    equal(os.fstat(fd).st_ino, os.stat('f').st_ino)
    link = os.open('l', os.O_PATH | os.O_NOFOLLOW)
    equal(os.fstat(link).st_mode & 0o170000, 0o120000)
    os.rename('f', 'g')
    equal(os.readlink('/proc/self/fd/%d' % fd), os.path.realpath('g'))


@case('O_NOATIME is for the owner', 'open(2), O_NOATIME [EPERM]')
def _():
    create('f', b'x', 0o644, BOB)
    expect_as(ALICE, 'EPERM', open_close, 'f', os.O_RDONLY | os.O_NOATIME)
    expect_as(BOB, 'ok', open_close, 'f', os.O_RDONLY | os.O_NOATIME)


@case('O_DIRECT reads and writes what others read and write', 'open(2), O_DIRECT')
def _():
    import mmap
    page = mmap.mmap(-1, 8192)
    page.write(b'd' * 8192)
    create('f', b'a' * 8192)
    fd = os.open('f', os.O_RDWR | os.O_DIRECT)
    os.pwritev(fd, [memoryview(page)[:4096]], 4096)
    equal(content('f'), b'a' * 4096 + b'd' * 4096)
    other = os.open('f', os.O_RDWR)
    os.pwrite(other, b'b' * 4096, 0)
    os.fsync(other)
    os.preadv(fd, [memoryview(page)[:4096]], 0)
    equal(page[:4096], b'b' * 4096)


@case('descriptors share the offset when duplicated, not when opened twice', 'POSIX open file descriptions')
def _():
    create('f', b'0123456789')
    a, b = os.open('f', os.O_RDONLY), os.open('f', os.O_RDONLY)
    c = os.dup(a)
    os.read(a, 4)
    equal((os.lseek(b, 0, os.SEEK_CUR), os.lseek(c, 0, os.SEEK_CUR)), (0, 4))


@case('lseek past the end does not grow the file; before the start is EINVAL; of a FIFO is ESPIPE', 'POSIX lseek()')
def _():
    create('f', b'0123456789')
    fd = os.open('f', os.O_RDWR)
    equal(os.lseek(fd, 100, os.SEEK_END), 110)
    equal(os.fstat(fd).st_size, 10)
    equal(os.read(fd, 1), b'')
    expect('EINVAL', os.lseek, fd, -1, os.SEEK_SET)
    expect('EINVAL', os.lseek, fd, -200, os.SEEK_CUR)
    expect('EINVAL', os.lseek, fd, 0, 77)
    os.write(fd, b'x')
    equal((os.fstat(fd).st_size, os.pread(fd, 5, 8)), (111, b'89\0\0\0'))
    os.mkfifo('p')
    expect('ESPIPE', os.lseek, os.open('p', os.O_RDONLY | os.O_NONBLOCK), 0, os.SEEK_SET)


@case('write moves mtime and ctime, read does not; of nothing moves none', 'POSIX write(), "mark for update"')
def _():
    create('f', b'content')
    fd = os.open('f', os.O_RDWR)
    with moves('mtime ctime', 'f'):
        os.write(fd, b'x')
        os.fsync(fd)
    with moves('', 'f'):
        os.pread(fd, 5, 0)
        os.write(fd, b'')


@case('a negative offset is EINVAL; what ends past the largest file is EFBIG', 'POSIX pread(), pwrite() [EINVAL], [EFBIG]')
def _():
    create('f', b'content')
    fd = os.open('f', os.O_RDWR)
    expect('EINVAL', os.pread, fd, 1, -1)
    expect('EINVAL', os.pwrite, fd, b'x', -1)
    expect('EFBIG|EINVAL', os.pwrite, fd, b'xx', 2 ** 63 - 1)
    equal(content('f'), b'content')


@case('an ioctl that a file does not know is ENOTTY', 'POSIX ioctl() [ENOTTY]')
def _():
    import fcntl
    import termios
    create('f')
    fd = os.open('f', os.O_RDONLY)
    expect('ENOTTY', fcntl.ioctl, fd, termios.TCGETS, b'\0' * 60)
    expect('ENOTTY', fcntl.ioctl, os.open('.', os.O_RDONLY), termios.TIOCGWINSZ, b'\0' * 60)


@case('fsync, fdatasync, syncfs and sync work on files and directories', 'POSIX fsync(), fdatasync(); syncfs(2)')
def _():
    create('f', b'x')
    for path in ('f', '.'):
        fd = os.open(path, os.O_RDONLY)
        for call in (os.fsync, os.fdatasync, syncfs):
            expect('ok', call, fd)
    expect('ok', os.sync)


@case('RLIMIT_FSIZE is EFBIG with SIGXFSZ ignored, and cuts the write before it', 'POSIX write() [EFBIG]')
def _():
    import resource
    import signal
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    create('f')
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    fd = os.open('f', os.O_WRONLY)
    equal(os.write(fd, b'x' * 1500), 1000)
    expect('EFBIG', os.write, fd, b'x')
    expect('EFBIG', os.ftruncate, fd, 2000)


@case('a socket bound to a name is a file there, and gives connections', 'POSIX bind(); unix(7)')
def _():
    server = socket.socket(socket.AF_UNIX)
    server.bind('s')
    server.listen(1)
    equal(os.stat('s').st_mode & 0o170000, 0o140000)
    client = socket.socket(socket.AF_UNIX)
    client.connect('s')
    accepted, _ = server.accept()
    client.sendall(b'hello')
    equal(accepted.recv(10), b'hello')
    second = socket.socket(socket.AF_UNIX)
    expect('EADDRINUSE', second.bind, 's')
