"""rename(2) and renameat2(2)."""
import os
from harness import *
from syscalls import *


@case('every type of file is renamed, with what it is and its inode', 'POSIX rename()')
def _():
    for kind, make in MAKERS.items():
        make(kind)
        before = os.lstat(kind)
        os.rename(kind, 'new')
        after = os.lstat('new')
        check(not exists(kind), '%s is gone from the old name' % kind)
        equal((after.st_ino, after.st_mode, after.st_nlink, after.st_rdev, after.st_size),
              (before.st_ino, before.st_mode, before.st_nlink, before.st_rdev, before.st_size), kind)
        equal(os.listdir('.'), ['new'])
        os.rename('new', 'other')
        (os.rmdir if kind == 'directory' else os.unlink)('other')


@case('renaming moves mtime and ctime of both directories, and ctime of the file', 'POSIX rename(): "mark for update the last data modification … of the parent directory of each file"')
def _():
    directory('a')
    directory('b')
    create('a/f')
    with moves('mtime ctime', 'a'), moves('mtime ctime', 'b'):
        os.rename('a/f', 'b/f')
    before = os.stat('b/f').st_ctime_ns
    with moves('mtime ctime', 'b'):
        os.rename('b/f', 'b/g')
    check(os.stat('b/g').st_ctime_ns > before, 'ctime of the file moved on')
    directory('a/d')
    with moves('mtime ctime', 'a'), moves('mtime ctime', 'b'):
        os.rename('a/d', 'b/d')
    equal((os.stat('a').st_nlink, os.stat('b').st_nlink), (2, 3))


@case('a rename that fails moves no times', 'POSIX rename(): "If … fails, … unchanged"')
def _():
    directory('a')
    directory('b')
    create('b/f')
    with moves('', 'a'), moves('', 'b'):
        expect('ENOTEMPTY|EEXIST', os.rename, 'a', 'b')


@case('onto an existing file replaces it: link count, data, and who has it open', 'POSIX rename(): "If the link named by new exists, it shall be removed"')
def _():
    create('old', b'new content')
    create('new', b'old content')
    os.link('new', 'kept')
    fd = os.open('new', os.O_RDWR)
    with moves('ctime', 'kept'):
        os.rename('old', 'new')
    equal(content('new'), b'new content')
    equal(os.fstat(fd).st_nlink, 1)
    equal(content('kept'), b'old content')
    os.unlink('kept')
    equal(os.fstat(fd).st_nlink, 0)
    equal(os.read(fd, 20), b'old content')
    os.pwrite(fd, b'still', 0)
    equal(os.pread(fd, 20, 0), b'stillontent')


@case('types: onto a directory is EISDIR, a directory onto something else is ENOTDIR', 'POSIX rename() [EISDIR], [ENOTDIR]')
def _():
    directory('d')
    for kind, make in MAKERS.items():
        if kind == 'directory':
            continue
        make(kind)
        expect('EISDIR', os.rename, kind, 'd')
        expect('ENOTDIR', os.rename, 'd', kind)
        for other, make_other in MAKERS.items():
            if other != 'directory':
                make_other('target')
                os.rename(kind, 'target')
                check(not exists(kind), '%s onto %s' % (kind, other))
                os.rename('target', kind)
        os.unlink(kind)


@case('a directory replaces an empty one, and is ENOTEMPTY onto a full one', 'POSIX rename() [EEXIST] or [ENOTEMPTY]')
def _():
    directory('a')
    create('a/f', b'content')
    directory('b')
    fd = os.open('b', os.O_RDONLY)
    os.rename('a', 'b')
    equal(content('b/f'), b'content')
    equal(os.fstat(fd).st_nlink, 0)
    directory('c')
    for kind, make in MAKERS.items():
        make('b/x')
        expect('ENOTEMPTY|EEXIST', os.rename, 'c', 'b')
        (os.rmdir if kind == 'directory' else os.unlink)('b/x')


