"""What the cases need that look at one file by way of two mounts."""
import mmap
import os
from harness import Report, Skip

PAGE = 4096
PROMISE = 'README, "What it promises"'


def there(path):
    """The same file by way of the second mount."""
    if not Report.second:
        raise Skip('this needs a second mount')
    return os.path.join(Report.second, path)


def both(flags=os.O_RDWR, path='f'):
    """A file that both mounts have open."""
    return os.open(path, flags | os.O_CREAT, 0o644), os.open(there(path), flags)


def turns(a, b, count):
    """(number, the descriptor that acts, the one that looks), each way in turn."""
    return ((number, *((a, b) if number % 2 == 0 else (b, a))) for number in range(count))


def page(byte, count=1):
    return bytes([byte]) * (PAGE * count)


def aligned(data):
    """Memory that O_DIRECT takes."""
    memory = mmap.mmap(-1, len(data))
    memory[:] = data
    return memory


def read_direct(path, length):
    fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    memory = mmap.mmap(-1, length)
    got = os.readv(fd, [memory])
    os.close(fd)
    return memory[:got]
