/** What two processes tell each other of which one takes over the other's mount, and the pieces of the kernel's inodes. */
import { isDeepStrictEqual } from 'node:util';
import { KnownInodes } from '../../../src/fuse/kernel/known-inodes.js';
import { DfsError } from '../../../src/protocol/errors.js';
import { encodeMessage } from '../../../src/protocol/message.js';
import { PredecessorMessage, SuccessorMessage } from '../../../src/protocol/take-over.js';
import { promise, withoutMinusZero, type Decoder } from '../decoder.js';
import { valueOf } from '../schema-values.js';

const KINDS = 3;

export const takeOver: Decoder = {
  name: 'take-over',
  words: ['say', 'hello', 'give', 'state', 'inodes', 'settings', 'yours'],
  make(random) {
    const kind = random.integer(0, KINDS);
    if (kind === KINDS - 1)
      return Buffer.concat([Buffer.from([kind]), random.bytes(16 * random.integer(0, 64))]);
    const { schema } = kind === 0 ? SuccessorMessage : PredecessorMessage;
    return Buffer.concat([Buffer.from([kind]), encodeMessage(valueOf(schema, random, random.isChance(0.5)))]);
  },
  decode(input) {
    const [kind = 0] = input;
    const body = input.subarray(1);
    if (kind % KINDS === KINDS - 1) {
      const known = new KnownInodes();
      known.addPages([body], 0);
      promise(known.size <= body.length / 16, 'more inodes than there are');
      return;
    }
    const shape = kind % KINDS === 0 ? SuccessorMessage : PredecessorMessage;
    const value: unknown = shape.decode(body);
    promise(shape.accepts(value), 'what was decoded is not accepted');
    promise(
      isDeepStrictEqual(withoutMinusZero(shape.decode(encodeMessage(value))), withoutMinusZero(value)),
      'what is encoded again is another message',
    );
  },
  mayThrow: error => error instanceof DfsError && error.code === 'EPROTO',
};
