/** What a mount by fuse-native 2.2.6 cannot do that a local file system can. The README has the same list. */
export const NATIVE_LIMITATIONS: readonly string[] = [
  'new files belong to the user who runs the mount, whoever creates them, since the caller is not told',
  'times are kept in milliseconds, and none before 1970 is shown',
  'setting one of the two times of a file alone changes nothing (`touch -m`, `tar -x`), since only both together are passed on',
  'names that are not UTF-8 are left out of listings and cannot be opened',
  'files have no capabilities (setcap)',
  'inode numbers are shown with 32 bits',
  'a file that is deleted while open stays in its directory as `.fuse_hidden…` until it is closed',
  'no fallocate, no SEEK_HOLE and SEEK_DATA, no RENAME_NOREPLACE and RENAME_EXCHANGE, no POSIX ACLs',
  'no locks between mounts, and no kernel caches of names and attributes, since nothing could take them back',
  'requests carry at most 128 KiB',
];
