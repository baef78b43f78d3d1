"""Makes, renames, lists and removes the same few names again and again, as others do:   fighting.py DIRECTORY SEED ROUNDS"""
import os
import random
import shutil
import sys

os.chdir(sys.argv[1])
rng = random.Random(int(sys.argv[2]))
NAMES = ['n%d' % number for number in range(6)]


def write(path):
    with open(path, 'w') as file:
        file.write('x')


def read(path):
    with open(path) as file:
        return file.read()


def remove(path):
    if os.path.isdir(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        os.unlink(path)


done = 0
for _ in range(int(sys.argv[3])):
    a, b = rng.choice(NAMES), rng.choice(NAMES)
    for step in (lambda: os.mkdir(a), lambda: write(f'{a}/{b}'), lambda: os.rename(a, b), os.listdir,
                 lambda: os.listdir(b), lambda: remove(a), lambda: write(b), lambda: read(a)):
        try:
            step()
            done += 1
        except OSError:
            # Another one was quicker.
            pass
print(done)
