"""How long a program that does nothing but work on a mount waits for it.

pauses.py DIRECTORY: writes, reads and looks until a line comes, then says the longest step in ms.
"""
import os
import sys
import threading
import time

directory = sys.argv[1]
is_over = threading.Event()
threading.Thread(target=lambda: (sys.stdin.readline(), is_over.set()), daemon=True).start()
path = os.path.join(directory, 'pauses')
file = os.open(path, os.O_RDWR | os.O_CREAT)
steps = 0
longest = 0
print('ready', flush=True)
while not is_over.is_set():
    start = time.monotonic()
    os.pwrite(file, b'%016d' % steps, 16 * (steps % 256))
    assert os.pread(file, 16, 16 * (steps % 256)) == b'%016d' % steps
    os.stat(path)
    steps += 1
    longest = max(longest, time.monotonic() - start)
print('%d steps, the longest took %.1f ms' % (steps, 1000 * longest), flush=True)
