"""listed_while_changed.py MOUNT OTHER NAMES

The first mount makes a directory with so many names and has it to itself; the second lists it, and the first goes on changing names in it
meanwhile. Whatever was there all the time is listed once; nothing is listed twice.
"""
import collections
import os
import sys

NAMES_OF_ONE = 10_000
#: The holder changes something whenever so many more are listed.
EVERY = 2000


def main():
    mount, other, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    own = f'{mount}/large'
    os.mkdir(own)
    for number in range(count):
        # Names of a few files, which cost less than as many files.
        if number % NAMES_OF_ONE == 0:
            file = f'{own}/f{number}'
            os.close(os.open(file, os.O_CREAT | os.O_WRONLY))
        else:
            os.link(file, f'{own}/f{number}')
    seen = collections.Counter()
    removed = set()
    with os.scandir(f'{other}/large') as entries:
        for number, entry in enumerate(entries):
            seen[entry.name] += 1
            if number % EVERY:
                continue
            victim = count - 1 - number // EVERY
            os.unlink(f'{own}/f{victim}')
            removed.add(f'f{victim}')
            os.mkdir(f'{own}/a-new-{number}')
            os.mkdir(f'{own}/z-new-{number}')
    twice = [name for name, times in seen.items() if times > 1]
    missing = [f'f{number}' for number in range(count) if not seen[f'f{number}'] and f'f{number}' not in removed]
    if twice or missing:
        sys.exit(f'listed twice: {twice[:5]} ({len(twice)}), missing: {missing[:5]} ({len(missing)})')
    print(f'{len(seen)} names, {len(removed)} removed meanwhile')


main()
