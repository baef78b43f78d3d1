"""unlink(2) and rmdir(2)."""
import os
from harness import *
from syscalls import *


@case('every type but a directory is removed', 'POSIX unlink()')
def _():
    for kind, make in MAKERS.items():
        make(kind)
        expect('EISDIR|EPERM' if kind == 'directory' else 'ok', os.unlink, kind)
        expect('EISDIR|EPERM' if kind == 'directory' else 'ENOENT', os.unlink, kind)


@case('only the name goes while there are others; ctime and link count tell', 'POSIX unlink(): "decrement the link count"')
def _():
    create('a', b'content')
    os.link('a', 'b')
    with moves('ctime', 'b'), moves('mtime ctime', '.'):
        os.unlink('a')
    equal((content('b'), os.stat('b').st_nlink), (b'content', 1))


@case('a symbolic link is removed itself', 'POSIX unlink(): "If path names a symbolic link"')
def _():
    create('f')
    directory('d')
    os.symlink('f', 'l')
    os.symlink('d', 'm')
    os.unlink('l')
    os.unlink('m')
    equal(sorted(os.listdir('.')), ['d', 'f'])
    os.symlink('d', 'm')
    expect('ENOTDIR', os.unlink, 'm/')
    expect('ENOTDIR', os.rmdir, 'm/')
    expect('ENOTDIR', os.rmdir, 'm')


@case('who has it open keeps it: reads, writes, truncates, and sees no links', 'POSIX unlink(): "removal of the file contents shall be postponed"')
def _():
    fd = os.open('f', os.O_CREAT | os.O_RDWR)
    os.write(fd, b'content')
    os.unlink('f')
    equal(os.fstat(fd).st_nlink, 0)
    equal(os.pread(fd, 10, 0), b'content')
    os.pwrite(fd, b'x' * 100000, 10)
    os.fsync(fd)
    os.ftruncate(fd, 50)
    os.fchmod(fd, 0o600)
    os.utime(fd, ns=(5, 7))
    equal((os.fstat(fd).st_size, os.fstat(fd).st_mtime_ns, os.fstat(fd).st_mode), (50, 7, 0o100600))
    create('f', b'another')
    equal(os.pread(fd, 7, 0), b'content')
    expect('ENOENT', linkat, AT_FDCWD, '/proc/self/fd/%d' % fd, 'again', AT_SYMLINK_FOLLOW)
    again = os.open('/proc/self/fd/%d' % fd, os.O_RDONLY)
    equal(os.read(again, 7), b'content')


@case('a file that is removed on one mount is kept for who has it open on the other', 'POSIX unlink()')
def _():
    if not Report.second:
        raise Skip('one mount')
    create('f', b'content')
    fd = os.open(os.path.join(Report.second, 'f'), os.O_RDWR)
    os.unlink('f')
    check(not exists(os.path.join(Report.second, 'f')), 'gone on both')
    equal(os.read(fd, 20), b'content')
    os.pwrite(fd, b'again  ', 0)
    equal(os.pread(fd, 20, 0), b'again  ')


@case('the directory must be writable: EACCES', 'POSIX unlink() [EACCES]')
def _():
    for mode, wanted in ((0o755, 'EACCES'), (0o777, 'ok'), (0o773, 'ok'), (0o776, 'EACCES'), (0o775, 'EACCES')):
        directory('d', mode, BOB)
        create('d/f', owner=ALICE)
        directory('d/e', owner=ALICE)
        expect_as(ALICE, wanted, os.unlink, 'd/f')
        expect_as(ALICE, wanted, os.rmdir, 'd/e')
        if wanted != 'ok':
            os.unlink('d/f')
            os.rmdir('d/e')
        os.rmdir('d')


@case('the mode of the file itself does not matter', 'POSIX unlink()')
def _():
    directory('d', 0o755, ALICE)
    create('d/f', mode=0, owner=BOB)
    expect_as(ALICE, 'ok', os.unlink, 'd/f')


