/** What a machine of another's cannot do, whatever it sends: each request is made by hand, as no client of ours would. */
import type { Static, TSchema } from '@sinclair/typebox';
import t, { type Test } from 'tap';
import { CertificateAuthority } from '../../../../src/identity/certificate-authority.js';
import { ruleOf } from '../../../../src/metadata/exports/command-rules.js';
import type { Operation } from '../../../../src/metadata/operation.js';
import { accessed } from '../../../../src/metadata/operations/accessed.js';
import { batch } from '../../../../src/metadata/operations/batch.js';
import { blocks } from '../../../../src/metadata/operations/blocks.js';
import { clone } from '../../../../src/metadata/operations/clone.js';
import { addExport, listExports, removeExport } from '../../../../src/metadata/operations/exports.js';
import { fallocate } from '../../../../src/metadata/operations/fallocate.js';
import { get, getfiles } from '../../../../src/metadata/operations/get.js';
import { getattr } from '../../../../src/metadata/operations/getattr.js';
import { grant } from '../../../../src/metadata/operations/grant.js';
import { hold } from '../../../../src/metadata/operations/hold.js';
import { link } from '../../../../src/metadata/operations/link.js';
import { list } from '../../../../src/metadata/operations/list.js';
import { lookup } from '../../../../src/metadata/operations/lookup.js';
import { mkdir } from '../../../../src/metadata/operations/mkdir.js';
import { mknod } from '../../../../src/metadata/operations/mknod.js';
import { open } from '../../../../src/metadata/operations/open.js';
import { put } from '../../../../src/metadata/operations/put.js';
import { readdir } from '../../../../src/metadata/operations/readdir.js';
import { rename } from '../../../../src/metadata/operations/rename.js';
import { resolve } from '../../../../src/metadata/operations/resolve.js';
import { session } from '../../../../src/metadata/operations/session.js';
import { setattr } from '../../../../src/metadata/operations/setattr.js';
import { tmpfile } from '../../../../src/metadata/operations/tmpfile.js';
import { unlink } from '../../../../src/metadata/operations/unlink.js';
import { setxattr } from '../../../../src/metadata/operations/xattrs.js';
import { metadataRoutes } from '../../../../src/metadata/routes.js';
import { ROOT_INODE, S_IFCHR, S_IFREG, S_ISUID } from '../../../../src/protocol/file-mode.js';
import type { RequestOf } from '../../../../src/protocol/command.js';
import type { PeerConnection } from '../../../../src/rpc/routes.js';
import { fsckStatus } from '../../../../src/protocol/cluster-commands.js';
import { lock } from '../../../../src/protocol/lock-commands.js';
import { CLIENTS } from '../../../../src/protocol/roles.js';
import type { Caller } from '../../../../src/protocol/types.js';
import { refusal, startHarness, type Harness, type TestClient } from '../support/harness.js';

const ROOT: Caller = { uid: 0, gid: 0, groups: [] };
const ANNA: Caller = { uid: 1001, gid: 1001, groups: [] };
const MALLORY: Caller = { uid: 1002, gid: 1002, groups: [] };
const NOBODY = 65_534;
type NewRule = RequestOf<(typeof addExport)['command']>;
const SQUASHED: Omit<NewRule, 'path' | 'target'> = {
  readOnly: false,
  squash: 'root',
  anonUid: NOBODY,
  anonGid: NOBODY,
  uids: [],
  gids: [],
};
const authority = new CertificateAuthority(Buffer.alloc(32, 1));

function bytes(name: string): Buffer {
  return Buffer.from(name);
}

/** A machine that joined, and sends what it likes. */
class Machine {
  readonly peer: PeerConnection;
  /** How often the server has closed its connection. */
  closed = 0;
  readonly #harness: Harness;
  id = 0;
  #secret: Uint8Array = new Uint8Array();
  #sequence = 0;

  constructor(harness: Harness, name: string, remoteHost = '10.0.0.7', role: 'client' | 'admin' = 'client') {
    this.#harness = harness;
    this.peer = {
      isClosed: false,
      remoteHost,
      member: { role, certificate: { role, name, serial: name } },
      onClose: () => undefined,
      call: async () => await Promise.reject(new Error('it is asked nothing')),
      keep: () => undefined,
      close: () => (this.closed += 1),
    };
    harness.service.connected(this.peer);
  }

