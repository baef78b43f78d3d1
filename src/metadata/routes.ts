/** The operation of each command. */
import type { Static, TSchema } from '@sinclair/typebox';
import type { Command, ReplyOf } from '../protocol/command.js';
import { SILENT_CLIENT_MS } from '../protocol/limits.js';
import { backupNow, backupStatus } from '../protocol/backup-commands.js';
import { cancellock, lock, testlock, unlock } from '../protocol/lock-commands.js';
import { fsck, fsckStatus, repairStatus } from '../protocol/cluster-commands.js';
import { recall, revoke } from '../protocol/session-commands.js';
import { Routes } from '../rpc/routes.js';
import type { MetadataService } from './metadata-service.js';
import type { Operation } from './operation.js';
import type { Peer } from './peer.js';
import { accessed } from './operations/accessed.js';
import { batch } from './operations/batch.js';
import { blocks } from './operations/blocks.js';
import { endlog } from './operations/endlog.js';
import { clone } from './operations/clone.js';
import { fallocate } from './operations/fallocate.js';
import { get, getfiles } from './operations/get.js';
import { getattr } from './operations/getattr.js';
import { amend } from './operations/amend.js';
import { grant } from './operations/grant.js';
import { drain, rebalance, removenode } from './operations/node-control.js';
import { hold } from './operations/hold.js';
import { heartbeat } from './operations/heartbeat.js';
import { inventory } from './operations/inventory.js';
import { link } from './operations/link.js';
import {
  createToken,
  join,
  leave,
  listMembers,
  listTokens,
  removeMember,
  renewCertificate,
  revokeToken,
} from './operations/members.js';
import { addExport, listExports, removeExport } from './operations/exports.js';
import { list } from './operations/list.js';
import { lookup } from './operations/lookup.js';
import { mkdir } from './operations/mkdir.js';
import { mknod } from './operations/mknod.js';
import { nodes } from './operations/nodes.js';
import { open } from './operations/open.js';
import { put } from './operations/put.js';
import { readdir } from './operations/readdir.js';
import { readnames } from './operations/readnames.js';
import { readlink } from './operations/readlink.js';
import { reg } from './operations/reg.js';
import { release } from './operations/release.js';
import { rename } from './operations/rename.js';
import { resolve } from './operations/resolve.js';
import { rmdir } from './operations/rmdir.js';
import { end, renew, session } from './operations/session.js';
import { setattr } from './operations/setattr.js';
import { statfs } from './operations/statfs.js';
import { symlink } from './operations/symlink.js';
import { sync } from './operations/sync.js';
import { tmpfile } from './operations/tmpfile.js';
import { unlink } from './operations/unlink.js';
import { unsynced } from './operations/unsynced.js';
import { getxattr, listxattr, removexattr, setxattr } from './operations/xattrs.js';

/** Every command that the metadata server has, answered by `service`. */
export function metadataRoutes(service: MetadataService): Routes {
  const routes = new Routes();
  const answer = <Request extends TSchema, Reply extends TSchema>(
    operation: Operation<Request, Reply>,
  ): void => {
    routes.on(operation.command, async (request, { connection }) => {
      const reply = await service.execute(operation, request as Static<Request> & object, connection);
      // The same type, which the compiler cannot work out for every command at once.
      return reply as ReplyOf<Command<Request, Reply>>;
    });
  };

  routes.on(reg.command, async (request, { connection }) => {
    connection.keep();
    return await service.register(request, connection);
  });
  answer(inventory);
  answer(drain);
  answer(removenode);
  answer(rebalance);
  routes.on(fsck, async ({ deep, repair }) => {
    service.startFsck(deep, repair);
    return {};
  });
  routes.on(fsckStatus, async (request, { connection }) => {
    // It names files.
    const { from } = await service.admit(fsckStatus, request, connection);
    return service.fsckStatus(from);
  });
  routes.on(repairStatus, async () => service.repairStatus());
  routes.on(backupStatus, async () => service.backup.status());
  routes.on(backupNow, async () => await service.backup.runNow());
  answer(heartbeat);
  answer(nodes);

  answer(join);
  answer(renewCertificate);
  answer(createToken);
  answer(listTokens);
  answer(revokeToken);
  answer(listMembers);
  answer(listExports);
  routes.on(addExport.command, async (request, { connection }) => {
    const reply = await service.execute(addExport, request, connection);
    service.applyExportsSoon();
    return reply;
  });
  routes.on(removeExport.command, async (request, { connection }) => {
    const reply = await service.execute(removeExport, request, connection);
    service.applyExportsSoon();
    return reply;
  });
  routes.on(removeMember.command, async (request, { connection }) => {
    const reply = await service.execute(removeMember, request, connection);
    await service.applyRevocations();
    return reply;
  });
  routes.on(leave.command, async (request, { connection }) => {
    const reply = await service.execute(leave, request, connection);
    // Its own connection brings it the answer, and is closed then.
    service.applyRevocationsSoon();
    return reply;
  });

  routes.on(session.command, async (request, { connection }) => {
    const reply = await service.execute(session, request, connection);
    const isResumed = reply.resumed;
    connection.keep();
    service.bind(connection, reply.session, isResumed, {
      revoke: async revocation =>
        (await connection.call(revoke, revocation, { timeoutMs: SILENT_CLIENT_MS })).reply,
      recall: async asked => (await connection.call(recall, asked, { timeoutMs: SILENT_CLIENT_MS })).reply,
    });
    return reply;
  });
  routes.on(renew.command, async (request, { connection }) => await service.renew(request, connection));
  answer(end);
  answer(sync);
  routes.on(hold.command, async (request, { connection }) => await service.hold(request, connection));
  answer(batch);

  answer(lookup);
  answer(resolve);
  answer(getattr);
  answer(readlink);
  answer(readdir);
  answer(readnames);
  answer(list);
  answer(statfs);

  answer(mknod);
  answer(mkdir);
  answer(symlink);
  answer(link);
  answer(unlink);
  answer(rmdir);
  answer(rename);
  answer(setattr);
  answer(accessed);
  answer(tmpfile);

  answer(getxattr);
  answer(listxattr);
  answer(setxattr);
  answer(removexattr);

  answer(open);
  answer(release);

  const { locks } = service;
  /** Answers a request for a lock, of the connection's own session. */
  const lockRoute = <Request extends TSchema, Reply extends TSchema>(
    command: Command<Request, Reply>,
    handle: (request: Static<Request>, peer: Peer) => Promise<Static<Reply>>,
  ): void => {
    routes.on(command, async (request, { connection }) => {
      const admitted = await service.admit(command, request as Static<Request> & object, connection);
      // As above.
      return (await handle(admitted, connection)) as ReplyOf<Command<Request, Reply>>;
    });
  };
  lockRoute(lock, async (request, peer) => await locks.lock(request, peer));
  lockRoute(cancellock, async (request, peer) => locks.cancel(request, peer));
  lockRoute(unlock, async (request, peer) => {
    locks.unlock(request, peer);
    return {};
  });
  lockRoute(testlock, async request => await locks.test(request));

  answer(grant);
  answer(amend);
  answer(put);
  answer(get);
  answer(getfiles);
  answer(blocks);
  answer(endlog);
  answer(fallocate);
  answer(clone);
  answer(unsynced);
  return routes;
}
