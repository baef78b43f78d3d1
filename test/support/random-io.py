"""random-io.py FILE LOCAL SEED COUNT - does the same random things to two files and compares what they give.

Reads, writes, truncations, fsyncs and reopenings; prints "same" or where the first difference is.
"""
import os
import random
import sys

path, local, seed, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
LARGEST = 6 << 20
rnd = random.Random(seed)
flags = os.O_CREAT | os.O_RDWR | os.O_TRUNC
ours, theirs = os.open(path, flags, 0o644), os.open(local, flags, 0o644)


def fail(step, what):
    print('seed %d, step %d: %s' % (seed, step, what))
    sys.exit(1)


def compare(step, offset, length):
    a, b = os.pread(ours, length, offset), os.pread(theirs, length, offset)
    if a != b:
        at = next((i for i in range(min(len(a), len(b))) if a[i] != b[i]), min(len(a), len(b)))
        fail(step, 'the byte at %d differs (%d and %d bytes read)' % (offset + at, len(a), len(b)))


for step in range(count):
    choice = rnd.random()
    offset = rnd.randrange(LARGEST)
    length = rnd.choice([1, 100, 4096, rnd.randrange(1, 200000)])
    if choice < 0.45:
        data = rnd.randbytes(length)
        os.pwrite(ours, data, offset)
        os.pwrite(theirs, data, offset)
    elif choice < 0.80:
        compare(step, offset, length)
    elif choice < 0.85:
        size = rnd.randrange(LARGEST)
        os.ftruncate(ours, size)
        os.ftruncate(theirs, size)
    elif choice < 0.90:
        os.fsync(ours)
    elif choice < 0.95:
        os.close(ours)
        ours = os.open(path, os.O_RDWR)
    elif os.fstat(ours).st_size != os.fstat(theirs).st_size:
        fail(step, 'the sizes differ')
os.close(ours)
ours = os.open(path, os.O_RDWR)
compare(count, 0, LARGEST + 300000)
if os.stat(path).st_size != os.stat(local).st_size:
    fail(count, 'the sizes differ at the end')
print('same')
