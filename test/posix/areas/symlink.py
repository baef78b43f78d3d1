"""symlink(2) and readlink(2)."""
import os
from harness import *


@case('a symbolic link has the target\'s length as size, mode 777, and the caller as owner', 'POSIX symlink(); symlink(7)')
def _():
    directory('d', 0o777)
    for target in ('x', 'a/b/c', '/', '..', 't' * 255, 'p/' * 2000, 'x' * 4095):
        as_user(ALICE, os.symlink, target, 'd/l', umask=0o077)
        found = os.lstat('d/l')
        equal((found.st_mode, found.st_size, found.st_uid, found.st_gid, found.st_nlink), (0o120777, len(target), *ALICE, 1))
        equal(os.readlink('d/l'), target)
        os.unlink('d/l')


@case('a target of PATH_MAX is ENAMETOOLONG, an empty one ENOENT', 'POSIX symlink() [ENAMETOOLONG]; symlink(2) [ENOENT]')
def _():
    expect('ENAMETOOLONG', os.symlink, 'x' * 4096, 'l')
    expect('ENOENT', os.symlink, '', 'l')


@case('an existing name is EEXIST, of any type', 'POSIX symlink() [EEXIST]')
def _():
    for kind, make in MAKERS.items():
        make(kind)
        expect('EEXIST', os.symlink, 'target', kind)


@case('symlink moves mtime and ctime of the directory', 'POSIX symlink(): "mark for update"')
def _():
    directory('d')
    with moves('mtime ctime', 'd'):
        os.symlink('x', 'd/l')
    with moves('', 'd'), moves('', 'd/l', follow=False):
        expect('EEXIST', os.symlink, 'y', 'd/l')


@case('readlink of anything else is EINVAL', 'POSIX readlink() [EINVAL]')
def _():
    for kind, make in MAKERS.items():
        make(kind)
        expect('ok' if kind == 'symlink' else 'EINVAL', os.readlink, kind)
    expect('ENOENT', os.readlink, 'missing')


@case('relative targets start at the link\'s directory, also after it moved', 'POSIX XBD 4.16')
def _():
    os.makedirs('a/b')
    os.makedirs('c/d')
    create('a/f', b'in a')
    create('c/f', b'in c')
    os.symlink('../f', 'a/b/l')
    equal(content('a/b/l'), b'in a')
    os.rename('a/b/l', 'c/d/l')
    equal(content('c/d/l'), b'in c')


@case('links to directories are followed in the middle of a path', 'POSIX XBD 4.16')
def _():
    os.makedirs('a/b')
    os.symlink('a', 'l')
    os.symlink('l/b', 'm')
    create('m/f', b'content')
    equal((content('a/b/f'), content('l/b/f')), (b'content', b'content'))
    equal(os.stat('m/..').st_ino, os.stat('a').st_ino)
    os.symlink(os.getcwd() + '/a/b/f', 'absolute')
    equal(content('absolute'), b'content')


@case('a link that leads nowhere is there for lstat, not for stat', 'POSIX stat(), lstat()')
def _():
    os.symlink('missing', 'l')
    expect('ENOENT', os.stat, 'l')
    expect('ok', os.lstat, 'l')
    expect('ENOENT', os.listdir, 'l')
    expect('ENOENT', os.chmod, 'l', 0o644)
    expect('EEXIST', os.mkdir, 'l')


@case('lchown and utimensat change the link itself', 'POSIX lchown(); utimensat(), AT_SYMLINK_NOFOLLOW')
def _():
    create('f')
    os.symlink('f', 'l')
    with moves('', 'f'):
        os.lchown('l', 7, 8)
        os.utime('l', ns=(3, 4), follow_symlinks=False)
    found = os.lstat('l')
    equal((found.st_uid, found.st_gid, found.st_mtime_ns, found.st_atime_ns), (7, 8, 4, 3))
    equal(os.stat('f').st_uid, 0)


@case('the directory must be writable: EACCES', 'POSIX symlink() [EACCES]')
def _():
    directory('d', 0o755, BOB)
    expect_as(ALICE, 'EACCES', os.symlink, 'x', 'd/l')
    os.symlink('x', 'd/l')
    os.chmod('d', 0o766)
    expect_as(ALICE, 'EACCES', os.readlink, 'd/l')
    os.chmod('d', 0o711)
    expect_as(ALICE, 'ok', os.readlink, 'd/l')
