/** The requests of the kernel (src/fuse/kernel), on a file system that does nothing. */
import { FuseRequests } from '../../../src/fuse/kernel/requests.js';
import { negotiate } from '../../../src/fuse/kernel/init.js';
import type { KernelCache } from '../../../src/fuse/kernel/kernel-cache.js';
import {
  fuseBatchForgetIn,
  fuseCopyFileRangeIn,
  fuseCreateIn,
  fuseFallocateIn,
  fuseForgetIn,
  fuseForgetOne,
  fuseFsyncIn,
  fuseGetattrIn,
  fuseGetxattrIn,
  fuseInHeader,
  fuseInitIn,
  fuseInterruptIn,
  fuseLinkIn,
  fuseLkIn,
  fuseLseekIn,
  fuseMkdirIn,
  fuseMknodIn,
  fuseOpenIn,
  fuseReadIn,
  fuseReleaseIn,
  fuseRename2In,
  fuseRenameIn,
  fuseSetattrIn,
  fuseSetxattrIn,
  fuseWriteIn,
} from '../../../src/fuse/kernel/structs.js';
import { decodeHeader, Opcode, readForgets, requireInode } from '../../../src/fuse/kernel/wire.js';
import { createLogger } from '../../../src/platform/log.js';
import { DfsError } from '../../../src/protocol/errors.js';
import type { FileSystem } from '../../../src/vfs/file-system.js';
import { namesPageOf } from '../../../src/vfs/names-page.js';
import type { SeededRandom } from '../../simulation/world/seeded-random.js';
import { attributesOf } from '../../support/attributes-of.js';
import { promise, type Decoder } from '../decoder.js';

const OPCODES = Object.values(Opcode);
const MAX_ANSWER_BYTES = 1 << 20;
const log = createLogger('fuzz', 'silent');

/** opcode → bytes of the structure that comes first, and how many names come after it */
const PARTS: ReadonlyMap<number, readonly [bytes: number, names: number]> = new Map<
  number,
  readonly [bytes: number, names: number]
>([
  [Opcode.lookup, [0, 1]],
  [Opcode.forget, [fuseForgetIn.bytes, 0]],
  [Opcode.getattr, [fuseGetattrIn.bytes, 0]],
  [Opcode.setattr, [fuseSetattrIn.bytes, 0]],
  [Opcode.symlink, [0, 2]],
  [Opcode.mknod, [fuseMknodIn.bytes, 1]],
  [Opcode.mkdir, [fuseMkdirIn.bytes, 1]],
  [Opcode.unlink, [0, 1]],
  [Opcode.rmdir, [0, 1]],
  [Opcode.rename, [fuseRenameIn.bytes, 2]],
  [Opcode.rename2, [fuseRename2In.bytes, 2]],
  [Opcode.link, [fuseLinkIn.bytes, 1]],
  [Opcode.open, [fuseOpenIn.bytes, 0]],
  [Opcode.opendir, [fuseOpenIn.bytes, 0]],
  [Opcode.read, [fuseReadIn.bytes, 0]],
  [Opcode.readdir, [fuseReadIn.bytes, 0]],
  [Opcode.readdirplus, [fuseReadIn.bytes, 0]],
  [Opcode.write, [fuseWriteIn.bytes, 1]],
  [Opcode.release, [fuseReleaseIn.bytes, 0]],
  [Opcode.releasedir, [fuseReleaseIn.bytes, 0]],
  [Opcode.fsync, [fuseFsyncIn.bytes, 0]],
  [Opcode.fsyncdir, [fuseFsyncIn.bytes, 0]],
  [Opcode.setxattr, [fuseSetxattrIn.bytes, 2]],
  [Opcode.getxattr, [fuseGetxattrIn.bytes, 1]],
  [Opcode.listxattr, [fuseGetxattrIn.bytes, 0]],
  [Opcode.removexattr, [0, 1]],
  [Opcode.init, [fuseInitIn.bytes, 0]],
  [Opcode.getlk, [fuseLkIn.bytes, 0]],
  [Opcode.setlk, [fuseLkIn.bytes, 0]],
  [Opcode.setlkw, [fuseLkIn.bytes, 0]],
  [Opcode.create, [fuseCreateIn.bytes, 1]],
  [Opcode.tmpfile, [fuseCreateIn.bytes, 1]],
  [Opcode.interrupt, [fuseInterruptIn.bytes, 0]],
  [Opcode.batchForget, [fuseBatchForgetIn.bytes + 2 * fuseForgetOne.bytes, 0]],
  [Opcode.fallocate, [fuseFallocateIn.bytes, 0]],
  [Opcode.lseek, [fuseLseekIn.bytes, 0]],
  [Opcode.copyFileRange, [fuseCopyFileRangeIn.bytes, 0]],
]);