  async begin(more: Partial<RequestOf<(typeof session)['command']>> = {}) {
    const request = { session: this.id, secret: this.#secret, client: 'machine', opens: [], ...more };
    const reply = await this.#harness.service.execute(session, request, this.peer);
    this.#harness.service.bind(this.peer, reply.session, reply.resumed, {
      revoke: async () => ({}),
      recall: async () => ({ kept: [] }),
    });
    this.id = reply.session;
    this.#secret = reply.secret;
    return reply;
  }

  async ask<Request extends TSchema, Reply extends TSchema>(
    operation: Operation<Request, Reply>,
    request: Static<Request> & object,
  ): Promise<Static<Reply>> {
    return await this.#harness.service.execute(operation, request, this.peer);
  }

  async execute<Request extends TSchema, Reply extends TSchema>(
    operation: Operation<Request, Reply>,
    request: Omit<Static<Request>, 'once'>,
  ): Promise<Static<Reply>> {
    this.#sequence += 1;
    const once = { session: this.id, sequence: this.#sequence, acknowledged: this.#sequence - 1 };
    const numbered: object = { ...request, once };
    return await this.#harness.service.execute(operation, numbered, this.peer);
  }
}

interface Scene {
  readonly harness: Harness;
  /** On loopback: root of the cluster. */
  readonly root: TestClient;
  readonly machine: Machine;
  file(name: string, owner: Caller, mode: number, parent?: number): Promise<number>;
  directory(name: string, owner: Caller, mode: number, parent?: number): Promise<number>;
}

/** A cluster with the exports of a new one, and a machine that has begun its session. */
async function scene(t: Test, exports: readonly NewRule[] = []): Promise<Scene> {
  const harness = await startHarness(t, 'group', { authority });
  const root = await harness.client();
  for (const node of ['one', 'two']) await harness.node(node);
  await root.execute(setattr, { inode: ROOT_INODE, uid: 0, gid: 0 });
  const file = async (name: string, owner: Caller, mode: number, parent = ROOT_INODE): Promise<number> => {
    const request = { parent, name: bytes(name), uid: owner.uid, gid: owner.gid, rdev: 0, open: false };
    const made = await root.execute(mknod, { ...request, exclusive: true, mode: S_IFREG | mode });
    await root.write(made.attributes.inode, 0, 100);
    return made.attributes.inode;
  };
  const directory = async (
    name: string,
    owner: Caller,
    mode: number,
    parent = ROOT_INODE,
  ): Promise<number> => {
    const request = { parent, name: bytes(name), uid: owner.uid, gid: owner.gid, mode };
    return (await root.execute(mkdir, request)).attributes.inode;
  };
  await directory('photos', ANNA, 0o755);
  for (const each of exports) await root.ask(addExport, each);
  const machine = new Machine(harness, 'laptop');
  await machine.begin();
  return { harness, root, machine, file, directory };
}

const PAGE = { offset: 0, limit: 10 };

t.test('who claims to be root is nobody, and reads and changes nothing of root', async t => {
  const { machine, root, file, directory } = await scene(t);
  const secret = await file('secret', ROOT, 0o600);
  const open666 = await file('shared', ROOT, 0o666 | S_ISUID);
  const closed = await directory('closed', ROOT, 0o700);
  const hidden = await file('hidden', ROOT, 0o644, closed);
  for (const caller of [undefined, ROOT, { ...ANNA, groups: [0] }]) {
    const by = caller ? { caller } : {};
    const all: [string, Promise<unknown>][] = [
      ['get', machine.ask(get, { inode: secret, ...PAGE, ...by })],
      ['open', machine.ask(open, { inode: secret, session: machine.id, access: 4, caller: caller ?? ROOT })],
      ['lookup', machine.ask(lookup, { parent: closed, name: bytes('hidden'), ...by })],
      [
        'resolve',
        machine.ask(resolve, { start: ROOT_INODE, names: [bytes('closed'), bytes('hidden')], ...by }),
      ],
      ['readdir', machine.ask(readdir, { inode: closed, after: bytes(''), limit: 9, ...by })],
      ['list', machine.ask(list, { root: closed, after: [], limit: 9, recursive: true, ...by })],
      ['truncate', machine.execute(setattr, { inode: secret, size: 0, ...by })],
      [
        'clone',
        machine.execute(clone, {
          source: secret,
          offset: 0,
          length: 9,
          target: open666,
          targetOffset: 0,
          ...by,
        }),
      ],
      [
        'mkdir',
        machine.execute(mkdir, { parent: ROOT_INODE, name: bytes('x'), mode: 0o777, uid: 0, gid: 0, ...by }),
      ],
      ['unlink', machine.execute(unlink, { parent: ROOT_INODE, name: bytes('secret'), ...by })],
    ];
    for (const [what, asked] of all) t.equal(await refusal(asked), 'EACCES', `${what} by ${caller?.uid}`);
    t.equal(await refusal(machine.execute(setattr, { inode: secret, mode: 0o777, ...by })), 'EPERM');
    t.equal(await refusal(machine.execute(setattr, { inode: secret, uid: 1001, ...by })), 'EPERM');
    const attribute = { name: bytes('trusted.x'), value: bytes('y'), flags: 0 };
    t.equal(await refusal(machine.execute(setxattr, { inode: open666, ...attribute, ...by })), 'EPERM');
    t.same((await machine.ask(getfiles, { inodes: [secret], ...by })).files, []);
  }
  t.equal(
    await refusal(
      machine.execute(blocks, {
        inode: secret,
        extents: [],
        chunks: [],
        size: 5,
        mtime: { sec: 1, nsec: 0 },
        durable: false,
      }),
    ),
    'EACCES',
  );
  t.equal(
    await refusal(
      machine.execute(fallocate, { inode: hidden, offset: 0, length: 5, zero: true, keepSize: true }),
    ),
    'EACCES',
  );
  await machine.execute(fallocate, { inode: open666, offset: 0, length: 5, zero: true, keepSize: true });
  t.equal(
    (await root.stat(open666)).mode & S_ISUID,
    0,
    'what it may write to loses setuid, though it does not say so',
  );
  t.equal((await root.stat(secret)).size, 100);
});

