/** The bits of st_mode (<sys/stat.h>). */
export const S_IFMT = 0o170000;
/** The type in st_mode is above so many bits. */
export const TYPE_SHIFT = 12;
export const S_IFSOCK = 0o140000;
export const S_IFLNK = 0o120000;
export const S_IFREG = 0o100000;
export const S_IFBLK = 0o060000;
export const S_IFDIR = 0o040000;
export const S_IFCHR = 0o020000;
export const S_IFIFO = 0o010000;
export const S_ISUID = 0o4000;
export const S_ISGID = 0o2000;
export const S_ISVTX = 0o1000;
export const S_IXGRP = 0o010;
/** Permissions with setuid, setgid and sticky. */
export const PERMISSION_BITS = 0o7777;

export const isDirectory = (mode: number): boolean => (mode & S_IFMT) === S_IFDIR;
export const isRegularFile = (mode: number): boolean => (mode & S_IFMT) === S_IFREG;
export const isSymlink = (mode: number): boolean => (mode & S_IFMT) === S_IFLNK;

/** The root directory's inode number. */
export const ROOT_INODE = 1;
