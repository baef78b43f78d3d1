"""Names and paths: lengths, bytes, dot and dot-dot, and what every call that takes a path answers to a wrong one."""
import os
from harness import *

#: Every call that takes a path, given one whose last component need not exist.
CALLS = {
    'open': lambda p: open_close(p, os.O_RDONLY),
    'creat': lambda p: open_close(p, os.O_CREAT | os.O_WRONLY),
    'mkdir': os.mkdir,
    'rmdir': os.rmdir,
    'mkfifo': os.mkfifo,
    'mknod': lambda p: os.mknod(p, 0o100644),
    'unlink': os.unlink,
    'symlink': lambda p: os.symlink('target', p),
    'link to': lambda p: os.link('there', p),
    'link from': lambda p: os.link(p, 'new'),
    'rename to': lambda p: os.rename('there', p),
    'rename from': lambda p: os.rename(p, 'new'),
    'readlink': os.readlink,
    'stat': os.stat,
    'lstat': os.lstat,
    'chmod': lambda p: os.chmod(p, 0o644),
    'chown': lambda p: os.chown(p, 0, 0),
    'lchown': lambda p: os.lchown(p, 0, 0),
    'utimensat': lambda p: os.utime(p, ns=(1, 1)),
    'truncate': lambda p: os.truncate(p, 0),
    'access': lambda p: os.stat(p) if os.access(p, os.F_OK) else os.stat(p),
    'opendir': os.listdir,
    'statfs': os.statvfs,
    'getxattr': lambda p: os.getxattr(p, 'user.x'),
    'setxattr': lambda p: os.setxattr(p, 'user.x', b'1'),
}
MAKING = ('creat', 'mkdir', 'mkfifo', 'mknod', 'symlink', 'link to', 'rename to')


@case('a component of 256 bytes is ENAMETOOLONG, wherever it is in the path', 'POSIX XBD 4.16 Pathname Resolution; path_resolution(7)')
def _():
    create('there')
    for name, call in CALLS.items():
        expect('ENAMETOOLONG', call, TOO_LONG_NAME)
        expect('ENAMETOOLONG', call, TOO_LONG_NAME + '/x')


@case('a component of 255 bytes is a name like any other', 'POSIX limits.h NAME_MAX; path_resolution(7)')
def _():
    create('there')
    for name, call in CALLS.items():
        if name not in MAKING:
            expect('ENOENT', call, LONGEST_NAME)
    for kind, make in MAKERS.items():
        make(LONGEST_NAME)
        check(LONGEST_NAME in os.listdir('.'), '%s of 255 bytes is listed' % kind)
        os.rename(LONGEST_NAME, 'm' * 255)
        (os.rmdir if kind == 'directory' else os.unlink)('m' * 255)
    equal(os.listdir('.'), ['there'])


@case('the 255 are bytes, not characters', 'POSIX limits.h NAME_MAX is in bytes')
def _():
    create('é' * 127 + 'x')
    expect('ENAMETOOLONG', open_close, 'é' * 128, os.O_CREAT | os.O_WRONLY)
    equal(os.listdir('.'), ['é' * 127 + 'x'])


@case('pathconf and statvfs say 255', 'POSIX fpathconf(); statvfs()')
def _():
    equal(os.pathconf('.', 'PC_NAME_MAX'), 255)
    equal(os.statvfs('.').f_namemax, 255)


@case('a path of PATH_MAX - 1 bytes is resolved, one of PATH_MAX is ENAMETOOLONG', 'POSIX limits.h PATH_MAX; path_resolution(7)')
def _():
    create('x', b'content')
    create('there')
    equal(content(path_of_length(4095)), b'content')
    for name, call in CALLS.items():
        if name not in MAKING:
            expect('ok|EINVAL|ENOTDIR|ENODATA|EISDIR', call, path_of_length(4095))
            if not exists('x'):
                create('x')
            if exists('new'):
                os.unlink('new')
        expect('ENAMETOOLONG', call, path_of_length(4096))


