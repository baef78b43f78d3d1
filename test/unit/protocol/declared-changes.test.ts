/** What a request changes is declared with its command; nobody looks into its fields for it. */
import t from 'tap';
import { blocks, clone, fallocate, put } from '../../../src/protocol/content-commands.js';
import {
  link,
  mkdir,
  mknod,
  removexattr,
  rename,
  setattr,
  setxattr,
  unlink,
} from '../../../src/protocol/namespace-commands.js';
import { batch } from '../../../src/protocol/session-commands.js';
import { attributesOf } from '../../support/attributes-of.js';

const NAME = Buffer.from('name');
const TIME = { sec: 1, nsec: 0 };
const OWNER = { uid: 0, gid: 0 };
const FILE = 10;
const attributes = attributesOf({ inode: FILE });

t.test('extended attributes are changes of their inode, not of names', async t => {
  const xattr = { inode: FILE, name: NAME };
  t.same(setxattr.changes({ ...xattr, value: NAME, flags: 0 }, undefined), { inodes: [FILE] });
  t.same(removexattr.changes(xattr, undefined), { inodes: [FILE] });
});

t.test('what makes an inode changes the directory and the inode', async t => {
  const request = { parent: 1, name: NAME, mode: 0o755, ...OWNER };
  t.same(mkdir.changes(request, { attributes }), { names: [1], inodes: [FILE] });
  t.same(
    mkdir.changes({ ...request, number: FILE }, undefined),
    { names: [1], inodes: [FILE] },
    'in a batch',
  );
  const node = { ...request, rdev: 0, open: false, exclusive: false };
  t.same(mknod.changes(node, { attributes, created: true }), { names: [1], inodes: [FILE] });
  t.same(mknod.changes(node, { attributes, created: false }), {}, 'one that was there is opened only');
  const grants = { count: 0, goal: 1, maxBytes: 1, exclude: [] };
  const granted = { grants: [], readGrants: new Uint8Array(), nodes: [] };
  const made = { attributes, created: true, ...granted };
  t.same(put.changes({ ...request, exclusive: true, ...grants }, made), { names: [1], inodes: [FILE] });
  t.same(put.changes({ ...request, exclusive: true, ...grants }, { ...made, created: false }), {});
});

t.test('what moves names changes the directories, and the links of inodes', async t => {
  const dentry = { parent: 1, name: NAME };
  t.same(link.changes({ ...dentry, inode: FILE }, undefined), { names: [1], inodes: [FILE] });
  t.same(unlink.changes(dentry, { inode: FILE, nlink: 0 }), { names: [1], inodes: [FILE] });
  const move = { ...dentry, newParent: 2, newName: NAME, flags: 0 };
  t.same(rename.changes(move, { inode: FILE, replaced: 11 }), { names: [1, 2], inodes: [FILE, 11] });
  const within = { ...move, newParent: 1 };
  t.same(rename.changes(within, { inode: FILE, replaced: 0 }), { names: [1], inodes: [FILE] });
});

t.test('what changes bytes or the size changes content', async t => {
  const commit = { inode: FILE, extents: [], chunks: [], size: 0, mtime: TIME, durable: false };
  t.same(blocks.changes(commit, undefined), { content: [FILE] });
  const range = { offset: 0, length: 1 };
  const wanted = { inode: FILE, ...range, zero: true, keepSize: true };
  t.same(fallocate.changes(wanted, undefined), { content: [FILE] });
  const copy = { source: 9, ...range, target: FILE, targetOffset: 0 };
  t.same(clone.changes(copy, undefined), { content: [FILE] }, 'of the target alone');
  t.same(setattr.changes({ inode: FILE, size: 0 }, undefined), { content: [FILE] });
  t.same(setattr.changes({ inode: FILE, mode: 0 }, undefined), { inodes: [FILE] });
});

t.test('a batch changes what its requests change', async t => {
  const at = TIME;
  const changes = [
    { command: mkdir.number, request: { parent: 1, name: NAME, mode: 0, ...OWNER, number: 12 }, at },
    { command: unlink.number, request: { parent: 1, name: NAME }, at },
    { command: setattr.number, request: { inode: 12, mode: 0 }, at },
    { command: blocks.number, request: { inode: FILE }, at },
  ];
  const changed = batch.changes({ changes, reserve: 0 }, undefined);
  t.same(changed, { names: [1], inodes: [12], content: [FILE] });
});
