/** The limitations of a mount by fuse-native 2.2.6 against a local file system. */
export interface NativeLimitation {
  /** For people; the README has the same. */
  readonly sentence: string;
  /** The rules of test/posix that do not hold because of it, in their words. All others hold, which a test checks. */
  readonly broken: readonly string[];
}

export const NATIVE_LIMITATIONS: readonly NativeLimitation[] = [
  {
    sentence:
      'new files belong to the user who runs the mount, whoever creates them, since the caller is not told',
    broken: [
      'the mode is what was asked for less the umask, the owner is the caller',
      'the type, mode, owner and times of a FIFO',
      'devices are for root: EPERM',
      'a character device 0/0 opens nothing, so that anybody may make it',
      'O_CREAT makes an empty regular file of the caller, mode less the umask',
      'a file in a set-group-ID directory has the group of the directory',
      'supplementary groups count as the group',
      "a symbolic link has the target's length as size, mode 777, and the caller as owner",
      'trusted attributes are for root, and unseen by others',
    ],
  },
  {
    sentence: 'times are kept in milliseconds, and none before 1970 is shown',
    broken: ['nanoseconds of every type are kept, before 1970 and after 2106'],
  },
  {
    sentence:
      'setting one of the two times of a file alone changes nothing (`touch -m`, `tar -x`), since only both together are passed on',
    broken: [
      'what is done by one name is seen by the other',
      'lchown and utimensat change the link itself',
      'UTIME_OMIT leaves one as it is, UTIME_NOW is the time of now, NULL is both',
      'the times are set, and ctime is of now; with both omitted nothing moves',
      'what was set is not moved by writing that was before, nor lost by closing',
    ],
  },
  {
    sentence: 'names that are not UTF-8 are left out of listings and cannot be opened',
    broken: [
      'names are bytes: what is not UTF-8 comes back as it was given',
      'symbolic links are bytes, too',
      'names are bytes',
    ],
  },
  {
    sentence: 'files have no capabilities (setcap)',
    broken: ['file capabilities are kept, and cleared by writing and chown'],
  },
  { sentence: 'inode numbers are shown with 32 bits', broken: [] },
  {
    sentence:
      'each name of a file is a file of its own to the kernel, so that two links of a FIFO do not meet, and a FIFO or directory that is removed while open can be asked for nothing',
    broken: [
      'what one process writes, another one reads; by any link of it',
      'a FIFO that is removed while open goes on',
      'a directory that was removed while open is empty, and takes nothing in',
      'a directory replaces an empty one, and is ENOTEMPTY onto a full one',
    ],
  },
  {
    sentence:
      'a file that is deleted while open stays in its directory as `.fuse_hidden…` until it is closed; one that is renamed over while open is missing for a moment',
    broken: [
      'the new name is there at every moment while it is replaced',
      'who has it open keeps it: reads, writes, truncates, and sees no links',
    ],
  },
  {
    sentence:
      'no fallocate, no SEEK_HOLE and SEEK_DATA, no O_TMPFILE, no flags of renameat2 (NOREPLACE, EXCHANGE, WHITEOUT), no POSIX ACLs',
    broken: [
      'fallocate by who is not root clears them, too',
      'SEEK_DATA and SEEK_HOLE find data and holes, and ENXIO past the end',
      'fallocate grows the file, and with KEEP_SIZE does not; what is there stays',
      'PUNCH_HOLE makes zeros, keeps the size, and gives room back',
      'ZERO_RANGE makes zeros, and grows the file unless KEEP_SIZE',
      'O_TMPFILE gives a file without a name, which linkat can give one',
      'what was written to a file of O_TMPFILE fails nobody when it is closed',
      'O_TMPFILE | O_EXCL cannot be given a name; for reading alone is EINVAL; of a file is ENOTDIR',
      'RENAME_NOREPLACE is EEXIST for any new name that is there',
      'RENAME_EXCHANGE swaps any two types, atomically',
      'RENAME_WHITEOUT leaves a device 0/0 at the old place, with its own owner, whoever renames',
      'RENAME_WHITEOUT does not go with RENAME_EXCHANGE, and does nothing to two names of one file',
      'RENAME_EXCHANGE needs both, keeps out of its own tree, moves times, and leaves dot-dot right',
    ],
  },
  {
    sentence:
      'no locks between mounts, and no kernel caches of names and attributes, since nothing could take them back',
    broken: [],
  },
  { sentence: 'requests carry at most 128 KiB', broken: [] },
];
