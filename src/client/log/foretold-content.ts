/** Commits of written bytes that this client decides alone (foretold-changes.ts). */
import type { RequestOf } from '../../protocol/command.js';
import { blocks } from '../../protocol/content-commands.js';
import type { DfsError } from '../../protocol/errors.js';
import type { Attributes } from '../../protocol/types.js';
import { committed as withCommit, extentChange } from '../../rules/content.js';
import { MAX_EXTENTS_AHEAD, type Foretelling } from './foretelling.js';

type Blocks = Omit<RequestOf<typeof blocks>, 'once'>;

export class ForetoldContent {
  readonly #foretelling: Foretelling;

  constructor(foretelling: Foretelling) {
    this.#foretelling = foretelling;
  }

  /**
   * Commits what was written behind the end of a file. `committed` and `refused` tell what the server says.
   * Returns the file's attributes.
   */
  commit(
    request: Blocks,
    committed: () => void,
    refused: (reason: DfsError) => void,
  ): Attributes | undefined {
    const { inode, extents, durable, privilegeLoss, replaces } = request;
    const known = this.#foretelling.isReady ? this.#foretelling.own(inode) : undefined;
    const [first] = extents;
    if (!known || !first || durable || privilegeLoss || replaces) return undefined;
    if (extents.length > MAX_EXTENTS_AHEAD) return undefined;
    if (request.append === true ? first.offset !== known.size : first.offset < known.size) return undefined;
    const at = this.#foretelling.now();
    const changed = withCommit(known, request, extentChange(extents), at);
    // Nobody else can append meanwhile, so the bytes have their place.
    const { append: _, ...placed } = request;
    const answers = {
      committed,
      refused: (reason: DfsError) => {
        this.#foretelling.forget(changed);
        refused(reason);
      },
    };
    return this.#foretelling.append(blocks, placed, at, [changed], answers) ? changed : undefined;
  }
}
