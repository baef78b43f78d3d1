/** The requests and replies of every command, against their shapes. */
import { isDeepStrictEqual } from 'node:util';
import type { Command } from '../../../src/protocol/command.js';
import * as backupCommands from '../../../src/protocol/backup-commands.js';
import * as clusterCommands from '../../../src/protocol/cluster-commands.js';
import * as contentCommands from '../../../src/protocol/content-commands.js';
import * as datanodeCommands from '../../../src/protocol/datanode-commands.js';
import { DfsError } from '../../../src/protocol/errors.js';
import * as lockCommands from '../../../src/protocol/lock-commands.js';
import * as memberCommands from '../../../src/protocol/member-commands.js';
import { encodeMessage } from '../../../src/protocol/message.js';
import * as namespaceCommands from '../../../src/protocol/namespace-commands.js';
import * as sessionCommands from '../../../src/protocol/session-commands.js';
import * as authentication from '../../../src/rpc/authentication.js';
import { ping } from '../../../src/rpc/watched-client.js';
import { promise, withoutMinusZero, type Decoder } from '../decoder.js';
import { valueOf } from '../schema-values.js';

const MODULES: readonly object[] = [
  backupCommands,
  clusterCommands,
  contentCommands,
  datanodeCommands,
  lockCommands,
  memberCommands,
  namespaceCommands,
  sessionCommands,
  authentication,
  { ping },
];
/** All commands there are, in the order of their numbers. */
const COMMANDS: readonly Command[] = MODULES.flatMap(module => Object.values(module) as unknown[])
  .filter(
    (value): value is Command => typeof value === 'object' && value !== null && 'maxRequestBytes' in value,
  )
  .sort((a, b) => a.number - b.number);
/** A command's number, and whether it is a reply. */
const HEAD_BYTES = 3;

export const bodies: Decoder = {
  name: 'bodies',
  words: ['\xc4', '\xcf\0\x20\0\0\0\0\0\0', '\xcb\x7f\xf8\0\0\0\0\0\0', '\xd4\0\0', '\xc0'],
  make(random) {
    const command = random.pick(COMMANDS);
    const isReply = random.isChance(0.5);
    const { schema } = isReply ? command.reply : command.request;
    const head = Buffer.alloc(HEAD_BYTES);
    head.writeUInt16LE(command.number, 0);
    head.writeUInt8(isReply ? 1 : 0, 2);
    return Buffer.concat([head, encodeMessage(valueOf(schema, random, random.isChance(0.5)))]);
  },
  decode(input) {
    if (input.length < HEAD_BYTES) return;
    const number = input.readUInt16LE(0);
    const command = COMMANDS.find(each => each.number === number) ?? COMMANDS[number % COMMANDS.length];
    if (!command) return;
    const shape = ((input[2] ?? 0) & 1) === 1 ? command.reply : command.request;
    const value: unknown = shape.decode(input.subarray(HEAD_BYTES));
    promise(shape.accepts(value), 'what was decoded is not accepted');
    promise(
      isDeepStrictEqual(withoutMinusZero(shape.decode(shape.encode(value))), withoutMinusZero(value)),
      'what is encoded again is another message',
    );
    if (shape !== command.request) return;
    // What servers and clients work out of a request before they do it.
    const bytes = command.replyBytes(value);
    promise(Number.isSafeInteger(bytes) && bytes >= 0, `a reply of ${bytes} bytes`);
    const payloadBytes = command.replyPayloadBytes(value);
    promise(Number.isSafeInteger(payloadBytes) && payloadBytes >= 0, `a payload of ${payloadBytes} bytes`);
    const changes = command.changes(value as object, undefined);
    const all = [changes.names, changes.inodes, changes.content].flatMap(list => list ?? []);
    promise(all.every(Number.isSafeInteger), 'a change names no inode');
  },
  mayThrow: error => error instanceof DfsError && error.code === 'EPROTO',
};
