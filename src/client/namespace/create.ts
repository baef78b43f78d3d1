/** open(2) with O_CREAT, and O_TMPFILE: decided by this client where it may, else by the server. */
import { put } from '../../protocol/content-commands.js';
import { tmpfile as tmpfileCommand } from '../../protocol/namespace-commands.js';
import type { Attributes } from '../../protocol/types.js';
import type { AttributeTicket } from '../caches/attribute-cache.js';
import type { GrantPool } from '../content/grant-pool.js';
import type { MetadataSession } from '../session/metadata-session.js';
import { changingNames } from './changing-names.js';
import type { By, Creation } from './credentials.js';
import { learnInheritance } from './xattrs.js';

/** How the new file's chunks are to be stored. */
export interface Storing {
  readonly grants: GrantPool;
  /** Replicas, where the directory has no goal. */
  readonly goal: number;
  /** What the new file will probably have. */
  readonly usualGoal: number;
  readonly maxBytes: number;
  /** Data nodes that just failed this client. */
  readonly exclude: number[];
}

/** A file that is counted as open once more. */
export interface Created {
  readonly isNew: boolean;
  readonly attributes: Attributes;
  /** From before its attributes were told. */
  readonly ticket: AttributeTicket;
}

/**
 * Creates a regular file and opens it. One that is there already is returned with `isNew` false, and is not counted as open:
 * `OpenInodes.open` says whether the caller may. EEXIST with `exclusive`, …
 */
export async function create(
  session: MetadataSession,
  parent: number,
  name: Uint8Array,
  creation: Creation,
  exclusive: boolean,
  { grants, goal, usualGoal, maxBytes, exclude }: Storing,
  by: By,
): Promise<Created> {
  await learnInheritance(session, parent);
  await session.beginChange(parent);
  const ahead = createAhead(session, parent, name, creation, goal, by);
  if (ahead) return ahead;
  const ticket = session.attributes.ticket();
  session.opens.requireRoom();
  const count = grants.wanted(usualGoal);
  const request = { parent, name, ...creation, exclusive, count, goal, maxBytes, exclude, ...by };
  const reply = await changingNames(
    session.names,
    [[parent, name]],
    async () => await session.ordered.execute(put, request),
    (made, asked) => session.names.linked(parent, name, made.attributes.inode, asked),
  );
  const { attributes, created: isNew } = reply;
  grants.add(attributes.goal, reply);
  if (isNew) session.opens.recordOpened(attributes.inode);
  return { isNew, attributes, ticket };
}

/** As `create`, if this client may decide alone, and at once; else undefined, and nothing has changed. */
export function createNow(
  session: MetadataSession,
  parent: number,
  name: Uint8Array,
  creation: Creation,
  goal: number,
  by: By,
): Created | undefined {
  return session.takeTurnNow(parent) ? createAhead(session, parent, name, creation, goal, by) : undefined;
}

function createAhead(
  session: MetadataSession,
  parent: number,
  name: Uint8Array,
  creation: Creation,
  goal: number,
  by: By,
): Created | undefined {
  const { opens, foretold } = session;
  const attributes = opens.hasRoom ? foretold.names.create(parent, name, creation, goal, by) : undefined;
  if (!attributes) return undefined;
  opens.recordOpenAhead(attributes.inode);
  return { isNew: true, attributes, ticket: session.attributes.ticket() };
}

/** Creates a regular file without a name and opens it. */
export async function tmpfile(
  session: MetadataSession,
  directory: number,
  creation: Creation,
  goal: number,
  by: By,
): Promise<Created> {
  session.opens.requireRoom();
  const ticket = session.attributes.ticket();
  const request = { parent: directory, ...creation, goal, ...by };
  const { attributes } = await session.ordered.execute(tmpfileCommand, request);
  session.opens.recordOpened(attributes.inode);
  return { isNew: true, attributes, ticket };
}
