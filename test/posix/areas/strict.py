"""`write` returned: every mount sees it, though nobody has closed or synced anything."""
import mmap
import os
import random
from harness import *
from syscalls import KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE, fallocate
from two_mounts import *


# Reading

@case('what write returned for is read by the other mount through a descriptor that was open before', PROMISE)
def _():
    a, b = both()
    expected = b''
    for number, writer, reader in turns(a, b, 24):
        equal(os.pread(reader, 1 << 20, 0) == expected, True, 'before write %d' % number)
        data = os.urandom(random.choice([1, 100, PAGE, 5000]))
        os.pwrite(writer, data, len(expected))
        expected += data
        got = os.pread(reader, 1 << 20, 0)
        equal((len(got), got == expected), (len(expected), True), 'write %d' % number)


@case('what is overwritten in place is read by the other mount, whose page was in its cache', PROMISE)
def _():
    a, b = both()
    os.pwrite(a, page(0, 4), 0)
    model = bytearray(page(0, 4))
    for number, writer, reader in turns(a, b, 30):
        os.pread(reader, len(model), 0)
        place = random.randrange(len(model) - 8)
        model[place:place + 8] = data = os.urandom(8)
        os.pwrite(writer, data, place)
        equal(os.pread(reader, len(model), 0) == model, True, 'write %d' % number)
        equal(os.pread(writer, len(model), 0) == model, True, 'write %d, by the writer' % number)