@case('sticky: what is neither one\'s own nor in one\'s own directory is EPERM', 'POSIX unlink(), rmdir() [EPERM] or [EACCES], S_ISVTX')
def _():
    for owner in (ROOT, ALICE, BOB):
        for file_owner in (ROOT, ALICE, BOB):
            for who in (ROOT, ALICE):
                directory('d', 0o1777, owner)
                for kind, make in (('file', create), ('directory', directory)):
                    make('d/f', owner=file_owner)
                    remove = os.rmdir if kind == 'directory' else os.unlink
                    expect_as(who, 'ok' if who in (ROOT, owner, file_owner) else 'EPERM|EACCES', remove, 'd/f')
                    if exists('d/f'):
                        remove('d/f')
                os.rmdir('d')


@case('rmdir of a directory with anything in it is ENOTEMPTY', 'POSIX rmdir() [EEXIST] or [ENOTEMPTY]')
def _():
    directory('d')
    for kind, make in MAKERS.items():
        make('d/x')
        expect('ENOTEMPTY|EEXIST', os.rmdir, 'd')
        (os.rmdir if kind == 'directory' else os.unlink)('d/x')
    expect('ok', os.rmdir, 'd')


@case('rmdir of what is not a directory is ENOTDIR', 'POSIX rmdir() [ENOTDIR]')
def _():
    for kind, make in MAKERS.items():
        make(kind)
        if kind != 'directory':
            expect('ENOTDIR', os.rmdir, kind)


@case('rmdir lowers the link count of the parent and moves its times', 'POSIX rmdir()')
def _():
    os.makedirs('a/b')
    equal(os.stat('a').st_nlink, 3)
    with moves('mtime ctime', 'a'):
        os.rmdir('a/b')
    equal(os.stat('a').st_nlink, 2)


@case('a directory that was removed while open is empty, and takes nothing in', 'POSIX rmdir(): "no new entries may be created in the directory"')
def _():
    directory('d')
    fd = os.open('d', os.O_RDONLY)
    os.rmdir('d')
    equal(os.fstat(fd).st_nlink, 0)
    equal(os.listdir(fd), [])
    for call in (
        lambda: os.open('x', os.O_CREAT | os.O_WRONLY, dir_fd=fd), lambda: os.mkdir('x', dir_fd=fd),
        lambda: os.symlink('y', 'x', dir_fd=fd), lambda: os.mkfifo('x', dir_fd=fd), lambda: os.stat('x', dir_fd=fd),
    ):
        expect('ENOENT', call)


@case('the working directory can be removed, and is a dead end then', 'POSIX rmdir(); getcwd() [ENOENT]')
def _():
    directory('d')
    os.chdir('d')
    os.rmdir('../d')
    expect('ENOENT', os.getcwd)
    expect('ENOENT', create, 'x')
    expect('ENOENT', os.stat, '../d')


@case('the mount point is EBUSY', 'POSIX rmdir() [EBUSY]; rename() [EBUSY]')
def _():
    top = os.getcwd()
    while not os.path.ismount(top):
        top = os.path.dirname(top)
    if top == '/':
        raise Skip('not a mount')
    expect('EBUSY', os.rmdir, top)
    expect('EBUSY|EXDEV', os.rename, top, top + '-new')


@case('what is removed can be made again at once, as another type', 'POSIX unlink(), rmdir()')
def _():
    for kind, make in MAKERS.items():
        for other, make_other in MAKERS.items():
            make('x')
            (os.rmdir if kind == 'directory' else os.unlink)('x')
            make_other('x')
            (os.rmdir if other == 'directory' else os.unlink)('x')
    equal(os.listdir('.'), [])


@case('what was written to a file that has no name any more fails nobody', 'POSIX unlink(), fsync()')
def _():
    for index in range(20):
        create('f')
        fd = os.open('f', os.O_RDWR)
        os.write(fd, b'x')
        os.unlink('f')
        os.write(fd, b'x')
        os.close(fd)
        create('g')
        create('h')
        fd = os.open('g', os.O_RDWR)
        os.write(fd, b'x')
        os.rename('h', 'g')
        os.write(fd, b'x')
        os.close(fd)
        os.unlink('g')
    expect('ok', os.fsync, os.open('.', os.O_RDONLY))
