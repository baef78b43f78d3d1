import { ACCESS_ACL } from '../../../src/protocol/attribute-names.js';
import t from 'tap';
import { AclTag, encodeAcl } from '../../../src/rules/posix-acl.js';
import { clone } from '../../../src/metadata/operations/clone.js';
import { get, getfiles } from '../../../src/metadata/operations/get.js';
import { link } from '../../../src/metadata/operations/link.js';
import { list } from '../../../src/metadata/operations/list.js';
import { lookup } from '../../../src/metadata/operations/lookup.js';
import { mkdir } from '../../../src/metadata/operations/mkdir.js';
import { mknod } from '../../../src/metadata/operations/mknod.js';
import { open } from '../../../src/metadata/operations/open.js';
import { readdir } from '../../../src/metadata/operations/readdir.js';
import { rename } from '../../../src/metadata/operations/rename.js';
import { resolve } from '../../../src/metadata/operations/resolve.js';
import { rmdir } from '../../../src/metadata/operations/rmdir.js';
import { setattr } from '../../../src/metadata/operations/setattr.js';
import { symlink } from '../../../src/metadata/operations/symlink.js';
import { tmpfile } from '../../../src/metadata/operations/tmpfile.js';
import { unlink } from '../../../src/metadata/operations/unlink.js';
import { getxattr, listxattr, removexattr, setxattr } from '../../../src/metadata/operations/xattrs.js';
import { ROOT_INODE, S_IFCHR, S_IFREG, S_ISGID } from '../../../src/protocol/file-mode.js';
import type { Caller } from '../../../src/protocol/types.js';
import { refusal, startHarness, type TestClient } from './support/harness.js';

const OWNER: Caller = { uid: 1001, gid: 2001, groups: [] };
const MEMBER: Caller = { uid: 1002, gid: 2001, groups: [] };
const SUPPLEMENTARY: Caller = { uid: 1003, gid: 2003, groups: [5, 2001] };
const OTHER: Caller = { uid: 1004, gid: 2004, groups: [5] };
const ROOT: Caller = { uid: 0, gid: 0, groups: [] };
const CLASSES = { OWNER, MEMBER, SUPPLEMENTARY, OTHER, ROOT };
const NAME = Buffer.from('name');
const NEW_NAME = Buffer.from('new');
const VALUE = Buffer.from('value');
const OWNED = { uid: OWNER.uid, gid: OWNER.gid };

async function owned(client: TestClient, name: string, mode: number, parent = ROOT_INODE): Promise<number> {
  const bytes = Buffer.from(name);
  const { attributes } = await client.execute(mkdir, { parent, name: bytes, ...OWNED, mode });
  // The mode as it is meant, whatever a directory above gives.
  await client.execute(setattr, { inode: attributes.inode, mode });
  return attributes.inode;
}

async function ownedFile(client: TestClient, name: string, mode: number, parent: number): Promise<number> {
  const request = { parent, name: Buffer.from(name), ...OWNED, rdev: 0, open: false, exclusive: true };
  const { attributes } = await client.execute(mknod, { ...request, mode: S_IFREG | mode });
  return attributes.inode;
}

/** Each kind of access, how it is asked for, and the bit of the class that gives it (POSIX 4.7, File Access Permissions). */
t.test(
  'reading, writing and searching are given by the class that the caller is in, and by no other',
  async t => {
    const client = await (await startHarness(t)).client();
    const bitsOf = { OWNER: 6, MEMBER: 3, SUPPLEMENTARY: 3, OTHER: 0 };
    let directories = 0;
    for (const permissions of [0, 1, 2, 3, 4, 5, 6, 7]) {
      for (const [who, shift] of Object.entries(bitsOf)) {
        const caller = CLASSES[who as keyof typeof bitsOf];
        // Every class but the caller's has everything.
        const mode = (0o777 & ~(7 << shift)) | (permissions << shift);
        directories += 1;
        const directory = await owned(client, `d${directories}`, mode);
        const file = await ownedFile(client, 'name', mode, directory);
        const rule = `${who} with ${permissions} of mode ${mode.toString(8)}`;
        const may = (bits: number): string => ((permissions & bits) === bits ? 'OK' : 'EACCES');
        const common = { session: client.id, caller };
        const asks: [string, Promise<unknown>, string][] = [
          ['open to read', client.ask(open, { ...common, inode: file, access: 4 }), may(4)],
          ['open to write', client.ask(open, { ...common, inode: file, access: 2 }), may(2)],
          ['open to execute', client.ask(open, { ...common, inode: file, access: 1 }), may(1)],
          [
            'readdir',
            client.ask(readdir, { inode: directory, after: new Uint8Array(), limit: 9, caller }),
            may(4),
          ],
          ['lookup', client.ask(lookup, { parent: directory, name: NAME, caller }), may(1)],
          ['resolve', client.ask(resolve, { start: directory, names: [NAME], caller }), may(1)],
          ['truncate', client.execute(setattr, { inode: file, size: 0, caller }), may(2)],
          [
            'list',
            client.ask(list, { root: directory, after: [], limit: 9, recursive: true, caller }),
            may(5),
          ],
          [
            'mkdir',
            client.execute(mkdir, { parent: directory, name: NEW_NAME, ...OWNED, mode: 0o755, caller }),
            may(3),
          ],
        ];
        for (const [what, work, expected] of asks) t.equal(await refusal(work), expected, `${what}: ${rule}`);
      }
    }
  },
);

