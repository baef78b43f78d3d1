/** Commits of written bytes that this client decides alone (foretold-changes.ts). */
import type { RequestOf } from '../../protocol/command.js';
import { blocks } from '../../protocol/content-commands.js';
import type { DfsError } from '../../protocol/errors.js';
import type { Attributes, Extent } from '../../protocol/types.js';
import { committed as withCommit, extentChange } from '../../rules/content.js';
import { MAX_EXTENTS_AHEAD, type Answers, type Foretelling, type KnownExtents } from './foretelling.js';
import type { LogPlace } from './waiting-changes.js';

type Blocks = Omit<RequestOf<typeof blocks>, 'once'>;

export class ForetoldContent {
  readonly #foretelling: Foretelling;

  constructor(foretelling: Foretelling) {
    this.#foretelling = foretelling;
  }

  /**
   * Commits what was written. Returns the file's attributes.
   * @param map what is known of the file's extents
   * @param place where in the log it belongs; at its end when it is undefined, or not kept any more
   */
  commit(
    request: Blocks,
    map: KnownExtents,
    { committed, refused }: Required<Omit<Answers, 'isKept'>>,
    place?: LogPlace,
  ): Attributes | undefined {
    const { inode, extents, durable, privilegeLoss, replaces } = request;
    const known = this.#foretelling.isReadyAt(place) ? this.#foretelling.own(inode) : undefined;
    const [first] = extents;
    if (!known || !first || durable || privilegeLoss || replaces) return undefined;
    if (extents.length > MAX_EXTENTS_AHEAD) return undefined;
    if (request.append === true && first.offset !== known.size) return undefined;
    const freed = freedBy(extents, known, map);
    if (freed === undefined) return undefined;
    const at = this.#foretelling.now();
    const { allocated, end } = extentChange(extents);
    const changed = withCommit(known, request, { allocated: allocated - freed, end }, at);
    // Nobody else can append meanwhile, so the bytes have their place.
    const { append: _, ...placed } = request;
    const answers = {
      committed,
      isKept: request.carriesOut !== undefined,
      refused: (reason: DfsError) => {
        this.#foretelling.forget(changed);
        refused(reason);
      },
    };
    return this.#foretelling.append(blocks, placed, at, [changed], answers, place) ? changed : undefined;
  }
}

/** The bytes that extents take the place of; undefined when that is not known, or it takes the server long. */
function freedBy(
  extents: readonly Extent[],
  { size, version }: Attributes,
  map: KnownExtents,
): number | undefined {
  let [bytes, covered] = [0, 0];
  for (const { offset, length } of extents) {
    // Nothing reaches beyond a file's size.
    if (offset >= size) break;
    const found = map.version === version ? map.covered(offset, Math.min(offset + length, size)) : undefined;
    if (!found) return undefined;
    bytes += found.bytes;
    covered += found.extents;
  }
  return covered > MAX_EXTENTS_AHEAD ? undefined : bytes;
}
