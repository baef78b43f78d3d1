"""O_DIRECT beside read(2): one process writes blocks of a file past the kernel's pages, four read them by way of those.

Each block holds the number of the write that was done last. A reader notes which one was completed before it reads, and must
find it, or a later one.
"""
import ctypes
import mmap
import os
import struct
import time
from harness import *
from syscalls import called, libc

IO_SETUP, IO_GETEVENTS, IO_SUBMIT = 206, 208, 209
IOCB_CMD_PWRITE = 1
BLOCK, BLOCKS, READERS, DEPTH = 4096, 64, 4, 8


class Iocb(ctypes.Structure):
    """struct iocb of <linux/aio_abi.h>"""
    _fields_ = [('data', ctypes.c_uint64), ('key', ctypes.c_uint32), ('rw_flags', ctypes.c_uint32),
                ('opcode', ctypes.c_uint16), ('reqprio', ctypes.c_int16), ('fd', ctypes.c_uint32),
                ('buf', ctypes.c_uint64), ('nbytes', ctypes.c_uint64), ('offset', ctypes.c_int64),
                ('reserved', ctypes.c_uint64), ('flags', ctypes.c_uint32), ('resfd', ctypes.c_uint32)]


class Event(ctypes.Structure):
    """struct io_event"""
    _fields_ = [('data', ctypes.c_uint64), ('obj', ctypes.c_uint64), ('res', ctypes.c_int64), ('res2', ctypes.c_int64)]


def completes(completed, number):
    struct.pack_into('Q', completed, number % BLOCKS * 8, number)


def submit(fd, completed, until):
    """Keeps DEPTH writes under way by io_submit(2), each of a block of its own."""
    context = ctypes.c_ulong(0)
    called(libc.syscall(IO_SETUP, DEPTH, ctypes.byref(context)))
    buffers = [mmap.mmap(-1, BLOCK) for _ in range(DEPTH)]
    addresses = [ctypes.addressof(ctypes.c_char.from_buffer(each)) for each in buffers]
    events = (Event * DEPTH)()
    number = 0
    while time.monotonic() < until:
        requests = []
        for buffer, address in zip(buffers, addresses):
            number += 1
            buffer[:] = struct.pack('Q', number) * (BLOCK // 8)
            requests.append(Iocb(data=number, opcode=IOCB_CMD_PWRITE, fd=fd, buf=address, nbytes=BLOCK, offset=number % BLOCKS * BLOCK))
        pointers = (ctypes.POINTER(Iocb) * DEPTH)(*[ctypes.pointer(each) for each in requests])
        called(libc.syscall(IO_SUBMIT, context, DEPTH, pointers))
        left = DEPTH
        while left > 0:
            got = called(libc.syscall(IO_GETEVENTS, context, 1, DEPTH, events, None))
            for event in events[:got]:
                equal(event.res, BLOCK)
                completes(completed, event.data)
            left -= got


def pwrite(fd, completed, until):
    """One write after the other, by pwrite(2)."""
    buffer = mmap.mmap(-1, BLOCK)
    number = 0
    while time.monotonic() < until:
        number += 1
        buffer[:] = struct.pack('Q', number) * (BLOCK // 8)
        os.pwrite(fd, buffer, number % BLOCKS * BLOCK)
        completes(completed, number)


def read(fd, completed, until, seed):
    """How many blocks were read, and how many of them were older than what had been completed before."""
    reads = stale = 0
    block = seed
    while time.monotonic() < until:
        block = (block * 5 + 1) % BLOCKS
        wanted, = struct.unpack_from('Q', completed, block * 8)
        found, = struct.unpack_from('Q', os.pread(fd, BLOCK, block * BLOCK))
        reads += 1
        stale += found < wanted
    return reads, stale


def read_while(write, seconds):
    create('f', bytes(BLOCK * BLOCKS))
    fd, direct = os.open('f', os.O_RDONLY), os.open('f', os.O_WRONLY | os.O_DIRECT)
    completed = mmap.mmap(-1, BLOCKS * 8)
    until = time.monotonic() + seconds
    writer = os.fork()
    if writer == 0:
        write(direct, completed, until)
        os._exit(len(Report.failures))
    said = mmap.mmap(-1, READERS * 16)
    readers = []
    for reader in range(READERS):
        readers.append(os.fork())
        if readers[-1] == 0:
            struct.pack_into('QQ', said, reader * 16, *read(fd, completed, until, reader))
            os._exit(0)
    equal([os.waitpid(child, 0)[1] for child in (writer, *readers)], [0] * (READERS + 1), 'processes failed')
    answers = struct.unpack('QQ' * READERS, said)
    check(sum(answers[::2]) > 0, 'nothing was read')
    equal(sum(answers[1::2]), 0, 'stale of %d reads' % sum(answers[::2]))


@case('read(2) finds what an O_DIRECT write of io_submit(2) wrote, from its completion on', 'POSIX write(): "Any successful read() from each byte position"; io_submit(2)')
def _():
    if os.uname().machine != 'x86_64':
        raise Skip('the numbers of its system calls are those of x86_64')
    read_while(submit, 4)


@case('read(2) finds what an O_DIRECT pwrite(2) wrote, from its return on', 'POSIX write(): "Any successful read() from each byte position"')
def _():
    read_while(pwrite, 2)