t.test('root, and a request of the client itself, may do everything', async t => {
  const client = await (await startHarness(t)).client();
  const directory = await owned(client, 'd', 0);
  await ownedFile(client, 'name', 0, directory);
  for (const by of [{ caller: ROOT }, {}]) {
    t.equal(await refusal(client.ask(lookup, { parent: directory, name: NAME, ...by })), 'OK');
    t.equal(
      await refusal(client.execute(mkdir, { parent: directory, name: NEW_NAME, ...OWNED, mode: 0, ...by })),
      'OK',
    );
    t.equal(await refusal(client.execute(rmdir, { parent: directory, name: NEW_NAME, ...by })), 'OK');
  }
});

/** Every way to make or to take away a name (EACCES of each POSIX page): writing and searching the directory. */
t.test('names are made and taken away by those who may write the directory', async t => {
  const client = await (await startHarness(t)).client();
  const open777 = await owned(client, 'open', 0o777);
  const closed = await owned(client, 'closed', 0o755);
  const file = await ownedFile(client, 'file', 0o644, closed);
  await ownedFile(client, 'mine', 0o644, open777);
  await owned(client, 'empty', 0o777, closed);
  const made = { parent: closed, name: NEW_NAME, ...OWNED };
  const asks: [string, (caller: Caller) => Promise<unknown>][] = [
    ['mkdir()', async caller => await client.execute(mkdir, { ...made, mode: 0o755, caller })],
    ['symlink()', async caller => await client.execute(symlink, { ...made, target: NAME, caller })],
    [
      'mkfifo(), open() with O_CREAT',
      async caller =>
        await client.execute(mknod, {
          ...made,
          mode: S_IFREG | 0o644,
          rdev: 0,
          open: false,
          exclusive: false,
          caller,
        }),
    ],
    [
      'link()',
      async caller => await client.execute(link, { parent: closed, name: NEW_NAME, inode: file, caller }),
    ],
    [
      'unlink()',
      async caller => await client.execute(unlink, { parent: closed, name: Buffer.from('file'), caller }),
    ],
    [
      'rmdir()',
      async caller => await client.execute(rmdir, { parent: closed, name: Buffer.from('empty'), caller }),
    ],
    [
      'rename() out of it',
      async caller =>
        await client.execute(rename, {
          parent: closed,
          name: Buffer.from('file'),
          newParent: open777,
          newName: NEW_NAME,
          flags: 0,
          caller,
        }),
    ],
    [
      'rename() into it',
      async caller =>
        await client.execute(rename, {
          parent: open777,
          name: Buffer.from('mine'),
          newParent: closed,
          newName: NEW_NAME,
          flags: 0,
          caller,
        }),
    ],
    [
      'open() with O_TMPFILE',
      async caller =>
        await client.execute(tmpfile, { parent: closed, ...OWNED, mode: 0o600, goal: 1, caller }),
    ],
  ];
  for (const [what, ask] of asks) t.equal(await refusal(ask(OTHER)), 'EACCES', what);
  const names = await client.ask(readdir, { inode: closed, after: new Uint8Array(), limit: 9 });
  t.same(
    names.entries.map(({ name }) => Buffer.from(name).toString()),
    ['empty', 'file'],
    'nothing has changed',
  );
  for (const [what, ask] of asks.slice(0, 1)) t.equal(await refusal(ask(OWNER)), 'OK', what);
});

/** unlink(), rmdir() and rename() [EPERM] or [EACCES] for S_ISVTX. */
t.test('in a sticky directory only its owner, the owner of the file and root take a name away', async t => {
  const client = await (await startHarness(t)).client();
  const sticky = await owned(client, 'tmp', 0o1777);
  const cases: [Caller, string][] = [
    [OTHER, 'EPERM'],
    [SUPPLEMENTARY, 'EPERM'],
    [OWNER, 'OK'],
    [ROOT, 'OK'],
  ];
  for (const [caller, expected] of cases) {
    await ownedFile(client, 'name', 0o666, sticky);
    const moved = { parent: sticky, name: NAME, newParent: sticky, newName: NEW_NAME, flags: 0, caller };
    t.equal(await refusal(client.execute(rename, moved)), expected, `rename by ${caller.uid}`);
    const name = expected === 'OK' ? NEW_NAME : NAME;
    t.equal(await refusal(client.execute(unlink, { parent: sticky, name, caller })), expected);
    if (expected !== 'OK') await client.execute(unlink, { parent: sticky, name });
  }
});

