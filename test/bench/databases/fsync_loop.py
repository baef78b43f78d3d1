"""fsync_loop.py [--seconds N] DIRECTORY

Writes blocks of 4 KiB, each stored by fsync before the next, by one process and by six, each with a file of its own:

  fsync-append-*      at the end of a file that grows, as logs do
  fsync-overwrite-*   one after the other over a file that is there, as databases do that reuse the files of their logs

Prints lines `NAME VALUE UNIT # p50=… p99=…`; a line `FAIL …` and exit code 1 when something reads back otherwise than it was written,
after the caches were dropped and the shell command $REMOUNT mounted the file system anew.
"""
import argparse
import os
import struct

from processes import check, make_cold, measure

BLOCK_BYTES = 4096
FILE_BLOCKS = 4096
PROCESSES = (1, 6)
HEAD = struct.Struct('<IIQ')


def block(kind, index, number):
    """No two are the same."""
    return HEAD.pack(kind, index, number) * (BLOCK_BYTES // HEAD.size)


APPEND, OVERWRITE, ORIGINAL = range(3)


def append(directory, processes):
    paths = [f'{directory}/append-{processes}-{index}' for index in range(processes)]

    def prepare(index):
        file = os.open(paths[index], os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)

        def operate(number):
            check(os.write(file, block(APPEND, index, number)) == BLOCK_BYTES, f'write to {paths[index]}')
            os.fsync(file)
        return operate

    def expected(index, count):
        return (block(APPEND, index, number) for number in range(count))
    return paths, prepare, expected


def overwrite(directory, processes):
    paths = [f'{directory}/overwrite-{processes}-{index}' for index in range(processes)]
    for index, path in enumerate(paths):
        with open(path, 'xb') as file:
            for number in range(FILE_BLOCKS):
                file.write(block(ORIGINAL, index, number))
            file.flush()
            os.fsync(file)

    def prepare(index):
        file = os.open(paths[index], os.O_WRONLY)

        def operate(number):
            at = number % FILE_BLOCKS * BLOCK_BYTES
            check(os.pwrite(file, block(OVERWRITE, index, number), at) == BLOCK_BYTES, f'write to {paths[index]}')
            os.fsync(file)
        return operate

    def expected(index, count):
        for place in range(FILE_BLOCKS):
            if place < count:
                last = (count - 1 - place) // FILE_BLOCKS * FILE_BLOCKS + place
                yield block(OVERWRITE, index, last)
            else:
                yield block(ORIGINAL, index, place)
    return paths, prepare, expected


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--seconds', type=float, default=4)
    parser.add_argument('directory')
    options = parser.parse_args()
    to_check = []
    for name, kind in (('append', append), ('overwrite', overwrite)):
        for processes in PROCESSES:
            paths, prepare, expected = kind(options.directory, processes)
            os.sync()
            counts = measure(f'fsync-{name}-{processes}p', 'ops/s', processes, options.seconds, prepare)
            to_check += [(path, expected(index, counts[index])) for index, path in enumerate(paths)]
    make_cold()
    for path, blocks in to_check:
        with open(path, 'rb') as file:
            for number, wanted in enumerate(blocks):
                check(file.read(BLOCK_BYTES) == wanted, f'{path} is not what was written, at {number * BLOCK_BYTES}')
            check(file.read(1) == b'', f'{path} is longer than what was written')


if __name__ == '__main__':
    main()