t.test('opening a file without asking for anything opens nothing', async t => {
  const { machine, file } = await scene(t);
  const secret = await file('secret', ROOT, 0o600);
  const writable = await file('log', ROOT, 0o602);
  await machine.ask(open, { inode: secret, session: machine.id });
  await machine.ask(open, { inode: secret, session: machine.id, access: 0, caller: ANNA });
  await machine.ask(open, { inode: writable, session: machine.id, access: 2, caller: ANNA });
  t.equal(await refusal(machine.ask(get, { inode: secret, ...PAGE })), 'EACCES');
  t.equal(
    await refusal(machine.ask(get, { inode: writable, ...PAGE, caller: ANNA })),
    'EACCES',
    'only to write',
  );
  await machine.begin({ opens: [secret] });
  t.equal(
    await refusal(machine.ask(get, { inode: secret, ...PAGE })),
    'EACCES',
    'nor does saying that it is open',
  );
});

t.test('a file that was opened stays open when its mode changes', async t => {
  const { machine, root, file } = await scene(t);
  const shared = await file('shared', ROOT, 0o644);
  await machine.ask(open, { inode: shared, session: machine.id, access: 4, caller: ANNA });
  await root.execute(setattr, { inode: shared, mode: 0o600 });
  t.equal((await machine.ask(get, { inode: shared, ...PAGE })).extents.length, 1);
  t.equal(
    await refusal(machine.ask(open, { inode: shared, session: machine.id, access: 4, caller: ANNA })),
    'EACCES',
  );
});

t.test('users of the machine are told apart, and what they make is theirs', async t => {
  const { machine, file, directory } = await scene(t);
  const home = await directory('anna', ANNA, 0o700);
  const diary = await file('diary', ANNA, 0o600, home);
  t.equal(await refusal(machine.ask(get, { inode: diary, ...PAGE, caller: MALLORY })), 'EACCES');
  t.equal((await machine.ask(get, { inode: diary, ...PAGE, caller: ANNA })).extents.length, 1);
  t.equal((await machine.ask(get, { inode: diary, ...PAGE })).extents.length, 1, 'by handle, as Anna could');
  const made = await machine.execute(mkdir, {
    parent: home,
    name: bytes('new'),
    mode: 0o755,
    uid: 0,
    gid: 0,
    caller: ANNA,
  });
  t.match(made.attributes, { uid: NOBODY, gid: NOBODY }, 'nothing is given to root');
  const device = {
    parent: home,
    name: bytes('sda'),
    uid: 1001,
    gid: 1001,
    rdev: 1,
    open: false,
    exclusive: true,
  };
  t.equal(await refusal(machine.execute(mknod, { ...device, mode: S_IFCHR | 0o666, caller: ROOT })), 'EPERM');
  t.equal(await refusal(machine.execute(mknod, { ...device, mode: S_IFCHR | 0o666, caller: ANNA })), 'EPERM');
});

