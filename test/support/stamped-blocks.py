"""Files of 4 KiB blocks that say themselves what they are, overwritten at random and read all the time.

stamped-blocks.py write DIRECTORY STATE STOP SEED - writes until the file STOP is there, then notes in STATE what each
                                                    block of each file is
stamped-blocks.py read DIRECTORY STOP             - keeps each file open and reads it: blocks are whole, in their place,
                                                    and never older than they were before
stamped-blocks.py check DIRECTORY STATE           - everything is what was written last
"""
import json
import os
import random
import struct
import sys
import time

BLOCK = 4096
STAMP = struct.Struct('<QQ')
FILES = 4
BLOCKS = 192
BURST = 48


def block_of(index, generation):
    return STAMP.pack(index, generation) * (BLOCK // STAMP.size)


def path_of(directory, number):
    return os.path.join(directory, 'file%d' % number)


def write(directory, state, stop, seed):
    rnd = random.Random(int(seed))
    generations = [[1] * BLOCKS for _ in range(FILES)]
    generation = 1
    files = []
    for number in range(FILES):
        file = os.open(path_of(directory, number), os.O_RDWR | os.O_CREAT, 0o644)
        os.pwrite(file, b''.join(block_of(index, 1) for index in range(BLOCKS)), 0)
        os.fsync(file)
        files.append(file)
    print('ready', flush=True)
    turn = 0
    while not os.path.exists(stop):
        # The others are left alone meanwhile, and made whole.
        number = turn % FILES
        turn += 1
        for _ in range(BURST):
            generation += 1
            index = rnd.randrange(BLOCKS)
            os.pwrite(files[number], block_of(index, generation), index * BLOCK)
            os.fdatasync(files[number])
            generations[number][index] = generation
        # What is large and short-lived leaves segments that are mostly dead.
        passing = os.path.join(directory, 'passing')
        with open(passing, 'wb') as file:
            file.write(os.urandom(1 << 20))
        os.unlink(passing)
    for file in files:
        os.close(file)
    with open(state, 'w') as file:
        json.dump(generations, file)
    print(generation)


def generations_in(data):
    for index in range(BLOCKS):
        block = data[index * BLOCK:(index + 1) * BLOCK]
        if len(block) != BLOCK:
            sys.exit('block %d has %d bytes' % (index, len(block)))
        found, generation = STAMP.unpack_from(block)
        if found != index or block != block_of(index, generation):
            sys.exit('block %d is torn or another one: %r' % (index, block[:32]))
        yield generation


def read(directory, stop):
    files = [os.open(path_of(directory, number), os.O_RDONLY) for number in range(FILES)]
    seen = [[0] * BLOCKS for _ in range(FILES)]
    rounds = 0
    while not os.path.exists(stop):
        for number, file in enumerate(files):
            for index, generation in enumerate(generations_in(os.pread(file, BLOCKS * BLOCK, 0))):
                if generation < seen[number][index]:
                    sys.exit('block %d of file %d went back' % (index, number))
                seen[number][index] = generation
        rounds += 1
        time.sleep(0.02)
    print(rounds)


def check(directory, state):
    with open(state) as file:
        wanted = json.load(file)
    for number in range(FILES):
        with open(path_of(directory, number), 'rb') as file:
            if list(generations_in(file.read())) != wanted[number]:
                sys.exit('file %d is not what was written last' % number)


{'write': write, 'read': read, 'check': check}[sys.argv[1]](*sys.argv[2:])
