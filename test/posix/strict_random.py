"""strict_random.py --seed N --ops N --model LOCAL_DIRECTORY MOUNT MOUNT ...

Several mounts change the same few files and directories in turn, by random operations on names and by descriptors that
stay open for long; nothing is closed or synced for the others' sake. Each operation is done in a local directory as well,
and must end there in the same way. After each one every mount must see exactly what is there: names, attributes, bytes by
name and by every descriptor, and nothing but holes where SEEK_DATA passes. Prints "same", or what differs first, with the
last operations.
"""
import argparse
import collections
import errno
import mmap
import os
import random
import stat
import sys

sys.dont_write_bytecode = True
from syscalls import KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE, fallocate

HISTORY = 25
NAMES = ['a', 'b', 'c', 'sub', 'sub/a', 'sub/b', 'other', 'other/a', 'other/b']
MOST_HANDLES = 8
LARGEST = 40_000
#: What an action returns that found nothing to do.
NOTHING = object()


class Differs(Exception):
    pass


class Handle:
    """A file that one mount has open, and its counterpart in the local directory."""

    def __init__(self, mount, name, fd, model_fd, appends):
        self.mount, self.name, self.fd, self.model_fd, self.appends = mount, name, fd, model_fd, appends

    def close(self):
        os.close(self.fd)
        os.close(self.model_fd)

    def __str__(self):
        return '%d:%s%s' % (self.mount + 1, self.name, ' (appends)' if self.appends else '')