@case('a directory into itself or below is EINVAL', 'POSIX rename() [EINVAL]')
def _():
    os.makedirs('a/b/c')
    for target in ('a/x', 'a/b/x', 'a/b/c/x', 'a/b/c'):
        expect('EINVAL', os.rename, 'a', target)
    expect('ENOTEMPTY|EEXIST', os.rename, 'a/b', 'a')
    expect('ENOTEMPTY|EEXIST', os.rename, 'a/b/c', 'a')
    expect('ok', os.rename, 'a', 'a')


@case('two names of one file: nothing is done, both stay', 'POSIX rename(): "If … resolve to … the same existing file, rename() shall return successfully and perform no other action"')
def _():
    create('a', b'x')
    os.link('a', 'b')
    with moves('', '.'):
        os.rename('a', 'b')
        os.rename('a', 'a')
    equal((sorted(os.listdir('.')), os.stat('a').st_nlink), (['a', 'b'], 2))


@case('a symbolic link is renamed itself, and replaced itself', 'POSIX rename(): "If old/new names a symbolic link"')
def _():
    create('f', b'content')
    os.symlink('f', 'l')
    os.rename('l', 'm')
    equal(os.readlink('m'), 'f')
    create('g', b'other')
    os.rename('g', 'm')
    equal((content('m'), content('f')), (b'other', b'content'))


@case('a missing old name or directory is ENOENT, and the new name stays', 'POSIX rename() [ENOENT]')
def _():
    create('f', b'content')
    expect('ENOENT', os.rename, 'missing', 'f')
    expect('ENOENT', os.rename, 'f', 'missing/f')
    expect('ENOENT', os.rename, 'missing', 'new')
    expect('ENOTDIR', os.rename, 'f/x', 'g')
    expect('ENOTDIR', os.rename, 'f', 'f/g')
    equal(content('f'), b'content')


@case('to another file system is EXDEV', 'POSIX rename() [EXDEV]')
def _():
    create('f')
    other = '/dev/shm' if os.stat('/dev/shm').st_dev != os.stat('.').st_dev else '/proc'
    expect('EXDEV', os.rename, 'f', other + '/dfs-test-that-must-not-be')
    check(exists('f'), 'the file stays')


@case('a moved directory has a new dot-dot, and link counts follow', 'POSIX rename()')
def _():
    os.makedirs('a/d/e')
    os.mkdir('b')
    counts = os.stat('a').st_nlink, os.stat('b').st_nlink
    os.rename('a/d', 'b/d')
    equal((os.stat('a').st_nlink, os.stat('b').st_nlink), (counts[0] - 1, counts[1] + 1))
    equal(os.stat('b/d/..').st_ino, os.stat('b').st_ino)
    os.mkdir('a/d')
    os.rename('b/d/e', 'a/d/e')
    os.rename('a/d/e', 'b/d/e')
    equal((os.stat('a/d').st_nlink, os.stat('b/d').st_nlink), (2, 3))
    os.rename('a/d', 'b/d/e')
    equal((os.stat('a').st_nlink, os.stat('b/d').st_nlink), (2, 3))


@case('both directories must be writable: EACCES', 'POSIX rename() [EACCES]')
def _():
    directory('mine', 0o755, ALICE)
    directory('theirs', 0o755, BOB)
    directory('closed', 0o666, ALICE)
    create('mine/f', owner=ALICE)
    create('theirs/f', owner=BOB)
    expect_as(ALICE, 'EACCES', os.rename, 'mine/f', 'theirs/g')
    expect_as(ALICE, 'EACCES', os.rename, 'theirs/f', 'mine/g')
    expect_as(ALICE, 'EACCES', os.rename, 'mine/f', 'closed/g')
    expect_as(ALICE, 'ok', os.rename, 'mine/f', 'mine/g')


@case('a directory that changes its parent must be writable itself', 'POSIX rename() [EACCES] "write permission is … required for the directory"; path_resolution(7)')
def _():
    directory('a', 0o777)
    directory('b', 0o777)
    directory('a/d', 0o755, BOB)
    expect_as(ALICE, 'EACCES', os.rename, 'a/d', 'b/d')
    expect_as(ALICE, 'ok', os.rename, 'a/d', 'a/e')
    os.chmod('a/e', 0o777)
    expect_as(ALICE, 'ok', os.rename, 'a/e', 'b/e')


