"""A program that has all sorts of things open on a mount while the process that serves it is replaced.

steadfast.py DIRECTORY: says `ready`, waits for a line, and says how what it has open does, as JSON.
"""
import fcntl
import json
import mmap
import os
import sys

directory = sys.argv[1]
many = os.path.join(directory, 'many')
os.mkdir(many)
for number in range(3000):
    os.mknod(os.path.join(many, 'a-name-that-fills-the-buffer-%06d' % number))

written = os.open(os.path.join(directory, 'written'), os.O_RDWR | os.O_CREAT)
os.write(written, b'before ')
appended = os.open(os.path.join(directory, 'appended'), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
os.write(appended, b'before ')
locked = open(os.path.join(directory, 'locked'), 'w+')
fcntl.lockf(locked, fcntl.LOCK_EX)
flocked = open(os.path.join(directory, 'flocked'), 'w+')
fcntl.flock(flocked, fcntl.LOCK_EX)
nameless = os.open(os.path.join(directory, 'nameless'), os.O_RDWR | os.O_CREAT)
os.write(nameless, b'still here')
os.unlink(os.path.join(directory, 'nameless'))
os.mkdir(os.path.join(directory, 'gone'))
gone = os.open(os.path.join(directory, 'gone'), os.O_RDONLY)
os.rmdir(os.path.join(directory, 'gone'))
mapped = os.open(os.path.join(directory, 'mapped'), os.O_RDWR | os.O_CREAT)
os.ftruncate(mapped, 8192)
memory = mmap.mmap(mapped, 8192)
memory[0:6] = b'before'
listing = os.scandir(many)
names = [next(listing).name for _ in range(10)]
os.chdir(many)
print('ready', flush=True)

sys.stdin.readline()
os.write(written, b'after')
os.fsync(written)
os.write(appended, b'after')
os.close(appended)
memory[4096:4101] = b'after'
memory.flush()
os.pwrite(nameless, b'HERE', 6)
links = os.fstat(gone).st_nlink
names += [entry.name for entry in listing]
told = {
    'written': os.pread(written, 100, 0).decode(),
    'nameless': os.pread(nameless, 100, 0).decode() + ' links=%d' % os.fstat(nameless).st_nlink,
    'gone': 'links=%d' % links,
    'mapped': (os.pread(mapped, 6, 0) + b' ' + os.pread(mapped, 5, 4096)).decode(),
    'names': len(names),
    'distinct': len(set(names)),
    'here': len(os.listdir('.')),
}
print(json.dumps(told), flush=True)
sys.stdin.readline()