/** chmod(), chown(), utimensat(): EPERM; utimensat() with the time of now: EACCES. */
t.test(
  'mode, owner and times are changed by the owner; by others only times to now, if they may write',
  async t => {
    const client = await (await startHarness(t)).client();
    const directory = await owned(client, 'd', 0o777);
    const file = await ownedFile(client, 'f', 0o664, directory);
    const set = async (caller: Caller, changes: object): Promise<string> =>
      await refusal(client.execute(setattr, { inode: file, ...changes, caller }));
    const time = { sec: 1, nsec: 0 };
    for (const caller of [MEMBER, OTHER]) {
      t.equal(await set(caller, { mode: 0o777 }), 'EPERM', 'chmod');
      t.equal(await set(caller, { uid: caller.uid }), 'EPERM', 'chown to oneself');
      t.equal(await set(caller, { gid: caller.gid }), 'EPERM', 'chgrp');
      t.equal(await set(caller, { atime: time, mtime: time }), 'EPERM', 'a given time');
    }
    t.equal(await set(MEMBER, { atime: 'now', mtime: 'now' }), 'OK', 'now, by one who may write');
    t.equal(await set(OTHER, { atime: 'now', mtime: 'now' }), 'EACCES', 'now, by one who may not');
    t.equal(await set(OWNER, { uid: OTHER.uid }), 'EPERM', 'the owner gives nothing away');
    t.equal(await set(OWNER, { gid: 2003 }), 'EPERM', 'nor to a group that he is not in');
    t.equal(await set({ ...OWNER, groups: [2003] }, { gid: 2003 }), 'OK', 'but to one that he is in');
    t.equal(await set(OWNER, { uid: OWNER.uid, gid: OWNER.gid }), 'OK', 'chown to what it is');
    t.equal(await set(OWNER, { mode: 0o640, atime: time, mtime: time }), 'OK');
    t.equal(await set(ROOT, { uid: 1, gid: 1, mode: 0o600 }), 'OK');
  },
);

/** POSIX chmod(): S_ISGID is cleared when the group is none of the caller's. */
t.test('setgid is given only by a member of the group', async t => {
  const client = await (await startHarness(t)).client();
  const file = await ownedFile(client, 'f', 0o755, await owned(client, 'd', 0o777));
  await client.execute(setattr, { inode: file, gid: 2003 });
  await client.execute(setattr, { inode: file, mode: 0o2755, caller: OWNER });
  t.equal((await client.stat(file)).mode & S_ISGID, 0);
  await client.execute(setattr, { inode: file, mode: 0o2755, caller: { ...OWNER, groups: [2003] } });
  t.equal((await client.stat(file)).mode & S_ISGID, S_ISGID);
});

/** mknod() [EPERM]: "the invoking process does not have appropriate privileges and the file type is not FIFO-special". */
t.test('devices are made by root alone', async t => {
  const client = await (await startHarness(t)).client();
  const parent = await owned(client, 'd', 0o777);
  const device = {
    parent,
    name: NAME,
    ...OWNED,
    mode: S_IFCHR | 0o666,
    rdev: 259,
    open: false,
    exclusive: true,
  };
  t.equal(await refusal(client.execute(mknod, { ...device, caller: OWNER })), 'EPERM');
  t.equal(await refusal(client.execute(mknod, { ...device, caller: ROOT })), 'OK');
});

/** acl(5), "Access check algorithm". */
t.test('an ACL gives and takes as acl(5) has it', async t => {
  const client = await (await startHarness(t)).client();
  const file = await ownedFile(client, 'f', 0o640, await owned(client, 'd', 0o777));
  const NO_ID = 0xffff_ffff;
  const entries = [
    [AclTag.userObject, 6, NO_ID],
    [AclTag.user, 6, MEMBER.uid],
    [AclTag.groupObject, 0, NO_ID],
    [AclTag.group, 4, 5],
    [AclTag.mask, 4, NO_ID],
    [AclTag.other, 7, NO_ID],
  ] as const;
  const value = encodeAcl(entries.map(([tag, permissions, id]) => ({ tag, permissions, id })));
  await client.execute(setxattr, { inode: file, name: ACCESS_ACL, value, flags: 0, stripSetgid: false });
  const asks = async (caller: Caller, access: number): Promise<string> =>
    await refusal(client.ask(open, { inode: file, session: client.id, caller, access }));
  t.equal(await asks(OWNER, 6), 'OK', 'the owner, whom the mask does not concern');
  t.equal(await asks(MEMBER, 4), 'OK', 'a named user');
  t.equal(await asks(MEMBER, 2), 'EACCES', 'a named user, within the mask');
  t.equal(await asks({ ...MEMBER, uid: 9 }, 4), 'EACCES', 'the group, which has nothing');
  t.equal(await asks(OTHER, 4), 'OK', 'one of a named group');
  t.equal(await asks(OTHER, 2), 'EACCES', 'who is in a group that matches gets nothing from the others');
  t.equal(await asks({ uid: 9, gid: 9, groups: [] }, 7), 'OK', 'all others');
});