@case('sticky: from or over what is neither one\'s own nor in one\'s own directory is EPERM', 'POSIX rename() [EPERM] or [EACCES], S_ISVTX')
def _():
    for owner, file_owner, who, wanted in (
        (ROOT, BOB, ALICE, 'EPERM|EACCES'), (ROOT, ALICE, ALICE, 'ok'), (ALICE, BOB, ALICE, 'ok'), (BOB, BOB, ALICE, 'EPERM|EACCES'),
        (BOB, ALICE, ALICE, 'ok'), (BOB, ROOT, ALICE, 'EPERM|EACCES'), (BOB, BOB, ROOT, 'ok'),
    ):
        directory('sticky', 0o1777, owner)
        directory('free', 0o777)
        for kind in ('file', 'directory'):
            make = create if kind == 'file' else directory
            make('sticky/f', mode=0o777, owner=file_owner)
            expect_as(who, wanted, os.rename, 'sticky/f', 'free/f')
            if exists('free/f'):
                os.rename('free/f', 'sticky/f')
            make('free/g', mode=0o777, owner=who)
            expect_as(who, wanted, os.rename, 'free/g', 'sticky/f')
            for path in ('free/g', 'sticky/f'):
                if exists(path):
                    (os.rmdir if kind == 'directory' else os.unlink)(path)
        os.rmdir('sticky')
        os.rmdir('free')


@case('RENAME_NOREPLACE is EEXIST for any new name that is there', 'rename(2), RENAME_NOREPLACE')
def _():
    create('f', b'content')
    for kind, make in MAKERS.items():
        make(kind)
        expect('EEXIST', renameat2, 'f', kind, RENAME_NOREPLACE)
    expect('EEXIST', renameat2, 'f', 'f', RENAME_NOREPLACE)
    expect('ok', renameat2, 'f', 'g', RENAME_NOREPLACE)
    equal(content('g'), b'content')
    expect('ENOENT', renameat2, 'f', 'h', RENAME_NOREPLACE)


@case('RENAME_EXCHANGE swaps any two types, atomically', 'rename(2), RENAME_EXCHANGE')
def _():
    directory('a')
    directory('b')
    for kind, make in MAKERS.items():
        for other, make_other in MAKERS.items():
            make('a/x')
            make_other('b/y')
            inodes = os.lstat('a/x').st_ino, os.lstat('b/y').st_ino
            renameat2('a/x', 'b/y', RENAME_EXCHANGE)
            equal((os.lstat('b/y').st_ino, os.lstat('a/x').st_ino), inodes, '%s with %s' % (kind, other))
            equal((os.stat('a').st_nlink, os.stat('b').st_nlink), (2 + (other == 'directory'), 2 + (kind == 'directory')))
            (os.rmdir if other == 'directory' else os.unlink)('a/x')
            (os.rmdir if kind == 'directory' else os.unlink)('b/y')


@case('RENAME_EXCHANGE needs both, keeps out of its own tree, moves times, and leaves dot-dot right', 'rename(2), RENAME_EXCHANGE')
def _():
    os.makedirs('a/b/c')
    create('a/f')
    expect('ENOENT', renameat2, 'a', 'missing', RENAME_EXCHANGE)
    expect('ENOENT', renameat2, 'missing', 'a', RENAME_EXCHANGE)
    expect('EINVAL', renameat2, 'a', 'a/b', RENAME_EXCHANGE)
    expect('EINVAL', renameat2, 'a/b/c', 'a', RENAME_EXCHANGE)
    expect('EINVAL', renameat2, 'a', 'x', RENAME_EXCHANGE | RENAME_NOREPLACE)
    expect('EINVAL', renameat2, 'a', 'x', 64)
    with moves('mtime ctime', 'a'), moves('mtime ctime', 'a/b'):
        renameat2('a/f', 'a/b/c', RENAME_EXCHANGE)
    equal(os.stat('a/f/..').st_ino, os.stat('a').st_ino)
    equal((os.stat('a').st_nlink, os.stat('a/b').st_nlink), (4, 2))