@case('a path deeper than PATH_MAX is reached step by step', 'POSIX XBD 4.16')
def _():
    start = os.open('.', os.O_RDONLY)
    depth = 20
    for _ in range(depth):
        os.mkdir(LONGEST_NAME)
        os.chdir(LONGEST_NAME)
    create('deep', b'deep')
    equal(content('deep'), b'deep')
    os.unlink('deep')
    for _ in range(depth):
        os.chdir('..')
        os.rmdir(LONGEST_NAME)
    os.chdir(start)
    equal(os.listdir('.'), [])


@case('a component that is not a directory is ENOTDIR', 'POSIX: every page, [ENOTDIR] "a component of the path prefix"')
def _():
    create('there')
    for kind, make in MAKERS.items():
        if kind in ('directory', 'symlink'):
            continue
        make('p')
        for name, call in CALLS.items():
            expect('ENOTDIR', call, 'p/x')
        os.unlink('p')


@case('a trailing slash after what is not a directory is ENOTDIR', 'POSIX XBD 4.16; path_resolution(7)')
def _():
    create('file')
    for name in ('open', 'stat', 'lstat', 'chmod', 'chown', 'utimensat', 'truncate', 'opendir', 'unlink', 'rename from', 'link from'):
        expect('ENOTDIR', CALLS[name], 'file/')


@case('mkdir takes a trailing slash', 'POSIX XBD 4.16: "a pathname that names a directory to be created"')
def _():
    os.mkdir('a/')
    os.rename('a/', 'b/')
    check(os.path.isdir('b'), 'b is there')
    os.rmdir('b/')


@case('a missing component of the prefix, and an empty path, are ENOENT', 'POSIX: every page, [ENOENT]')
def _():
    create('there')
    for name, call in CALLS.items():
        expect('ENOENT', call, 'missing/x')
        expect('ENOENT', call, '')


@case('a loop of symbolic links is ELOOP', 'POSIX: every page, [ELOOP]')
def _():
    create('there')
    os.symlink('b', 'a')
    os.symlink('a', 'b')
    os.symlink('self', 'self')
    for name, call in CALLS.items():
        expect('ELOOP', call, 'a/x')
        expect('ELOOP', call, 'self/x')
    for name in ('open', 'creat', 'stat', 'chmod', 'chown', 'utimensat', 'truncate', 'opendir', 'statfs', 'getxattr', 'setxattr'):
        expect('ELOOP', CALLS[name], 'a')


@case('40 symbolic links are followed, 41 are ELOOP', 'path_resolution(7): "the maximum number is 40"')
def _():
    create('l0', b'end')
    for index in range(1, 42):
        os.symlink('l%d' % (index - 1), 'l%d' % index)
    equal(content('l40'), b'end')
    expect('ELOOP', os.stat, 'l41')


@case('names are bytes: what is not UTF-8 comes back as it was given', 'POSIX XBD 3.170 Filename: any bytes but slash and NUL')
def _():
    names = [bytes([b]) for b in range(1, 256) if b not in (0x2F, 0x2E)]
    names += [b'\xff\xfe\xfd', b'a\xc3', b'\xc3\xa9', b'e\xcc\x81', b'\xed\xa0\x80', b'\xf4\x90\x80\x80', b'\xc0\xaf', b'..\xff',
              b'...', b'\xef\xbf\xbd', b'\xff' * 255]
    for name in names:
        create(b'./' + name, name)
    equal(sorted(os.listdir(b'.')), sorted(set(names)))
    for name in names:
        equal(content(b'./' + name), name, repr(name))
    for name in names:
        if len(name) < 255:
            os.rename(b'./' + name, b'./' + name + b'\xfe')
    os.rename(b'\xff' * 255, b'\xfd' * 255)
    for entry in os.listdir(b'.'):
        os.unlink(b'./' + entry)
    equal(os.listdir('.'), [])