class Tester:
    def __init__(self, seed, model, mounts):
        self.random = random.Random(seed)
        self.model, self.mounts = model, mounts
        self.handles = []
        self.history = collections.deque(maxlen=HISTORY)
        # What to do → how often, relative to the others.
        self.actions = {
            self.open: 14, self.close: 6, self.write: 30, self.mapped_write: 6, self.cut: 7, self.punch: 5, self.copy: 6,
            self.sync: 3, self.change_name: 20, self.change_attributes: 8,
        }

    def run(self, count):
        actions, weights = list(self.actions), list(self.actions.values())
        for self.step in range(count):
            if self.random.choices(actions, weights)[0]() is not NOTHING:
                self.compare()
        while self.handles:
            self.handles.pop().close()
        self.compare()

    def did(self, *words):
        self.history.append('%6d %s' % (self.step, ' '.join(str(word) for word in words)))

    # One operation, on a mount and in the model

    def on_both(self, what, mount, operation):
        """What it returned, on the mount and in the model; undefined both when both failed in the same way."""
        self.did(what, 'on mount %d' % (mount + 1))
        got, wanted = outcome(operation, self.mounts[mount]), outcome(operation, self.model)
        if isinstance(got, OSError) != isinstance(wanted, OSError) or (isinstance(got, OSError) and got.errno != wanted.errno):
            raise Differs('%s on mount %d: %r, not %r' % (what, mount + 1, got, wanted))
        return (None, None) if isinstance(got, OSError) else (got, wanted)

    def by_handle(self, what, handle, operation):
        self.did(what, 'by', handle)
        got, wanted = outcome(operation, handle.fd), outcome(operation, handle.model_fd)
        if str(got) != str(wanted):
            raise Differs('%s by %s: %r, not %r' % (what, handle, got, wanted))

    def handle(self):
        return self.random.choice(self.handles) if self.handles else None

    def mount(self):
        return self.random.randrange(len(self.mounts))

    def data(self):
        return self.random.randbytes(self.random.choice([1, 10, 700, 4096, 5000, 9000]))

    def offset(self):
        offset = self.random.randrange(LARGEST - 10_000)
        return offset - offset % 4096 if self.random.random() < 0.3 else offset

    # What is done

    def open(self):
        if len(self.handles) >= MOST_HANDLES:
            return self.close()
        name, mount, appends = self.random.choice(NAMES), self.mount(), self.random.random() < 0.25
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | (os.O_APPEND if appends else 0)
        if self.random.random() < 0.15:
            flags |= os.O_TRUNC
        fd, model_fd = self.on_both('open %s %o' % (name, flags), mount, lambda root: os.open(f'{root}/{name}', flags, 0o644))
        if fd is not None:
            self.handles.append(Handle(mount, name, fd, model_fd, appends))

    def close(self):
        if not self.handles:
            return NOTHING
        handle = self.handles.pop(self.random.randrange(len(self.handles)))
        self.did('close', handle)
        handle.close()

    def write(self):
        handle = self.handle()
        if not handle:
            return NOTHING
        data, offset = self.data(), self.offset()
        if handle.appends:
            if os.fstat(handle.model_fd).st_size > LARGEST:
                return NOTHING
            return self.by_handle('append %d bytes' % len(data), handle, lambda fd: os.write(fd, data))
        return self.by_handle('write %d bytes at %d' % (len(data), offset), handle, lambda fd: os.pwrite(fd, data, offset))

    def mapped_write(self):
        handle = self.handle()
        size = os.fstat(handle.model_fd).st_size if handle else 0
        if size == 0:
            return NOTHING
        offset = self.random.randrange(size)
        data = self.data()[:size - offset]

        def write(fd):
            with mmap.mmap(fd, size) as mapped:
                mapped[offset:offset + len(data)] = data
                mapped.flush()
        return self.by_handle('mapped write of %d bytes at %d' % (len(data), offset), handle, write)

    def cut(self):
        size, name, mount, handle = self.random.randrange(LARGEST - 10_000), self.random.choice(NAMES), self.mount(), self.handle()
        if handle and self.random.random() < 0.6:
            return self.by_handle('truncate to %d' % size, handle, lambda fd: os.ftruncate(fd, size))
        self.on_both('truncate %s to %d' % (name, size), mount, lambda root: os.truncate(f'{root}/{name}', size))

    def punch(self):
        handle = self.handle()
        if not handle:
            return NOTHING
        mode = self.random.choice([PUNCH_HOLE | KEEP_SIZE, ZERO_RANGE, ZERO_RANGE | KEEP_SIZE, 0])
        offset, length = self.offset(), self.random.randrange(1, 9000)
        # Not every local file system has all of it: what it would have done is written there.
        self.did('fallocate %d %d+%d' % (mode, offset, length), 'by', handle)
        fallocate(handle.fd, mode, offset, length)
        size = os.fstat(handle.model_fd).st_size
        if not mode & KEEP_SIZE:
            size = max(size, offset + length)
            os.ftruncate(handle.model_fd, size)
        if mode & (PUNCH_HOLE | ZERO_RANGE) and offset < size:
            with os.fdopen(os.open('/proc/self/fd/%d' % handle.model_fd, os.O_WRONLY), 'wb', 0) as file:
                os.pwrite(file.fileno(), bytes(min(length, size - offset)), offset)

    def copy(self):
        source, target = self.handle(), self.handle()
        # By way of one mount; and a descriptor that appends is no target.
        if not source or source.mount != target.mount or target.appends or os.path.sameopenfile(source.model_fd, target.model_fd):
            return NOTHING
        start, end, length = self.offset(), self.offset(), self.random.randrange(1, 9000)
        self.did('copy %d bytes from %d of' % (length, start), source, 'to %d of' % end, target)
        size = os.fstat(source.model_fd).st_size
        length = min(length, max(0, size - start))
        done = 0
        while done < length:
            copied = os.copy_file_range(source.fd, target.fd, length - done, start + done, end + done)
            if copied == 0:
                raise Differs('copy_file_range ended %d bytes early' % (length - done))
            done += copied
        if length > 0:
            os.pwrite(target.model_fd, os.pread(source.model_fd, length, start), end)

    def sync(self):
        handle = self.handle()
        return self.by_handle('fsync', handle, os.fsync) if handle else NOTHING

    def change_name(self):
        name, second, mount = self.random.choice(NAMES), self.random.choice(NAMES), self.mount()
        what, operation = self.random.choice([
            ('unlink', lambda root: os.unlink(f'{root}/{name}')),
            ('mkdir', lambda root: os.mkdir(f'{root}/{name}')),
            ('mkdir', lambda root: os.mkdir(f'{root}/{name}')),
            ('rmdir', lambda root: os.rmdir(f'{root}/{name}')),
            ('rename to %s:' % second, lambda root: os.rename(f'{root}/{name}', f'{root}/{second}')),
            ('rename to %s:' % second, lambda root: os.rename(f'{root}/{name}', f'{root}/{second}')),
            ('link to %s:' % second, lambda root: os.link(f'{root}/{name}', f'{root}/{second}', follow_symlinks=False)),
            ('symlink', lambda root: os.symlink(second, f'{root}/{name}')),
        ])
        self.on_both('%s %s' % (what, name), mount, operation)

    def change_attributes(self):
        name, mount = self.random.choice(NAMES), self.mount()
        mode, time, value = self.random.choice([0o600, 0o640, 0o755]), self.random.randrange(10**18), self.random.randbytes(20)
        what, operation = self.random.choice([
            ('chmod', lambda root: os.chmod(f'{root}/{name}', mode)),
            ('utime', lambda root: os.utime(f'{root}/{name}', ns=(time, time), follow_symlinks=False)),
            ('setxattr', lambda root: os.setxattr(f'{root}/{name}', 'user.x', value, follow_symlinks=False)),
        ])
        self.on_both('%s %s' % (what, name), mount, operation)

    # What everybody sees

    def compare(self):
        mounts = list(enumerate(self.mounts))
        # Whoever looks first may make the others' bytes come.
        self.random.shuffle(mounts)
        for handle in self.random.sample(self.handles, len(self.handles)):
            self.compare_handle(handle)
        for name in NAMES:
            wanted = view(f'{self.model}/{name}')
            times = set()
            for number, mount in mounts:
                got = view(f'{mount}/{name}')
                if got != wanted:
                    raise Differs('%s on mount %d is %s' % (name, number + 1, difference(got, wanted)))
                if isinstance(got, tuple):
                    times.add(os.lstat(f'{mount}/{name}').st_mtime_ns)
            if len(times) > 1:
                raise Differs('the mounts see several times of %s: %s' % (name, sorted(times)))

    def compare_handle(self, handle):
        got, wanted = ((os.fstat(fd).st_size, os.fstat(fd).st_nlink, os.pread(fd, 1 << 20, 0)) for fd in (handle.fd, handle.model_fd))
        if got != wanted:
            raise Differs('what is open as %s is %s' % (handle, difference(got, wanted)))
        content = wanted[2]
        if not content:
            return
        start = self.random.randrange(len(content))
        try:
            data = os.lseek(handle.fd, start, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            data = len(content)
        if any(content[start:data]):
            raise Differs('SEEK_DATA from %d in %s passed over data, to %d' % (start, handle, data))


def outcome(operation, target):
    try:
        return operation(target)
    except OSError as error:
        return error


def view(path):
    """What a program can see of a name; an errno when there is nothing."""
    try:
        seen = os.lstat(path)
        kind = stat.S_IFMT(seen.st_mode)
        if kind == stat.S_IFDIR:
            return 'directory', stat.S_IMODE(seen.st_mode), seen.st_nlink, sorted(os.listdir(path))
        if kind == stat.S_IFLNK:
            return 'link', os.readlink(path)
        with open(path, 'rb') as file:
            content = file.read()
        xattrs = {name: os.getxattr(path, name) for name in os.listxattr(path)}
        return 'file', stat.S_IMODE(seen.st_mode), seen.st_nlink, xattrs, seen.st_size, content
    except OSError as error:
        return error.errno


def difference(got, wanted):
    """Both, and where their bytes differ first."""
    if isinstance(got, tuple) and isinstance(wanted, tuple) and isinstance(got[-1], bytes) and isinstance(wanted[-1], bytes):
        ours, theirs = got[-1], wanted[-1]
        first = next((index for index, pair in enumerate(zip(ours, theirs)) if pair[0] != pair[1]), min(len(ours), len(theirs)))
        return '%r + %d bytes, not %r + %d bytes; the bytes differ from %d on: %r, not %r' % (
            got[:-1], len(ours), wanted[:-1], len(theirs), first, ours[first:first + 8], theirs[first:first + 8])
    return '%.300r, not %.300r' % (got, wanted)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--seed', type=int, required=True)
    parser.add_argument('--ops', type=int, required=True)
    parser.add_argument('--model', required=True)
    parser.add_argument('mounts', nargs='+')
    options = parser.parse_args()
    tester = Tester(options.seed, options.model, options.mounts)
    try:
        tester.run(options.ops)
    except (Differs, OSError) as error:
        print('seed %d, operation %d: %s' % (options.seed, tester.step, error))
        print('\n'.join(tester.history))
        return 1
    print('same')
    return 0


sys.exit(main())