@case('RENAME_WHITEOUT leaves a device 0/0 at the old place, with its own owner, whoever renames', 'rename(2), RENAME_WHITEOUT')
def _():
    directory('a', 0o777)
    directory('b', 0o777)
    for kind, make in MAKERS.items():
        for target in (kind, None):
            make('a/x')
            if target:
                make('b/y')
            inode = os.lstat('a/x').st_ino
            with moves('mtime ctime', 'a'), moves('mtime ctime', 'b'):
                renameat2('a/x', 'b/y', RENAME_WHITEOUT)
            equal(os.lstat('b/y').st_ino, inode)
            left = os.lstat('a/x')
            equal((left.st_mode, left.st_rdev, left.st_uid, left.st_gid, left.st_nlink), (0o020000, 0, 0, 0, 1), kind)
            equal((os.stat('a').st_nlink, os.stat('b').st_nlink), (2, 2 + (kind == 'directory')))
            equal(os.listdir('a'), ['x'])
            os.unlink('a/x')
            (os.rmdir if kind == 'directory' else os.unlink)('b/y')
    create('a/x', owner=ALICE)
    expect_as(ALICE, 'ok', renameat2, 'a/x', 'b/y', RENAME_WHITEOUT | RENAME_NOREPLACE)
    left = os.lstat('a/x')
    equal((left.st_mode, left.st_uid, left.st_gid), (0o020000, *ALICE))
    create('a/z')
    expect('EEXIST', renameat2, 'a/z', 'b/y', RENAME_WHITEOUT | RENAME_NOREPLACE)
    equal(os.stat('a/z').st_mode & 0o170000, 0o100000)


@case('RENAME_WHITEOUT does not go with RENAME_EXCHANGE, and does nothing to two names of one file', 'rename(2), RENAME_WHITEOUT')
def _():
    create('f', b'content')
    os.link('f', 'g')
    create('h')
    expect('EINVAL', renameat2, 'f', 'h', RENAME_WHITEOUT | RENAME_EXCHANGE)
    expect('EINVAL', renameat2, 'f', 'h', RENAME_WHITEOUT | 8)
    expect('ENOENT', renameat2, 'missing', 'h', RENAME_WHITEOUT)
    expect('ok', renameat2, 'f', 'g', RENAME_WHITEOUT)
    equal((content('f'), sorted(os.listdir('.'))), (b'content', ['f', 'g', 'h']))


@case('the new name is there at every moment while it is replaced', 'POSIX rename(): "a link named new shall remain visible to other threads throughout"')
def _():
    create('target', b'x' * 10)
    stop = 'stop'
    pid = os.fork()
    if pid == 0:
        path = os.path.join(Report.second or '.', 'target')
        bad = 0
        while not exists(stop):
            try:
                bad += len(content(path)) != 10
            except OSError:
                bad += 1
        os._exit(min(bad, 100))
    for index in range(150):
        create('next', b'%010d' % index)
        os.rename('next', 'target')
    create(stop)
    equal(os.waitpid(pid, 0)[1] >> 8, 0, 'moments without the file')


@case('an open file is written under its new name; an open directory is found there', 'POSIX rename(): the file stays the same')
def _():
    fd = os.open('f', os.O_CREAT | os.O_RDWR)
    os.write(fd, b'before ')
    os.rename('f', 'g')
    os.write(fd, b'after')
    os.close(fd)
    equal(content('g'), b'before after')
    directory('d')
    dirfd = os.open('d', os.O_RDONLY)
    os.rename('d', 'e')
    os.close(os.open('x', os.O_CREAT | os.O_WRONLY, dir_fd=dirfd))
    equal(os.listdir('e'), ['x'])
    os.chdir('e')
    os.rename('../e', '../h')
    equal(os.listdir('.'), ['x'])
