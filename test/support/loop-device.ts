/** A file system of its own for a data directory, in a file beside it: one that can fail as a disk does. */
import { shell } from './programs.js';

/** Mounts a new ext4 of so many MiB at `directory`. */
export async function mountLoopDevice(directory: string, mebibytes: number): Promise<void> {
  const image = imageOf(directory);
  await shell(`truncate -s ${mebibytes}M ${image} && mkfs.ext4 -q -F ${image}`);
  await mount(directory);
}

/** From now on it is read-only: what ext4 does when it finds that its disk is not right (ext4(5), errors=remount-ro). */
export async function failFileSystem(directory: string): Promise<void> {
  await shell(`
    device=$(findmnt -no SOURCE --mountpoint ${directory})
    echo 'a test' > /sys/fs/ext4/$(basename $device)/trigger_fs_error`);
}

/** What somebody does who has looked at the disk. Nothing may have a file open there. */
export async function repairFileSystem(directory: string): Promise<void> {
  // 1: errors were corrected.
  await shell(`umount ${directory} && { e2fsck -fy ${imageOf(directory)} >/dev/null 2>&1 || test $? = 1; }`);
  await mount(directory);
}

async function mount(directory: string): Promise<void> {
  await shell(`mount -o loop,errors=remount-ro ${imageOf(directory)} ${directory}`);
}

function imageOf(directory: string): string {
  return `${directory}.img`;
}
