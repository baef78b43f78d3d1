/**
 * Intent logs (docs/decisions/51). A client that has a file to itself, and syncs it again and again, leaves with each chunk on the data
 * nodes what its commit will make of the file: the intent. `fsync` returns when two nodes have both on stable storage; the commit follows.
 * Should the client be gone before, the metadata server asks the nodes, and commits in its place.
 *
 * A log has a number that nobody can guess, and belongs to one session and one inode. Its intents are numbered from 1 on.
 */
import { Type, type Static } from '@sinclair/typebox';
import { MessageShape } from './command.js';
import { MAX_NODES } from './limits.js';
import {
  ChunkId,
  ChunkLength,
  FileOffset,
  InodeNumber,
  NodeNumber,
  SafeInteger,
  U32,
  WireTimespec,
} from './types.js';

/** On so many nodes each intent is at the least, so that one less than these may be away when they are asked for. */
export const MIN_INTENT_COPIES = 2;
/** Places in the file of which one intent tells. */
export const MAX_INTENT_EXTENTS = 32;
/** What an intent takes at the most, encoded. */
export const MAX_INTENT_BYTES = 2048;
/** Intents of one log that a node keeps. */
export const MAX_KEPT_INTENTS = 1024;
/** Intents that a node tells at once. */
export const MAX_INTENTS_TOLD = 128;
/** Logs after which a node asks at once, whether they are over. */
export const MAX_LOGS_ASKED = 256;

export const LogNumber = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER });
const Sequence = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER });
const EncodedChange = Type.Uint8Array({ maxByteLength: MAX_INTENT_BYTES });

/** What comes with a chunk: what is to be done with it. */
export const Intent = Type.Object({
  log: LogNumber,
  sequence: Sequence,
  /** Up to here the metadata server has committed the log's intents, on stable storage: nobody will ask for them. */
  done: SafeInteger,
  /** An IntendedChange. */
  change: EncodedChange,
});
export type Intent = Static<typeof Intent>;

/** What the commit of a chunk makes of a file. */
export const IntendedChange = new MessageShape(
  'intent',
  Type.Object({
    inode: InodeNumber,
    /** Where the bytes of the chunk, one after the other, belong in the file; sorted. */
    extents: Type.Array(
      Type.Object({
        offset: FileOffset,
        length: ChunkLength,
      }),
      { minItems: 1, maxItems: MAX_INTENT_EXTENTS },
    ),
    mtime: WireTimespec,
    ctime: WireTimespec,
  }),
);
export type IntendedChange = Static<typeof IntendedChange.schema>;

/** Which intents of a log a commit carries out. */
export const CarriedOut = Type.Object({ log: LogNumber, first: Sequence, last: Sequence });
export type CarriedOut = Static<typeof CarriedOut>;

/** A client wants to leave intents of a file from now on. */
export const WantedLog = Type.Object({
  /** Its log of before: what of that is not committed is looked for. */
  before: Type.Optional(Type.Object({ log: LogNumber, last: SafeInteger })),
});
export type WantedLog = Static<typeof WantedLog>;

/** The log that it got. */
export const OpenedLog = Type.Object({
  log: LogNumber,
  /** The nodes that may get intents of it: no others are asked for them. */
  nodes: Type.Array(NodeNumber, { maxItems: MAX_NODES }),
});
export type OpenedLog = Static<typeof OpenedLog>;

/** An intent as a data node kept it, with its chunk. */
export const KeptIntent = Type.Object({
  sequence: Sequence,
  chunk: ChunkId,
  length: ChunkLength,
  /** Of the whole chunk, as ChunkLocation has it. */
  checksum: U32,
  change: EncodedChange,
});
export type KeptIntent = Static<typeof KeptIntent>;