t.test('where everybody may make files the anonymous user may, too', async t => {
  const { machine, directory, file } = await scene(t);
  const shared = await directory('shared', ROOT, 0o1777);
  await file('of-root', ROOT, 0o644, shared);
  const anonymous = { uid: NOBODY, gid: NOBODY, groups: [] };
  const where = { parent: shared, name: bytes('new'), uid: 0, gid: 0 };
  const granted = { count: 1, goal: 1, maxBytes: 1000, exclude: [] };
  for (const by of [{}, { caller: ROOT }, { caller: anonymous }]) {
    const made = await machine.execute(put, { ...where, mode: 0o600, exclusive: true, ...granted, ...by });
    const { inode } = made.attributes;
    t.match(made.attributes, { uid: NOBODY, gid: NOBODY });
    const time = { mtime: { sec: 1, nsec: 0 }, durable: false };
    await machine.execute(blocks, { inode, extents: [], chunks: [], size: 5, ...time });
    await machine.ask(get, { inode, ...PAGE });
    await machine.execute(unlink, { parent: shared, name: bytes('new'), ...by });
    t.equal(
      await refusal(machine.execute(unlink, { parent: shared, name: bytes('of-root'), ...by })),
      'EPERM',
    );
  }
});

t.test('changes that are said to be made already are judged as others are', async t => {
  const { machine, root, file } = await scene(t);
  await file('secret', ROOT, 0o600);
  const now = { sec: 1, nsec: 0 };
  const change = (operation: { command: { number: number } }, request: object) => ({
    command: operation.command.number,
    request,
    at: now,
  });
  const reply = await machine.execute(batch, {
    changes: [
      change(unlink, { parent: ROOT_INODE, name: bytes('secret') }),
      change(mkdir, { parent: ROOT_INODE, name: bytes('mine'), mode: 0o777, uid: 0, gid: 0 }),
    ],
    reserve: 0,
  });
  t.same(
    reply.refused.map(({ code }) => code),
    ['EACCES', 'EACCES'],
  );
  t.ok((await root.lookup('secret')).size > 0);
});

t.test('whom a rule squashes or maps is who the rule says, whoever he claims to be', async t => {
  const rule = { ...SQUASHED, path: [], target: 'client/laptop' };
  const { machine, root, file } = await scene(t, [
    { ...rule, uids: [{ client: 1000, cluster: 1001, count: 1 }] },
  ]);
  const annas = await file('annas', ANNA, 0o600);
  const mallorys = await file('mallorys', MALLORY, 0o600);
  t.equal((await machine.ask(get, { inode: annas, ...PAGE, caller: ANNA })).extents.length, 1);
  for (const by of [{}, { caller: MALLORY }, { caller: ROOT }])
    t.equal(await refusal(machine.ask(get, { inode: mallorys, ...PAGE, ...by })), 'EACCES');
  const { exports } = await root.ask(listExports, {});
  await root.ask(removeExport, { id: exports.at(-1)?.id ?? 0 });
  await root.ask(addExport, { ...rule, squash: 'all' });
  await machine.begin();
  t.equal(await refusal(machine.ask(get, { inode: annas, ...PAGE, caller: ANNA })), 'EACCES');
});

t.test('who may only read changes nothing, and gets nothing to change by', async t => {
  const { machine, file } = await scene(t, [
    { ...SQUASHED, path: [], target: 'client/laptop', readOnly: true, squash: 'none' },
  ]);
  const shared = await file('shared', ANNA, 0o666);
  const where = { parent: ROOT_INODE, name: bytes('new') };
  const owner = { uid: 1001, gid: 1001 };
  const granted = { count: 1, goal: 1, maxBytes: 1000, exclude: [] };
  const all: [string, Promise<unknown>][] = [
    ['mkdir', machine.execute(mkdir, { ...where, ...owner, mode: 0o755 })],
    ['put', machine.execute(put, { ...where, ...owner, mode: 0o644, exclusive: false, ...granted })],
    ['tmpfile', machine.execute(tmpfile, { parent: ROOT_INODE, ...owner, mode: 0o644, goal: 1 })],
    ['link', machine.execute(link, { ...where, inode: shared })],
    ['unlink', machine.execute(unlink, { parent: ROOT_INODE, name: bytes('shared') })],
    ['setattr', machine.execute(setattr, { inode: shared, size: 0 })],
    ['accessed', machine.ask(accessed, { accesses: [{ inode: shared, atime: { sec: 9, nsec: 0 } }] })],
    ['grant', machine.ask(grant, granted)],
    ['open to write', machine.ask(open, { inode: shared, session: machine.id, access: 2, caller: ANNA })],
    ['open to both', machine.ask(open, { inode: shared, session: machine.id, access: 6 })],
  ];
  for (const [what, asked] of all) t.equal(await refusal(asked), 'EROFS', what);
  const refused = await machine.execute(batch, {
    changes: [
      {
        command: unlink.command.number,
        request: { parent: ROOT_INODE, name: bytes('shared') },
        at: { sec: 1, nsec: 0 },
      },
    ],
    reserve: 0,
  });
  t.equal(refused.refused[0]?.code, 'EROFS');
  const held = await machine.ask(hold, { session: machine.id, inodes: [shared], reserve: 100 });
  t.match(held, { given: [], inodes: undefined });
  t.equal((await machine.ask(get, { inode: shared, ...PAGE })).extents.length, 1);
});

