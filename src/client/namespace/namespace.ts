/** The namespace as a client changes it: one function an operation, as in metadata/operations. */
export { create, createNow, tmpfile, type Created } from './create.js';
export type { By, XattrValue } from './credentials.js';
export { link } from './link.js';
export { list } from './list.js';
export { mkdir } from './mkdir.js';
export { mknod } from './mknod.js';
export { rename } from './rename.js';
export { rmdir } from './rmdir.js';
export { setattr } from './setattr.js';
export { readlink, symlink } from './symlink.js';
export { unlink } from './unlink.js';
export { askXattr, listXattrs, removeXattr, setXattr } from './xattrs.js';