@case('two mounts that write the two halves of one page both see both', PROMISE)
def _():
    a, b = both()
    os.pwrite(a, bytes(PAGE), 0)
    for number in range(16):
        ours, theirs = (os.urandom(PAGE // 2) for _ in range(2))
        os.pwrite(a, ours, 0)
        os.pwrite(b, theirs, PAGE // 2)
        for fd in (a, b):
            equal(os.pread(fd, PAGE, 0) == ours + theirs, True, 'round %d' % number)


@case('bytes are read through another name of the file, and by who opens it anew', PROMISE)
def _():
    a = os.open('f', os.O_CREAT | os.O_RDWR, 0o644)
    os.link('f', 'link')
    for number in range(10):
        os.write(a, b'%09d\n' % number)
        expected = b''.join(b'%09d\n' % each for each in range(number + 1))
        equal(content(there('link')), expected)
        equal(content(there('f')), expected)


@case('a file that is renamed into place before it is closed has its bytes on the other mount', PROMISE)
def _():
    for number in range(20):
        a = os.open('new', os.O_CREAT | os.O_WRONLY, 0o644)
        os.write(a, b'content %d' % number)
        os.rename('new', 'f')
        equal(content(there('f')), b'content %d' % number)
        os.close(a)


@case('bytes written to a file that the other mount has removed are seen by everybody who has it open', PROMISE)
def _():
    a, b = both()
    os.unlink(there('f'))
    for number, writer, reader in turns(a, b, 10):
        os.pwrite(writer, b'%d' % number, number)
        equal(os.pread(reader, 100, 0), b''.join(b'%d' % each for each in range(number + 1)))


@case('a reader of the end of a file that grows elsewhere never reads zeros', 'juicefs: stale size, zero-filled page at the end')
def _():
    a, b = both()
    expected = 0
    for number in range(40):
        length = random.choice([1, 13, 700, PAGE - 1, PAGE, 9000])
        os.pwrite(a, b'x' * length, expected)
        got = os.pread(b, 1 << 20, max(0, expected - 10))
        expected += length
        equal(got.count(b'x'), len(got), 'write %d: zeros' % number)
        equal(len(got), min(expected, length + 10), 'write %d' % number)


@case('buffered and direct reads and writes of two mounts see each other', PROMISE)
def _():
    a, b = both()
    model = bytearray(page(1, 16))
    os.pwrite(a, model, 0)
    direct = [os.open(path, os.O_RDWR | os.O_DIRECT) for path in ('f', there('f'))]
    for number in range(24):
        place, data = random.randrange(15) * PAGE, os.urandom(PAGE)
        who = number % 4
        if who < 2:
            os.pwrite((a, b)[who], data, place)
        else:
            os.pwritev(direct[who - 2], [aligned(data)], place)
        model[place:place + PAGE] = data
        for fd in (a, b):
            equal(os.pread(fd, len(model), 0) == model, True, 'write %d, buffered' % number)
        for path in ('f', there('f')):
            equal(read_direct(path, len(model)) == model, True, 'write %d, direct' % number)


# Appending

def append_records(path, number, count):
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
    for record in range(count):
        body = b'%d-%06d ' % (number, record) + bytes([65 + number]) * ((record * 37) % 1500)
        written = os.write(fd, body + b'\n')
        if written != len(body) + 1:
            fail('wrote %d of %d bytes' % (written, len(body) + 1))
    os.close(fd)


@case('four processes on two mounts append: nothing is lost or torn, and readers see whole records meanwhile', PROMISE)
def _():
    os.close(os.open('f', os.O_CREAT | os.O_WRONLY, 0o644))
    each = 120
    children = []
    for number in range(4):
        pid = os.fork()
        if pid == 0:
            append_records(('f', there('f'))[number % 2], number, each)
            os._exit(len(Report.failures))
        children.append(pid)
    seen = 0
    while children:
        for path in ('f', there('f')):
            got = content(path)
            check(len(got) >= seen, 'the file shrank from %d to %d bytes' % (seen, len(got)))
            check(b'\0' not in got, 'zeros')
            seen = len(got)
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid:
            children.remove(pid)
            equal(status, 0)
    for path in ('f', there('f')):
        lines = content(path).split(b'\n')[:-1]
        equal(len(lines), 4 * each)
        for number in range(4):
            ours = [line for line in lines if line.startswith(b'%d-' % number)]
            equal([line.split()[0] for line in ours], [b'%d-%06d' % (number, record) for record in range(each)], 'order')
            check(all(len(line) == 9 + (record * 37) % 1500 for record, line in enumerate(ours)), 'a torn record')


@case('each append goes to the end that the other mount has made', PROMISE)
def _():
    a, b = both(os.O_RDWR | os.O_APPEND)
    expected = b''
    for number, writer, reader in turns(a, b, 24):
        line = b'line %d of a log that two write\n' % number
        os.write(writer, line)
        expected += line
        equal(os.pread(reader, 1 << 16, 0), expected)


# Truncating and allocating

@case('a file that one mount truncates is short for the other, and what was written before never comes back', 'gluster: dirty pages after truncate')
def _():
    a, b = both()
    for number, writer, cutter in turns(a, b, 20):
        os.pwrite(writer, b'old' * 3000, 0)
        if number % 3 == 0:
            os.truncate(there('f') if cutter is b else 'f', 0)
        elif number % 3 == 1:
            os.ftruncate(cutter, 0)
        else:
            os.close(os.open(there('f') if cutter is b else 'f', os.O_WRONLY | os.O_TRUNC))
        for fd in (a, b):
            equal((os.fstat(fd).st_size, os.pread(fd, 100, 0)), (0, b''), 'round %d' % number)
        os.pwrite(writer, b'new', 5)
        for fd in (a, b):
            equal(os.pread(fd, 100, 0), b'\0\0\0\0\0new', 'round %d, written anew' % number)


@case('what is cut off and grown again reads as zeros on every mount', 'truncate(2)')
def _():
    a, b = both()
    for number, first, second in turns(a, b, 10):
        os.pwrite(first, b'y' * 10000, 0)
        os.pread(second, 10000, 0)
        os.ftruncate(second, 100)
        os.ftruncate(first, 10000)
        for fd in (a, b):
            equal(os.pread(fd, 10000, 0) == b'y' * 100 + bytes(9900), True, 'round %d' % number)


@case('fallocate, punched holes and zeroed ranges are seen by the other mount, over bytes just written', 'fallocate(2)')
def _():
    a, b = both()
    for number, first, second in turns(a, b, 8):
        os.ftruncate(first, 0)
        os.pwrite(first, page(9, 4), 0)
        os.pread(second, PAGE * 4, 0)
        fallocate(second, PUNCH_HOLE | KEEP_SIZE, PAGE, PAGE)
        equal(os.pread(first, PAGE * 4, 0) == page(9) + page(0) + page(9, 2), True, 'punched')
        fallocate(second, ZERO_RANGE, PAGE * 3, PAGE * 2)
        equal(os.pread(first, PAGE * 5, 0) == page(9) + page(0) + page(9) + page(0, 2), True, 'zeroed')
        fallocate(first, 0, 0, PAGE * 8)
        equal([os.fstat(fd).st_size for fd in (a, b)], [PAGE * 8] * 2, 'allocated')


# Copying


@case('a shared mapping of one mount is seen by the other after msync, and after munmap', 'mmap(2), msync(2)')
def _():
    a, b = both()
    model = bytearray(page(1, 8))
    os.pwrite(a, model, 0)
    for number, writer, reader in turns(a, b, 20):
        os.pread(reader, len(model), 0)
        mapped = mmap.mmap(writer, len(model))
        place = random.randrange(len(model) - 100)
        mapped[place:place + 100] = model[place:place + 100] = os.urandom(100)
        if number % 3:
            mapped.flush()
            equal(os.pread(reader, len(model), 0) == model, True, 'mapping %d, msync' % number)
        mapped.close()
        equal(os.pread(reader, len(model), 0) == model, True, 'mapping %d, munmap' % number)


@case('a mapping shows what the other mount has written since', 'mmap(2): MAP_SHARED')
def _():
    a, b = both()
    os.pwrite(a, page(1, 4), 0)
    mapped = mmap.mmap(b, PAGE * 4, prot=mmap.PROT_READ)
    for number in range(20):
        place = random.randrange(PAGE * 4 - 8)
        equal(mapped[place] is not None, True)
        os.pwrite(a, b'%08d' % number, place)
        equal(mapped[place:place + 8], b'%08d' % number, 'write %d' % number)
