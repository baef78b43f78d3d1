/** The handlers of requests by themselves, on a real file system; notifications go to the test, which is the kernel. */
import type { Test } from 'tap';
import { Callers } from '../../../../../src/fuse/kernel/callers.js';
import { KernelCache } from '../../../../../src/fuse/kernel/kernel-cache.js';
import type { RequestHandler } from '../../../../../src/fuse/kernel/replies.js';
import {
  fuseInHeader,
  fuseNotifyInvalInodeOut,
  fuseOutHeader,
} from '../../../../../src/fuse/kernel/structs.js';
import { decodeHeader, type CacheTimes } from '../../../../../src/fuse/kernel/wire.js';
import { systemClock } from '../../../../../src/platform/clock.js';
import type { Logger } from '../../../../../src/platform/log.js';
import { ROOT_INODE } from '../../../../../src/protocol/file-mode.js';
import type { Vfs } from '../../../../../src/vfs/vfs.js';
import { connect, serve, startDataNode } from '../../../vfs/support/connected-clients.js';
import { recordedLog, type RecordedLine } from '../../support/recorded-log.js';
import type { Requester } from './fake-device.js';
import { MessagePair } from './message-pair.js';

const UNLEASED: CacheTimes = { entryTimeoutMs: 0, attrTimeoutMs: 0, negativeTimeoutMs: 0 };

/** Handlers as FileRequests and its siblings have them. */
interface Requests {
  readonly handlers: ReadonlyMap<number, RequestHandler>;
}

interface Harness<Of extends Requests> {
  readonly vfs: Vfs;
  readonly cache: KernelCache;
  readonly requests: Of;
  readonly lines: readonly RecordedLine[];
  /** Does a request; what it answers, in one piece. Rejects with the request's errno. */
  ask(opcode: number, inode: number, body?: Uint8Array, by?: Requester): Promise<Buffer>;
  /** What the kernel was told of an inode since this was asked last, of any: pages, or attributes alone. */
  toldOf(inode: number): string[];
  /** Creates an empty file below the root; the kernel knows it, and its handle is open for reading and writing. */
  create(name: string, mode?: number): Promise<{ readonly inode: number; readonly handle: number }>;
}

/** @param make makes the handlers */
export async function openHarness<Of extends Requests>(
  t: Test,
  make: (vfs: Vfs, cache: KernelCache, callers: Callers, log: Logger) => Of,
  times = UNLEASED,
): Promise<Harness<Of>> {
  const server = await serve(t);
  await startDataNode(t, server);
  const vfs = await connect(t, server);
  const pair = MessagePair.open(t);
  const { log, lines } = recordedLog();
  const { fd } = pair;
  const options = { fd, fileSystem: vfs, times, keepsNames: true, clock: systemClock, log };
  const cache = await KernelCache.open({ ...options, writeNow: () => undefined });
  t.teardown(async () => await cache.close());
  const requests = make(vfs, cache, new Callers(vfs, cache), log);
  return {
    vfs,
    cache,
    requests,
    lines,
    async ask(opcode, inode, body = new Uint8Array(), { uid = 0, gid = 0, pid = process.pid } = {}) {
      const fields = {
        len: fuseInHeader.bytes + body.length,
        opcode,
        unique: 2n,
        nodeid: inode,
        uid,
        gid,
        pid,
      };
      const bytes = Buffer.concat([fuseInHeader.encode(fields), body]);
      const handler = requests.handlers.get(opcode);
      if (!handler) throw new Error(`request ${opcode} is not one of these`);
      return Buffer.concat(await handler(decodeHeader(bytes), bytes));
    },
    toldOf(inode) {
      const all = pair.take().map(message => fuseNotifyInvalInodeOut.view(message, fuseOutHeader.bytes));
      return all.filter(({ ino }) => ino === inode).map(({ off }) => (off < 0 ? 'attributes' : 'pages'));
    },
    async create(name, mode = 0o644) {
      const made = await vfs.create(ROOT_INODE, Buffer.from(name), { mode, uid: 0, gid: 0 }, true, 2);
      cache.noteLookup(made.attributes);
      return { inode: made.attributes.inode, handle: made.handle };
    },
  };
}
