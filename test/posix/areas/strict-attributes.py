"""Sizes, times, modes, holes and listings are the same on every mount when `write` has returned."""
import os
import subprocess
import time
from harness import *
from two_mounts import *


@case('size and mtime move on every mount when write returns, and not once more at close', PROMISE)
def _():
    a, b = both()
    last = 0
    for number, writer, reader in turns(a, b, 20):
        before = os.fstat(reader).st_mtime_ns
        time.sleep(0.012)
        os.pwrite(writer, b'x' * 100, number * 100)
        seen = [os.fstat(reader), os.stat(there('f')), os.stat('f'), os.fstat(writer)]
        equal([each.st_size for each in seen], [(number + 1) * 100] * 4, 'size')
        equal(len({each.st_mtime_ns for each in seen}), 1, 'mtimes')
        check(seen[0].st_mtime_ns > before, 'mtime moved with write %d' % number)
        last = seen[0].st_mtime_ns
    time.sleep(0.05)
    os.close(a)
    os.close(b)
    equal([os.stat(path).st_mtime_ns for path in ('f', there('f'))], [last, last], 'mtime after close')


@case('SEEK_END is the end that the other mount has written', 'lseek(2)')
def _():
    a, b = both()
    for number, writer, looker in turns(a, b, 20):
        os.pwrite(writer, b'x' * 10, number * 10)
        equal(os.lseek(looker, 0, os.SEEK_END), (number + 1) * 10)


@case('fsync by a mount that has only read succeeds, and everybody has the bytes', 'fsync(2)')
def _():
    a, b = both()
    for number, writer, other in turns(a, b, 6):
        os.pwrite(writer, page(number), 0)
        os.fsync(other)
        equal([os.pread(fd, PAGE, 0) == page(number) for fd in (a, b)], [True, True], 'round %d' % number)


@case('a mode that one mount sets between two writes of the other stays, and so do the bytes', 'chmod(2)')
def _():
    a, b = both()
    for mode in (0o600, 0o640, 0o666):
        os.pwrite(a, b'%o before' % mode, 0)
        os.chmod(there('f'), mode)
        os.pwrite(a, b'%o after_' % mode, 0)
        equal([mode_of('f'), mode_of(there('f'))], [mode] * 2)
        equal([os.pread(fd, 100, 0) for fd in (a, b)], [b'%o after_' % mode] * 2)


@case('a listing that the other mount changes meanwhile has each name that stays exactly once', 'readdir(3); ceph: directory recalled in mid-listing')
def _():
    stay = {'stay%04d' % number for number in range(1500)}
    os.mkdir('many')
    for name in stay:
        create('many/' + name)
    for end, (lister, changer) in enumerate((('many', there('many')), (there('many'), 'many'))):
        seen, changed = [], 0
        with os.scandir(lister) as entries:
            for entry in entries:
                seen.append(entry.name)
                if len(seen) % 100 == 0:
                    create('%s/new%d-%d' % (changer, end, changed))
                    if changed:
                        os.unlink('%s/new%d-%d' % (changer, end, changed - 1))
                    changed += 1
        equal(len(seen), len(set(seen)), 'names are listed once')
        equal(stay - set(seen), set(), 'names that stayed are missing')


@case('a listing with attributes shows the size of a file that the other mount is writing', PROMISE)
def _():
    a = os.open('f', os.O_CREAT | os.O_WRONLY, 0o644)
    for number in range(10):
        os.write(a, bytes(1000))
        sizes = {entry.name: entry.stat().st_size for entry in os.scandir(there('.'))}
        equal(sizes, {'f': (number + 1) * 1000})


@case('a time that one mount sets stays, though the other had written before and closes later', 'ceph: mtime set by utimes undone by a flush')
def _():
    for set_it in (os.path.join('.', 'f'), there('f')):
        a = os.open('f', os.O_CREAT | os.O_WRONLY, 0o644)
        os.write(a, b'x' * 5000)
        os.utime(set_it, ns=(10**18, 10**18))
        os.close(a)
        time.sleep(0.6)
        equal([os.stat(path).st_mtime_ns for path in ('f', there('f'))], [10**18] * 2)


@case('setuid that is given back after a write stays when the written bytes are stored', 'chmod(2), write(2)')
def _():
    a = os.open('f', os.O_CREAT | os.O_WRONLY, 0o755)
    os.write(a, b'x' * 5000)
    os.chmod(there('f'), 0o4755)
    os.close(a)
    time.sleep(0.6)
    equal([mode_of('f'), mode_of(there('f'))], [0o4755] * 2)


@case('SEEK_DATA and SEEK_HOLE find what the other mount has written', PROMISE)
def _():
    a, b = both()
    os.ftruncate(a, 64 << 20)
    expect('ENXIO', os.lseek, b, 0, os.SEEK_DATA)
    for number, writer, reader in turns(a, b, 6):
        place = (number + 1) << 20
        os.pwrite(writer, page(1), place)
        equal(os.lseek(reader, place - PAGE, os.SEEK_DATA), place)
        equal(os.lseek(reader, place, os.SEEK_HOLE), place + PAGE)
    equal(os.fstat(b).st_size, 64 << 20)


@case('cp and tar on one mount copy all that the other has just written, holes or not', 'coreutils: copied by SEEK_DATA and st_blocks')
def _():
    a, b = both()
    os.pwrite(a, page(7, 3), 1 << 20)
    os.pwrite(a, page(8, 3), 9 << 20)
    expected = content('f')
    for command in (['cp', '--sparse=auto', there('f'), 'copy'], ['cp', '--sparse=always', there('f'), 'copy'],
                    ['sh', '-c', 'cd "$1" && tar cSf - f | (cd "$0" && tar xf - --transform=s/f/copy/)', os.getcwd(), Report.second]):
        equal(subprocess.run(command, capture_output=True, timeout=30).returncode, 0)
        equal(content('copy') == expected, True, ' '.join(command[:2]))
        os.unlink('copy')
