"""fsx.py --seed N --ops N [--size BYTES] [--strict] FILE [SAME_FILE_ON_ANOTHER_MOUNT ...]

Does random things to a file, and keeps a model of it in memory: reads, writes, truncations, mapped reads and writes,
fallocate in all modes, copy_file_range, fsync, closing and opening again; each read is compared with the model, and at
times the whole file. With several files, which are to be the same one by way of several mounts, it takes turns: it closes
the file on one before it opens it on the next. With --strict it keeps the file open on all of them, acts on any of them at
each step, and then compares size and some bytes on every one. Prints "same", or what differs first, with the last operations.
"""
import argparse
import collections
import errno
import mmap
import os
import random
import sys

sys.dont_write_bytecode = True
from syscalls import COLLAPSE_RANGE, INSERT_RANGE, KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE, fallocate

HISTORY = 25
COLLAPSE_UNIT = 65536


class Differs(Exception):
    pass


class Tester:
    def __init__(self, seed, size, paths, strict):
        self.strict = strict
        self.random = random.Random(seed)
        self.largest = size
        self.paths = paths
        self.turn = 0
        self.model = bytearray()
        self.history = collections.deque(maxlen=HISTORY)
        self.unsupported = set()
        #: On each mount; without --strict only on the one whose turn it is.
        self.fds = [os.open(self.path, os.O_CREAT | os.O_TRUNC | os.O_RDWR, 0o644)] + [None] * (len(paths) - 1)
        for turn in range(1, len(paths) if strict else 0):
            self.fds[turn] = os.open(paths[turn], os.O_RDWR)
        # What to do → how often, relative to the others.
        self.actions = {
            self.read: 20, self.write: 25, self.append: 3, self.truncate: 6, self.mapped_read: 10, self.mapped_write: 12,
            self.allocate: 4, self.punch: 6, self.zero: 4, self.collapse: 1, self.insert: 1, self.copy: 8, self.sync: 3,
            self.reopen: 4, self.seek: 3, self.whole: 1, self.switch: 4 if len(paths) > 1 and not strict else 0,
        }

    @property
    def path(self):
        return self.paths[self.turn]

    @property
    def fd(self):
        return self.fds[self.turn]

    @fd.setter
    def fd(self, fd):
        self.fds[self.turn] = fd

    def run(self, count):
        actions, weights = list(self.actions), list(self.actions.values())
        for self.step in range(count):
            if self.strict:
                self.turn = self.random.randrange(len(self.paths))
            self.random.choices(actions, weights)[0]()
            self.look()
        self.whole()
        if not self.strict:
            os.close(self.fd)
            self.fds = [os.open(path, os.O_RDWR) for path in self.paths]
        for self.turn in range(len(self.paths)):
            self.reopen()
            self.whole()
        for fd in self.fds:
            os.close(fd)

    def look(self):
        """What every mount must see after each step."""
        extent = self.extent(len(self.model)) if self.strict else None
        for turn, fd in enumerate(self.fds):
            if fd is None:
                continue
            found = os.fstat(fd).st_size
            if found != len(self.model):
                raise Differs('the size on mount %d is %d, not %d' % (turn + 1, found, len(self.model)))
            if extent:
                self.compare(extent[0], os.pread(fd, extent[1], extent[0]), extent[1], turn)

    def did(self, what, *numbers):
        where = '%d: ' % (self.turn + 1) if self.strict else ''
        self.history.append('%6d %s%s %s' % (self.step, where, what, ' '.join(str(number) for number in numbers)))

    def extent(self, end):
        """An offset and a length within so many bytes, often at the edges of pages; None when there are none."""
        if end <= 0:
            return None
        offset = self.random.randrange(end)
        if self.random.random() < 0.3:
            offset -= offset % 4096
        length = self.random.choice([1, 100, 4096, 5000, self.random.randrange(1, 65536), self.random.randrange(1, 200000)])
        return offset, min(length, end - offset)

    def compare(self, offset, got, length, turn=None):
        wanted = self.model[offset:offset + length]
        if got == wanted:
            return
        first = next((index for index in range(min(len(got), len(wanted))) if got[index] != wanted[index]), min(len(got), len(wanted)))
        where = self.turn if turn is None else turn
        raise Differs('read on mount %d of %d bytes at %d: %d bytes, which differ from the model at %d (%r, not %r)' % (
            where + 1, length, offset, len(got), offset + first, bytes(got[first:first + 8]), bytes(wanted[first:first + 8])))

    def put(self, offset, data):
        if offset > len(self.model):
            self.model += bytes(offset - len(self.model))
        self.model[offset:offset + len(data)] = data

    def read(self):
        offset, length = self.extent(self.largest)
        self.did('read', offset, length)
        self.compare(offset, os.pread(self.fd, length, offset), length)

    def write(self):
        offset, length = self.extent(self.largest)
        data = self.random.randbytes(length)
        self.did('write', offset, length)
        if os.pwrite(self.fd, data, offset) != length:
            raise Differs('a short write')
        self.put(offset, data)

    def append(self):
        length = min(self.random.randrange(1, 10000), self.largest - len(self.model))
        if length <= 0:
            return
        data = self.random.randbytes(length)
        self.did('append', len(self.model), length)
        fd = os.open(self.path, os.O_WRONLY | os.O_APPEND)
        os.write(fd, data)
        os.close(fd)
        self.put(len(self.model), data)

    def truncate(self):
        size = self.random.randrange(self.largest)
        self.did('truncate', len(self.model), size)
        os.ftruncate(self.fd, size) if self.random.random() < 0.5 else os.truncate(self.path, size)
        if size < len(self.model):
            del self.model[size:]
        else:
            self.model += bytes(size - len(self.model))

    def mapped_read(self):
        if extent := self.extent(len(self.model)):
            offset, length = extent
            self.did('mapped read', offset, length)
            with mmap.mmap(self.fd, len(self.model), prot=mmap.PROT_READ) as mapped:
                self.compare(offset, mapped[offset:offset + length], length)

    def mapped_write(self):
        if extent := self.extent(len(self.model)):
            offset, length = extent
            data = self.random.randbytes(length)
            with mmap.mmap(self.fd, len(self.model)) as mapped:
                mapped[offset:offset + length] = data
                flush = self.random.random() < 0.3
                if flush:
                    mapped.flush()
            self.did('mapped write, flushed' if flush else 'mapped write', offset, length)
            self.put(offset, data)

    def fallocate(self, what, mode, offset, length):
        """Whether it was done; a mode that is not supported is not tried again."""
        if what in self.unsupported:
            return False
        self.did(what, offset, length)
        try:
            fallocate(self.fd, mode, offset, length)
            return True
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP:
                raise
            self.unsupported.add(what)
            return False

    def allocate(self):
        offset, length = self.extent(self.largest)
        if self.random.random() < 0.5:
            self.fallocate('allocate, size kept', KEEP_SIZE, offset, length)
        elif self.fallocate('allocate', 0, offset, length):
            self.model += bytes(max(0, offset + length - len(self.model)))

    def clear(self, offset, length):
        end = min(offset + length, len(self.model))
        if offset < end:
            self.model[offset:end] = bytes(end - offset)

    def punch(self):
        offset, length = self.extent(self.largest)
        if self.fallocate('punch hole', PUNCH_HOLE | KEEP_SIZE, offset, length):
            self.clear(offset, length)

    def zero(self):
        offset, length = self.extent(self.largest)
        if self.random.random() < 0.5:
            if self.fallocate('zero range, size kept', ZERO_RANGE | KEEP_SIZE, offset, length):
                self.clear(offset, length)
        elif self.fallocate('zero range', ZERO_RANGE, offset, length):
            self.clear(offset, length)
            self.model += bytes(max(0, offset + length - len(self.model)))

    def collapse(self):
        units = (len(self.model) - 1) // COLLAPSE_UNIT
        if units > 0:
            offset = self.random.randrange(units) * COLLAPSE_UNIT
            if offset + COLLAPSE_UNIT < len(self.model) and self.fallocate('collapse', COLLAPSE_RANGE, offset, COLLAPSE_UNIT):
                del self.model[offset:offset + COLLAPSE_UNIT]

    def insert(self):
        units = (len(self.model) - 1) // COLLAPSE_UNIT
        if units > 0 and len(self.model) + COLLAPSE_UNIT <= self.largest:
            offset = self.random.randrange(units) * COLLAPSE_UNIT
            if self.fallocate('insert', INSERT_RANGE, offset, COLLAPSE_UNIT):
                self.model[offset:offset] = bytes(COLLAPSE_UNIT)

    def copy(self):
        extent = self.extent(len(self.model))
        if not extent:
            return
        source, length = extent
        target = self.random.randrange(self.largest)
        if self.random.random() < 0.5:
            # What is a multiple of a page may be shared instead of copied.
            source, target, length = source - source % 4096, target - target % 4096, max(length - length % 4096, 1)
        length = min(length, self.largest - target, len(self.model) - source, abs(source - target) or self.largest)
        if length <= 0 or source == target:
            return
        self.did('copy', source, target, length)
        done = 0
        while done < length:
            copied = os.copy_file_range(self.fd, self.fd, length - done, source + done, target + done)
            if copied == 0:
                raise Differs('copy_file_range ended %d bytes early' % (length - done))
            done += copied
        self.put(target, bytes(self.model[source:source + length]))

    def sync(self):
        self.did('fsync')
        os.fsync(self.fd) if self.random.random() < 0.5 else os.fdatasync(self.fd)

    def reopen(self):
        self.did('reopen')
        os.close(self.fd)
        self.fd = os.open(self.path, os.O_RDWR)

    def switch(self):
        os.close(self.fd)
        self.fd = None
        self.turn = (self.turn + 1) % len(self.paths)
        self.did('switch to mount', self.turn + 1)
        self.fd = os.open(self.path, os.O_RDWR)

    def seek(self):
        """What SEEK_DATA passes over must be zeros, and so must be what SEEK_HOLE finds."""
        if not self.model:
            return
        start = self.random.randrange(len(self.model))
        self.did('seek', start)
        try:
            data = os.lseek(self.fd, start, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            data = len(self.model)
        if any(self.model[start:data]):
            raise Differs('SEEK_DATA from %d passed over data, to %d' % (start, data))
        hole = os.lseek(self.fd, start, os.SEEK_HOLE)
        if not start <= hole <= len(self.model):
            raise Differs('SEEK_HOLE from %d found %d' % (start, hole))
        if hole == start and self.model[start] != 0:
            raise Differs('SEEK_HOLE found a hole in data at %d' % start)

    def whole(self):
        self.did('read all')
        pieces, offset = [], 0
        while piece := os.pread(self.fd, 1 << 20, offset):
            pieces.append(piece)
            offset += len(piece)
        self.compare(0, b''.join(pieces), max(offset, len(self.model)))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--seed', type=int, required=True)
    parser.add_argument('--ops', type=int, required=True)
    parser.add_argument('--size', type=int, default=1 << 20)
    parser.add_argument('file')
    parser.add_argument('--strict', action='store_true')
    parser.add_argument('more', nargs='*')
    options = parser.parse_args()
    tester = Tester(options.seed, options.size, [options.file, *options.more], options.strict)
    try:
        tester.run(options.ops)
    except (Differs, OSError) as error:
        print('seed %d, operation %d: %s' % (options.seed, tester.step, error))
        print('\n'.join(tester.history))
        return 1
    os.unlink(options.file)
    lacking = ' (not supported: %s)' % ', '.join(sorted(tester.unsupported)) if tester.unsupported else ''
    print('same%s' % lacking)
    return 0


sys.exit(main())