export function fuse(): Decoder {
  const attributes = attributesOf({ inode: 9 });
  const page = { entries: [{ name: Buffer.from('name'), attributes }], parent: 1, isLast: true };
  const fileSystem = answering(
    {
      lookup: attributes,
      getattr: attributes,
      setattr: attributes,
      mknod: attributes,
      mkdir: attributes,
      symlink: attributes,
      link: attributes,
      readlink: Buffer.from('target'),
      create: { handle: 1, attributes },
      tmpfile: { handle: 1, attributes },
      open: 1,
      read: [Buffer.from('data')],
      seek: 0,
      copyRange: 1,
      readdirPage: page,
      readNames: namesPageOf(page),
      statfs: { totalBytes: 2 ** 50, freeBytes: 2 ** 40, inodes: 7, liveNodes: 3 },
      getxattr: Buffer.from('value'),
      listxattr: [Buffer.from('user.a')],
    },
    checkCall,
  ) as FileSystem;
  const requests = new FuseRequests(fileSystem, CACHE, log);
  return {
    name: 'fuse',
    words: [
      '\0',
      '.\0',
      '..\0',
      'a\0b\0',
      'system.posix_acl_access\0',
      'security.capability\0',
      'user.dfs.goal\0',
    ],
    make: requestOf,
    /** The length that the header tells is that of the request. */
    mend(input) {
      const mended = Buffer.from(input);
      if (mended.length >= 4) mended.writeUInt32LE(mended.length, 0);
      return mended;
    },
    async decode(input) {
      const header = decodeHeader(input);
      requireInode(header);
      requests.hasLongSetxattr = header.uid % 2 === 0;
      if (header.opcode === Opcode.init) promise(negotiate(input).answer.length > 0, 'INIT is answered');
      if (header.opcode === Opcode.forget) fuseForgetIn.body(input);
      if (header.opcode === Opcode.interrupt) fuseInterruptIn.body(input);
      if (header.opcode === Opcode.batchForget) {
        const forgets = readForgets(input);
        promise(forgets.length * fuseForgetOne.bytes <= input.length, 'no more is forgotten than was named');
      }
      // Root, so that nobody's groups are looked up.
      const answer = await requests.handlers.get(header.opcode)?.({ ...header, uid: 0 }, input);
      const bytes = (answer ?? []).reduce((sum, piece) => sum + piece.length, 0);
      promise(bytes <= MAX_ANSWER_BYTES, `an answer of ${bytes} bytes`);
    },
    mayThrow: error => error instanceof DfsError,
  };
}

/** An object that answers each method: with what `results` says, or nothing. */
function answering(
  results: Record<string, unknown>,
  check: (method: string, given: unknown[]) => void,
): unknown {
  const object: object = new Proxy(
    {},
    {
      get(_, method: string) {
        if (method === 'then') return undefined;
        if (method === 'as') return () => object;
        if (method === 'write')
          return async (_handle: number, _offset: number, data: Buffer) => await Promise.resolve(data.length);
        return async (...given: unknown[]) => {
          check(method, given);
          return await Promise.resolve(results[method]);
        };
      },
    },
  );
  return object;
}

/** Names that reach the file system have no NUL, and sizes are numbers that count each byte. */
function checkCall(method: string, given: unknown[]): void {
  if (method === 'setxattr') return;
  for (const each of given)
    promise(!Buffer.isBuffer(each) || !each.includes(0), `${method} is given a name with NUL`);
  if (method !== 'fallocate' && method !== 'seek') return;
  const sizes = given.slice(1).filter(each => typeof each === 'number');
  promise(
    sizes.every(size => Number.isSafeInteger(size) && size >= 0),
    `${method} is given sizes that cannot be`,
  );
}

const EMPTY = async (): Promise<void> => await Promise.resolve();
const TIMES = { entryTimeoutMs: 0, attrTimeoutMs: 0 };
/** A cache that keeps nothing: what the kernel may believe is no matter of decoding. */
const CACHE = {
  overlay: { sawAttribute: () => undefined, sawRename: () => undefined },
  ticket: () => 0,
  entryTimes: () => TIMES,
  attributesMs: () => 0,
  nameMs: () => 0,
  lastAttributes: () => undefined,
  lockingGroup: () => undefined,
  openFlags: () => 0,
  listingFlags: () => 0,
  noteLookup: () => undefined,
  noteAcl: () => undefined,
  notePages: () => undefined,
  doubt: () => undefined,
  enterWrite: () => undefined,
  leaveWrite: () => undefined,
  dropPrivileges: EMPTY,
  dropWritten: EMPTY,
} as unknown as KernelCache;

function requestOf(random: SeededRandom): Buffer {
  const opcode = random.pick(OPCODES);
  const [bytes, names] = PARTS.get(opcode) ?? [0, 0];
  const struct = Buffer.alloc(bytes);
  for (let at = 0; at + 4 <= bytes; at += 4)
    struct.writeUInt32LE(
      random.isChance(0.4) ? random.pick([1, 2, 7, 31, 4096, 0x7fff_ffff, random.u32()]) : 0,
      at,
    );
  const parts = [
    struct,
    ...Array.from({ length: names }, () =>
      Buffer.from(`${random.pick(['a', 'name', 'user.x', 'x'.repeat(255)])}\0`),
    ),
  ];
  const body = Buffer.concat(parts);
  const header = fuseInHeader.encode({
    len: fuseInHeader.bytes + body.length,
    opcode,
    unique: BigInt(random.u32()),
    nodeid: random.integer(1, 20),
    uid: random.integer(0, 2),
    gid: 0,
    pid: 1,
  });
  return Buffer.concat([header, body]);
}
