"""link(2)."""
import os
from harness import *
from syscalls import *


@case('a new name of the same file: inode, link count, data and attributes in common', 'POSIX link()')
def _():
    for kind, make in MAKERS.items():
        if kind == 'directory':
            continue
        make('a')
        os.link('a', 'b', follow_symlinks=False)
        equal(os.lstat('a'), os.lstat('b'), kind)
        equal(os.lstat('a').st_nlink, 2)
        os.link('b', 'c', follow_symlinks=False)
        equal([os.lstat(name).st_nlink for name in 'abc'], [3, 3, 3])
        os.unlink('a')
        equal(os.lstat('b').st_nlink, 2)
        os.unlink('b')
        os.unlink('c')


@case('what is done by one name is seen by the other', 'POSIX link()')
def _():
    create('a', b'content')
    os.link('a', 'b')
    with open('b', 'ab') as file:
        file.write(b' more')
    os.chmod('b', 0o4711)
    os.chown('a', 5, 6)
    os.chmod('b', 0o640)
    os.utime('a', ns=(1, 2))
    found = os.stat('b')
    equal((content('a'), found.st_mode, found.st_uid, found.st_gid, found.st_mtime_ns),
          (b'content more', 0o100640, 5, 6, 2))


@case('link moves ctime of the file, and mtime and ctime of the directory', 'POSIX link(): "mark for update"')
def _():
    create('a')
    directory('d')
    with moves('ctime', 'a'), moves('mtime ctime', 'd'):
        os.link('a', 'd/b')


@case('a link that fails moves no times', 'POSIX link()')
def _():
    create('a')
    directory('d')
    create('d/b')
    with moves('', 'a'), moves('', 'd'):
        expect('EEXIST', os.link, 'a', 'd/b')


@case('an existing new name is EEXIST, of any type', 'POSIX link() [EEXIST]')
def _():
    create('a')
    for kind, make in MAKERS.items():
        make(kind)
        expect('EEXIST', os.link, 'a', kind)
    expect('EEXIST', os.link, 'a', 'a')


@case('a directory is EPERM', 'POSIX link() [EPERM]')
def _():
    directory('d')
    expect('EPERM', os.link, 'd', 'e')
    expect('EPERM', os.link, '.', 'e')
    directory('mine', 0o777, ALICE)
    expect_as(ALICE, 'EPERM', os.link, 'mine', 'mine/e')


@case('the old name must be there', 'POSIX link() [ENOENT]')
def _():
    expect('ENOENT', os.link, 'missing', 'b')
    create('a')
    expect('ENOENT', os.link, 'a', 'missing/b')
    expect('ENOTDIR', os.link, 'a', 'a/b')


@case('linkat follows a symbolic link when told to, and not otherwise', 'POSIX linkat(), AT_SYMLINK_FOLLOW')
def _():
    create('f', b'content')
    os.symlink('f', 'l')
    linkat(AT_FDCWD, 'l', 'hard', 0)
    equal(os.readlink('hard'), 'f')
    equal(os.lstat('l').st_nlink, 2)
    linkat(AT_FDCWD, 'l', 'file', AT_SYMLINK_FOLLOW)
    equal(os.lstat('file').st_ino, os.stat('f').st_ino)
    os.symlink('nowhere', 'm')
    expect('ENOENT', linkat, AT_FDCWD, 'm', 'x', AT_SYMLINK_FOLLOW)
    expect('EINVAL', linkat, AT_FDCWD, 'f', 'x', 0x80000)


@case('AT_EMPTY_PATH links what is open', 'linkat(2), AT_EMPTY_PATH')
def _():
    create('f', b'content')
    fd = os.open('f', os.O_RDONLY)
    linkat(fd, '', 'g', AT_EMPTY_PATH)
    equal(os.fstat(fd).st_nlink, 2)


@case('to another file system is EXDEV', 'POSIX link() [EXDEV]')
def _():
    create('f')
    other = '/dev/shm' if os.stat('/dev/shm').st_dev != os.stat('.').st_dev else '/proc'
    expect('EXDEV', os.link, 'f', other + '/dfs-test-that-must-not-be')


@case('the directory must be writable and the prefix searchable: EACCES', 'POSIX link() [EACCES]')
def _():
    create('f', mode=0o666, owner=ALICE)
    directory('closed', 0o755, BOB)
    directory('open', 0o777, BOB)
    directory('dark', 0o776, BOB)
    expect_as(ALICE, 'EACCES', os.link, 'f', 'closed/g')
    expect_as(ALICE, 'EACCES', os.link, 'f', 'dark/g')
    expect_as(ALICE, 'ok', os.link, 'f', 'open/g')
    create('dark/h', mode=0o666, owner=ALICE)
    expect_as(ALICE, 'EACCES', os.link, 'dark/h', 'open/h')


@case('a thousand links of one file', 'POSIX limits.h LINK_MAX')
def _():
    create('f', b'content')
    for index in range(1000):
        os.link('f', str(index))
    equal(os.stat('f').st_nlink, 1001)
    os.unlink('f')
    equal((content('999'), os.stat('0').st_nlink), (b'content', 1000))


@case('a file is linked while it is written, and both names give what was written', 'POSIX link()')
def _():
    fd = os.open('a', os.O_CREAT | os.O_RDWR)
    os.write(fd, b'one ')
    os.link('a', 'b')
    os.write(fd, b'two')
    equal((content('b'), os.stat('b').st_size), (b'one two', 7))
