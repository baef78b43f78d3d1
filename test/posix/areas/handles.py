"""open_by_handle_at(2), also of what the kernel has forgotten, and by way of another mount where there are two."""
import ctypes
import os
import struct
from harness import *
from syscalls import AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_FOLLOW, called, libc

AT_HANDLE_CONNECTABLE = 2
#: FILEID_INO64_GEN of <linux/exportfs.h>
INO64_GEN = 0x81


def handle_of(path, flags=0, fd=AT_FDCWD):
    """struct file_handle"""
    buffer = ctypes.create_string_buffer(struct.pack('Ii', 128, 0), 136)
    mount = ctypes.c_int()
    called(libc.name_to_handle_at(fd, os.fsencode(path), buffer, ctypes.byref(mount), flags))
    return buffer.raw[:8 + struct.unpack_from('I', buffer.raw)[0]]


def open_by(handle, flags=os.O_RDONLY, directory='.'):
    mount = os.open(directory, os.O_RDONLY)
    try:
        return called(libc.open_by_handle_at(mount, ctypes.create_string_buffer(handle, len(handle)), flags))
    finally:
        os.close(mount)


def opened(handle, directory='.'):
    """What the file holds that a handle opens."""
    fd = open_by(handle, directory=directory)
    try:
        return read_all(fd)
    finally:
        os.close(fd)


def forget():
    """Names and inodes that nobody uses go."""
    with open('/proc/sys/vm/drop_caches', 'w') as file:
        file.write('2')


@case('a handle opens its file, also when the kernel has forgotten it, whatever its name is by then', 'open_by_handle_at(2)')
def _():
    create('f', b'content')
    handle = handle_of('f')
    inode = os.stat('f').st_ino
    equal(opened(handle), b'content')
    for change in (lambda: None, lambda: os.rename('f', 'g'), lambda: os.link('g', 'h'), lambda: os.unlink('g')):
        change()
        forget()
        equal(opened(handle), b'content')
    fd = open_by(handle, os.O_RDWR)
    equal(os.fstat(fd).st_ino, inode)
    os.pwrite(fd, b'C', 0)
    os.close(fd)
    equal(content('h'), b'Content')
    equal(handle_of('h'), handle)


@case('a handle opens its file by another mount of the same file system', 'open_by_handle_at(2): "mount_fd … any object in the mounted filesystem"')
def _():
    if not Report.second:
        raise Skip('there is one mount')
    create('f', b'content')
    os.makedirs('d/e')
    create('d/e/below', b'below')
    equal(opened(handle_of('f'), Report.second), b'content')
    fd = open_by(handle_of('d/e'), directory=Report.second)
    equal(os.listdir(fd), ['below'])
    equal(os.readlink('/proc/self/fd/%d' % fd), os.path.join(Report.second, 'd/e'))


@case('the handle of a file that is gone is ESTALE, and does not open another one of its name', 'open_by_handle_at(2) [ESTALE]')
def _():
    for forgets in (False, True):
        create('f', b'old')
        os.mkdir('d')
        handles = handle_of('f'), handle_of('d')
        os.unlink('f')
        os.rmdir('d')
        if forgets:
            forget()
        for handle in handles:
            expect('ESTALE', open_by, handle)
        create('f', b'new')
        os.mkdir('d')
        for handle in handles:
            expect('ESTALE', open_by, handle)
        os.unlink('f')
        os.rmdir('d')


@case('a file that another client removed is ESTALE', 'open_by_handle_at(2) [ESTALE]')
def _():
    if not Report.second:
        raise Skip('there is one mount')
    create('f', b'content')
    handle = handle_of('f')
    equal(opened(handle), b'content')
    os.unlink(os.path.join(Report.second, 'f'))
    expect('ESTALE', open_by, handle)
    forget()
    expect('ESTALE', open_by, handle)


@case('a file that was removed while it is open opens by its handle as long as it is open', 'open_by_handle_at(2)')
def _():
    create('f', b'content')
    handle = handle_of('f')
    fd = os.open('f', os.O_RDONLY)
    os.unlink('f')
    forget()
    equal(opened(handle), b'content')
    os.close(fd)
    expect('ESTALE', open_by, handle)


@case('the handle of a directory opens it at its place, wherever that is by then', 'open_by_handle_at(2); exportfs: reconnect_path')
def _():
    os.makedirs('a/b/c/d')
    os.mkdir('elsewhere')
    create('a/b/c/d/f', b'content')
    handle = handle_of('a/b/c/d')
    here = os.getcwd()
    for path in ('a/b/c/d', 'elsewhere/c/d'):
        forget()
        fd = open_by(handle)
        equal(os.readlink('/proc/self/fd/%d' % fd), os.path.join(here, path))
        equal(os.listdir(fd), ['f'])
        equal(os.stat('..', dir_fd=fd).st_ino, os.stat(os.path.dirname(path)).st_ino)
        below = os.open('f', os.O_RDONLY, dir_fd=fd)
        equal(read_all(below), b'content')
        os.close(below)
        os.close(fd)
        if path == 'a/b/c/d':
            os.rename('a/b/c', 'elsewhere/c')
    root = open_by(handle_of('/proc/self/fd/%d' % os.open('.', os.O_RDONLY), AT_SYMLINK_FOLLOW))
    equal(os.fstat(root).st_ino, os.stat('.').st_ino)


@case('a connectable handle opens its file at its place', 'name_to_handle_at(2), AT_HANDLE_CONNECTABLE; since Linux 6.13')
def _():
    os.makedirs('a/b')
    create('a/b/f', b'content')
    if outcome(handle_of, 'a/b/f', AT_HANDLE_CONNECTABLE) != 'ok':
        raise Skip('this kernel does not know them')
    handle = handle_of('a/b/f', AT_HANDLE_CONNECTABLE)
    forget()
    fd = open_by(handle)
    equal(os.readlink('/proc/self/fd/%d' % fd), os.path.join(os.getcwd(), 'a/b/f'))


@case('handles of other types, and of an open file', 'open_by_handle_at(2): "O_PATH"')
def _():
    for kind, make in MAKERS.items():
        make(kind)
        handle, inode = handle_of(kind), os.lstat(kind).st_ino
        forget()
        fd = open_by(handle, os.O_PATH)
        equal(os.fstat(fd).st_ino, inode, kind)
        os.close(fd)
    handle = handle_of('', AT_EMPTY_PATH, os.open('regular', os.O_RDONLY))
    equal(handle, handle_of('regular'))


@case('a handle that was never given is ESTALE; users have no say: EPERM', 'open_by_handle_at(2) [ESTALE], [EPERM]')
def _():
    create('f', b'content', 0o666)
    handle = handle_of('f')
    for inode, generation in ((2 ** 40, 1), (2 ** 53, 1), (2 ** 60, 1), (2 ** 64 - 1, 1), (0, 1)):
        made = struct.pack('IiIII', 12, INO64_GEN, inode >> 32, inode & 0xffffffff, generation)
        expect('ESTALE', open_by, made)
    size, kind, high, low, generation = struct.unpack('IiIII', handle)
    forget()
    expect('ESTALE', open_by, struct.pack('IiIII', size, kind, high, low, generation + 1))
    expect_as(ALICE, 'EPERM', open_by, handle)
    equal(opened(handle), b'content')