t.test(
  'what lies outside of its directory is out of reach by number, by name and by way of moves',
  async t => {
    const harness = await startHarness(t, 'group', { authority });
    const root = await harness.client();
    for (const node of ['one', 'two']) await harness.node(node);
    const photos = (await root.mkdir('photos')).inode;
    const year = (await root.mkdir('2026', photos)).inode;
    const inside = (await root.file('inside', year)).inode;
    const outside = (await root.file('outside')).inode;
    const other = (await root.mkdir('other')).inode;
    await root.ask(addExport, {
      ...SQUASHED,
      squash: 'none',
      path: [bytes('photos')],
      target: 'client/laptop',
    });
    const machine = new Machine(harness, 'laptop');
    const { rights } = await machine.begin();
    t.match(rights, { root: photos, path: [bytes('photos')] });

    const reaches = async (inode: number): Promise<string> => await refusal(machine.ask(getattr, { inode }));
    for (const inode of [photos, year, inside]) t.equal(await reaches(inode), 'OK');
    for (const inode of [ROOT_INODE, other, outside]) t.equal(await reaches(inode), 'EACCES');
    t.equal((await machine.ask(lookup, { parent: photos, name: bytes('..') })).attributes.inode, photos);
    const names = [bytes('..'), bytes('..'), bytes('other')];
    t.equal(
      await refusal(machine.ask(resolve, { start: year, names })),
      'ENOENT',
      'above its root is its root',
    );
    t.equal((await machine.ask(readdir, { inode: photos, after: bytes(''), limit: 9 })).parent, photos);
    const move = { parent: year, name: bytes('inside'), newName: bytes('inside'), flags: 0 };
    t.equal(await refusal(machine.execute(rename, { ...move, newParent: other })), 'EACCES');
    t.equal(
      await refusal(machine.execute(link, { parent: year, name: bytes('stolen'), inode: outside })),
      'EACCES',
    );
    t.same((await machine.ask(getfiles, { inodes: [inside, outside] })).files.length, 1);
    t.same((await machine.ask(hold, { session: machine.id, inodes: [outside], reserve: 0 })).given, []);

    await root.execute(rename, {
      parent: photos,
      name: bytes('2026'),
      newParent: other,
      newName: bytes('2026'),
      flags: 0,
    });
    t.equal(await reaches(inside), 'EACCES', 'moved out with its directory');
    harness.clock.advance(1000);
    t.equal(machine.closed, 1, 'and is to drop what it has kept of it');
    await root.execute(link, { parent: photos, name: bytes('second'), inode: inside });
    t.equal(await reaches(inside), 'OK', 'one name inside is enough');
    await root.execute(rename, {
      parent: other,
      name: bytes('2026'),
      newParent: photos,
      newName: bytes('back'),
      flags: 0,
    });
    t.equal(await reaches(year), 'OK');

    await machine.ask(open, { inode: inside, session: machine.id, access: 4, caller: ANNA });
    for (const [parent, name] of [
      [photos, 'second'],
      [year, 'inside'],
    ] as const)
      await root.execute(unlink, { parent, name: bytes(name) });
    t.equal(await reaches(inside), 'OK', 'what it has open it keeps');
    await harness.restart();
    t.equal(harness.count('exports'), 3);
  },
);