@case('names that differ only in case or in Unicode normal form are different names', 'POSIX XBD 4.16: names are compared as bytes')
def _():
    for name in (b'a', b'A', b'\xc3\xa9', b'e\xcc\x81', b'\xc3\x89'):
        create(name, name)
    equal(len(os.listdir('.')), 5)


@case('symbolic links are bytes, too', 'POSIX readlink()')
def _():
    for target in (b'\xff\xfe', b'\xc3', bytes(range(1, 256)), b'x' * 4095):
        os.symlink(target, b'l')
        equal(os.readlink(b'l'), target)
        equal(os.lstat('l').st_size, len(target))
        os.unlink('l')


@case('dot and dot-dot cannot be removed, renamed or made', 'POSIX rmdir() [EINVAL]; rename() [EINVAL|EBUSY]; mkdir() [EEXIST]')
def _():
    directory('d')
    directory('d/e')
    expect('EINVAL', os.rmdir, 'd/.')
    expect('ENOTEMPTY|EEXIST', os.rmdir, 'd/e/..')
    expect('EISDIR|EPERM', os.unlink, 'd/.')
    expect('EINVAL|EBUSY', os.rename, 'd/.', 'f')
    expect('EINVAL|EBUSY', os.rename, 'd/e/..', 'f')
    expect('EINVAL|EBUSY|EEXIST', os.rename, 'd', 'd/e/..')
    for name in ('.', '..', 'd/.', 'd/..'):
        expect('EEXIST', os.mkdir, name)
        expect('EEXIST', os.mkfifo, name)
        expect('EEXIST', os.symlink, 'x', name)


@case('dot and dot-dot lead to the directory and its parent, also after it moved', 'POSIX XBD 4.16')
def _():
    os.makedirs('a/b/c')
    os.mkdir('z')
    equal(os.stat('a/b/c/..').st_ino, os.stat('a/b').st_ino)
    equal(os.stat('a/b/.').st_ino, os.stat('a/b').st_ino)
    os.rename('a/b', 'z/b')
    equal(os.stat('z/b/..').st_ino, os.stat('z').st_ino)
    equal(os.stat('z/b/c/../..').st_ino, os.stat('z').st_ino)


@case('a listing gives each name once, also of 1500, with its inode and type', 'POSIX readdir()')
def _():
    kinds = {}
    for kind, make in MAKERS.items():
        make(kind)
        kinds[kind] = os.lstat(kind)
    for entry in os.scandir('.'):
        equal(entry.inode(), kinds[entry.name].st_ino, entry.name)
        equal(entry.is_dir(follow_symlinks=False), entry.name == 'directory', entry.name)
        equal(entry.is_symlink(), entry.name == 'symlink', entry.name)
        equal(entry.is_file(follow_symlinks=False), entry.name == 'regular', entry.name)
    os.mkdir('many')
    for index in range(1500):
        os.link('regular', 'many/%d' % index)
    found = os.listdir('many')
    equal(len(found), 1500)
    equal(set(found), {str(index) for index in range(1500)})
    equal(os.stat('regular').st_nlink, 1501)


@case('who removes while listing sees every other name exactly once', 'POSIX readdir(): removed or added entries are unspecified, others not')
def _():
    for index in range(600):
        create('f%04d' % index) if index % 300 == 0 else os.link('f%04d' % (index - index % 300), 'f%04d' % index)
    seen = []
    with os.scandir('.') as entries:
        for entry in entries:
            seen.append(entry.name)
            if int(entry.name[1:]) % 2:
                os.unlink(entry.name)
    equal(len(seen), len(set(seen)), 'names seen')
    check({'f%04d' % index for index in range(0, 600, 2)} <= set(seen), 'every name that stayed was seen')
    equal(len(os.listdir('.')), 300)
