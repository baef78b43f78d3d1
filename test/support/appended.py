"""
One program on each mount appends records to a file, closing it after each, while one on each mount opens and reads it: a
record that was closed before the file was opened must be read.   appended.py MOUNT_A MOUNT_B RECORDS
"""
import mmap
import os
import struct
import sys

MOUNTS, RECORDS = sys.argv[1:3], int(sys.argv[3])
RECORD_BYTES = 100
# How many records each writer has closed.
closed = mmap.mmap(-1, mmap.PAGESIZE)


def closed_by(writer):
    return struct.unpack_from('<Q', closed, 8 * writer)[0]


def write(writer):
    path = f'{MOUNTS[writer]}/appended{writer}'
    for number in range(RECORDS):
        fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)
        os.write(fd, struct.pack('<Q', number).ljust(RECORD_BYTES))
        os.close(fd)
        struct.pack_into('<Q', closed, 8 * writer, number + 1)


def read(reader):
    """Returns what was wrong."""
    writer = 1 - reader
    path = f'{MOUNTS[reader]}/appended{writer}'
    while True:
        before = closed_by(writer)
        if before == 0:
            continue
        # In one call, so that the kernel asks for the size but once.
        fd = os.open(path, os.O_RDONLY)
        data = os.pread(fd, 2 * RECORD_BYTES * RECORDS, 0)
        os.close(fd)
        numbers = [struct.unpack_from('<Q', data, at)[0] for at in range(0, len(data), RECORD_BYTES)]
        if len(numbers) < before or numbers != list(range(len(numbers))):
            return f'{before} records were closed, {len(numbers)} read: {numbers[-3:]}'
        if before == RECORDS:
            return ''


def child(work, *arguments):
    pid = os.fork()
    if pid == 0:
        failure = work(*arguments)
        if failure:
            print(failure, flush=True)
        os._exit(1 if failure else 0)
    return pid


children = [child(work, which) for work in (write, read) for which in (0, 1)]
codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
print('ok' if codes == [0] * 4 else f'exit codes {codes}')