t.test('the most precise rules count, and the deepest directory among them', async t => {
  const { harness, root } = await scene(t);
  const add = async (path: string, target: string, more: object = {}): Promise<void> => {
    const names = path.split('/').filter(name => name !== '');
    await root.ask(addExport, { ...SQUASHED, path: names.map(bytes), target, ...more });
  };
  await add('/photos', 'client/laptop', { readOnly: true });
  await add('/photos', '10.0.0.0/24');
  const laptop = await new Machine(harness, 'laptop').begin();
  t.match(laptop.rights, { readOnly: true, path: [bytes('photos')] });
  const desk = await new Machine(harness, 'desk').begin();
  t.match(desk.rights, { readOnly: false, path: [bytes('photos')] });
  const away = new Machine(harness, 'desk', '192.168.0.1');
  t.match((await away.begin()).rights, { root: ROOT_INODE, squash: 'root' });
  t.equal((await new Machine(harness, 'boss', '192.168.0.2', 'admin').begin()).rights, undefined);
  const elsewhere = new Machine(harness, 'laptop');
  await t.rejects(elsewhere.begin({ path: [] }), {
    code: 'EACCES',
    message: /may mount \/photos, and not \//,
  });
  await add('/', 'client/laptop');
  t.match((await elsewhere.begin({ path: [] })).rights, { root: ROOT_INODE, readOnly: false });
  t.match((await new Machine(harness, 'laptop').begin({ path: [bytes('photos')] })).rights, {
    readOnly: true,
  });
});

t.test('a changed rule disconnects whom it concerns, and nobody else', async t => {
  const { harness, root, machine } = await scene(t);
  const other = new Machine(harness, 'other', '10.0.1.1');
  await other.begin();
  await root.ask(addExport, { ...SQUASHED, path: [], target: '10.0.0.0/24', readOnly: true });
  await harness.service.applyExports();
  t.same([machine.closed, other.closed], [1, 0]);
  t.match((await machine.begin()).rights, { readOnly: true });
});

t.test('locks, turns and findings are for those who reach the file', async t => {
  const { harness, root, machine, file } = await scene(t);
  const { service } = harness;
  const secret = await file('secret', ROOT, 0o600);
  const shared = await file('shared', ROOT, 0o604);
  const request = (inode: number) => ({
    session: machine.id,
    lock: { inode, kind: 'flock', owner: 'a', type: 'write', start: 0, end: 10, pid: 1 } as const,
    wait: false,
    request: 1,
  });
  t.equal(await refusal(service.admit(lock, request(secret), machine.peer)), 'EACCES');
  t.same(await service.admit(lock, request(shared), machine.peer), request(shared));
  t.equal(
    await refusal(service.admit(lock, { ...request(shared), session: root.id }, machine.peer)),
    'EACCES',
  );
  t.equal(await refusal(service.admit(fsckStatus, { from: 0 }, machine.peer)), 'EACCES');

  const photos = await root.lookup('photos');
  const part: NewRule = { ...SQUASHED, squash: 'none', path: [bytes('photos')], target: 'client/laptop' };
  await root.ask(addExport, part);
  await machine.begin({ caches: true, heedsRights: true });
  const turn = (inode: number) => ({ session: machine.id, inodes: [inode], turn: true, reserve: 0 });
  t.same((await service.hold(turn(shared), machine.peer)).given, []);
  t.same((await service.hold(turn(photos.inode), machine.peer)).given.length, 1);
});

t.test('without a session, or a rule, nothing is told', async t => {
  const { harness, root } = await scene(t);
  const early = new Machine(harness, 'early');
  await t.rejects(early.ask(getattr, { inode: ROOT_INODE }), { code: 'EACCES', message: /no session/ });
  t.equal(await refusal(early.ask(lookup, { parent: ROOT_INODE, name: bytes('photos') })), 'EACCES');
  await root.ask(removeExport, { id: 1 });
  await t.rejects(early.begin(), {
    code: 'EACCES',
    message: /early at 10.0.0.7 may mount nothing.*dfs export add/,
  });
  t.equal(await refusal(root.ask(removeExport, { id: 1 })), 'ENOENT');
});

t.test('every command of clients has a rule for sessions with limited rights', async t => {
  const { harness } = await scene(t);
  const routes = metadataRoutes(harness.service);
  const commands = Array.from({ length: 1000 }, (_, number) => routes.find(number)?.command);
  const missing = commands
    .filter(command => command?.allow === CLIENTS && !ruleOf(command))
    .map(command => command?.name);
  t.same(missing, ['repairstatus', 'fsckstatus', 'backupstatus'], 'but those that tell how the cluster is');
});