/** xattr(7), "Extended attribute namespaces". */
t.test('extended attributes are read and changed by those whom their namespace allows', async t => {
  const client = await (await startHarness(t)).client();
  const directory = await owned(client, 'd', 0o777);
  const file = await ownedFile(client, 'f', 0o640, directory);
  const [user, trusted, security] = ['user.x', 'trusted.x', 'security.x'].map(name => Buffer.from(name));
  if (!user || !trusted || !security) throw new Error('three names were made');
  const set = async (caller: Caller, name: Buffer, inode = file): Promise<string> =>
    await refusal(
      client.execute(setxattr, { inode, name, value: VALUE, flags: 0, stripSetgid: false, caller }),
    );
  const valueOf = async (caller: Caller, name: Buffer): Promise<string> =>
    await refusal(client.ask(getxattr, { inode: file, name, caller }));
  for (const name of [user, trusted, security]) t.equal(await set(ROOT, name), 'OK');
  t.equal(await set(OWNER, user), 'OK');
  t.equal(await set(MEMBER, user), 'EACCES');
  t.equal(await set(OWNER, trusted), 'EPERM');
  t.equal(await set(OWNER, security), 'EPERM');
  t.equal(await set(OTHER, ACCESS_ACL), 'EPERM');
  t.equal(await valueOf(MEMBER, user), 'OK');
  t.equal(await valueOf(OTHER, user), 'EACCES');
  t.equal(await valueOf(OWNER, trusted), 'ENODATA', 'they are not to be known of');
  t.equal(await valueOf(OTHER, security), 'OK');
  const { names } = await client.ask(listxattr, { inode: file, caller: OWNER });
  t.same(
    names.map(name => Buffer.from(name).toString()),
    ['security.x', 'user.x'],
  );
  t.equal(await refusal(client.execute(removexattr, { inode: file, name: user, caller: OTHER })), 'EACCES');
  const sticky = await owned(client, 'tmp', 0o1777);
  t.equal(await set(OTHER, user, sticky), 'EPERM', 'in a sticky directory they are the owner’s');
});

t.test(
  'where bytes are, and the grants to read them, is told to who may read the file or has it open',
  async t => {
    const harness = await startHarness(t);
    await harness.node('node-1');
    const client = await harness.client();
    const inode = await ownedFile(client, 'f', 0o640, ROOT_INODE);
    await client.write(inode, 0, 1000);
    const target = await ownedFile(client, 'target', 0o666, ROOT_INODE);
    const peer = { isClosed: false };
    harness.service.bind(peer, client.id, false, {
      revoke: async () => ({}),
      recall: async () => ({ kept: [] }),
    });
    const page = { inode, offset: 0, limit: 1 };
    const copy = { source: inode, offset: 0, length: 1000, target, targetOffset: 0 };
    for (const [who, caller] of Object.entries(CLASSES)) {
      const expected = who === 'OTHER' ? 'EACCES' : 'OK';
      t.equal(await refusal(client.ask(get, { ...page, caller }, peer)), expected, `get by ${who}`);
      const { files, readGrants } = await client.ask(getfiles, { inodes: [inode], caller }, peer);
      t.equal(files.length, who === 'OTHER' ? 0 : 1, `getfiles by ${who}`);
      t.equal(readGrants.length > 0, who !== 'OTHER');
      t.equal(await refusal(client.execute(clone, { ...copy, caller })), expected, `clone by ${who}`);
    }
    const back = { ...copy, source: target, target: inode };
    t.equal(
      await refusal(client.execute(clone, { ...back, caller: MEMBER })),
      'EACCES',
      'what one may not write',
    );

    await client.ask(open, { inode, session: client.id, caller: OWNER, access: 4 });
    t.equal(await refusal(client.ask(get, { ...page, caller: OTHER }, peer)), 'OK', 'opened by this session');
    const stranger = { isClosed: false };
    t.equal(
      await refusal(client.ask(get, { ...page, caller: OTHER }, stranger)),
      'EACCES',
      'not by another one',
    );
  },
);
