/** A tree of records that only the rules change: what they foretell of each request. */
import { DfsError } from '../../../src/protocol/errors.js';
import { isDirectory, ROOT_INODE, S_IFREG } from '../../../src/protocol/file-mode.js';
import type { Attributes, Caller } from '../../../src/protocol/types.js';
import {
  setattrPermissionRefusal,
  setattrRefusal,
  withAttributes,
  type SetattrRequest,
} from '../../../src/rules/attributes.js';
import { freedByResize, resized } from '../../../src/rules/content.js';
import {
  linked,
  linkRefusal,
  notEmpty,
  rmdirRefusal,
  subdirectoriesIn,
  touched,
  unlinked,
  unlinkRefusal,
} from '../../../src/rules/entries.js';
import { entryNameRefusal, newNameRefusal } from '../../../src/rules/names.js';
import { createdWhiteout, newInode, type Created } from '../../../src/rules/new-inode.js';
import { Access, accessRefusal, accessToMove, stickyRefusal } from '../../../src/rules/permissions.js';
import { refuse } from '../../../src/rules/refusal.js';
import {
  renamed,
  renameFlagsRefusal,
  renameMeaning,
  renameRoomRefusal,
  renameTargetRefusal,
  replaceRefusal,
} from '../../../src/rules/rename.js';

/** A directory's entry. */
export interface Place {
  readonly parent: number;
  readonly name: Buffer;
}

/** What a request changes: records, and entries (inode 0: none any more). */
export interface Foretold {
  readonly records: readonly Attributes[];
  readonly entries: readonly (Place & { readonly inode: number })[];
}

const NOTHING: Foretold = { records: [], entries: [] };
const NO_ENTRY = new DfsError('ENOENT', 'no such entry');
const TAKEN = new DfsError('EEXIST', 'the name is taken');
const BELOW = new DfsError('EINVAL', 'below itself');

/** The records, and what the rules make of them. */
export class ForetoldRecords {
  readonly records = new Map<number, Attributes>();
  /** directory → name → inode */
  readonly entries = new Map<number, Map<string, number>>();
  /** directory → its parent */
  readonly parents = new Map<number, number>();
  /** file → its bytes that extents cover, [start, end) in order */
  readonly covered = new Map<number, (readonly [number, number])[]>();

  get(inode: number): Attributes {
    const record = this.records.get(inode);
    if (!record) throw new Error(`no record of ${inode}`);
    return record;
  }

  find({ parent, name }: Place): Attributes | undefined {
    const inode = this.entries.get(parent)?.get(name.toString());
    return inode === undefined ? undefined : this.get(inode);
  }

  isEmpty(directory: number): boolean {
    return this.entries.get(directory)?.size === 0;
  }

  apply({ records, entries }: Foretold): void {
    for (const record of records) this.records.set(record.inode, record);
    for (const { parent, name, inode } of entries) {
      const names = this.entries.get(parent);
      if (inode === 0) names?.delete(name.toString());
      else names?.set(name.toString(), inode);
      const record = this.records.get(inode);
      if (!record || !isDirectory(record.mode)) continue;
      this.parents.set(inode, parent);
      if (!this.entries.has(inode)) this.entries.set(inode, new Map());
    }
    for (const { inode, nlink } of records) {
      if (nlink > 0) continue;
      for (const of of [this.records, this.entries, this.parents, this.covered]) of.delete(inode);
    }
  }

  create(place: Place, inode: number, created: Created, now: Attributes['ctime'], caller?: Caller): Foretold {
    refuse(newNameRefusal(place.name));
    const directory = this.get(place.parent);
    refuse(accessRefusal(directory, caller, Access.execute, undefined));
    if (this.find(place)) throw TAKEN;
    refuse(accessRefusal(directory, caller, Access.execute | Access.write, undefined));
    const made = newInode(directory, inode, created, now);
    const records = [made, touched(directory, subdirectoriesIn(made), now)];
    return { records, entries: [{ ...place, inode }] };
  }

  link(inode: number, place: Place, now: Attributes['ctime'], caller?: Caller): Foretold {
    const known = this.get(inode);
    refuse(linkRefusal(known, false));
    const { entries } = this.create(place, inode, { mode: S_IFREG, uid: 0, gid: 0 }, now, caller);
    return { records: [linked(known, now), touched(this.get(place.parent), 0, now)], entries };
  }

  remove(place: Place, isRmdir: boolean, now: Attributes['ctime'], caller?: Caller): Foretold {
    const { directory, inode } = this.#entry(place, caller);
    this.#checkDelete(directory, inode, caller);
    refuse(isRmdir ? rmdirRefusal(inode, place.name) : unlinkRefusal(inode, place.name));
    if (isRmdir && !this.isEmpty(inode.inode)) throw notEmpty(place.name);
    const records = [touched(directory, -subdirectoriesIn(inode), now), unlinked(inode, now)];
    return { records, entries: [{ ...place, inode: 0 }] };
  }

  rename(
    old: Place,
    place: Place,
    flags: number,
    whiteout: number,
    now: Attributes['ctime'],
    caller?: Caller,
  ): Foretold {
    refuse(renameFlagsRefusal(flags));
    const meaning = renameMeaning(flags);
    refuse(entryNameRefusal(old.name));
    refuse(entryNameRefusal(place.name));
    const [from, to] = [this.get(old.parent), this.get(place.parent)];
    refuse(accessRefusal(from, caller, Access.execute, undefined));
    refuse(accessRefusal(to, caller, Access.execute, undefined));
    const moved = this.find(old);
    if (!moved) throw NO_ENTRY;
    const target = this.find(place);
    refuse(renameTargetRefusal(target, place.name, meaning));
    if (isDirectory(moved.mode)) this.#checkNotBelow(to.inode, moved.inode);
    const exchanged = meaning.isExchange ? target : undefined;
    if (exchanged && isDirectory(exchanged.mode)) this.#checkNotBelow(from.inode, exchanged.inode);
    if (target?.inode === moved.inode) return NOTHING;
    this.#checkDelete(from, moved, caller);
    if (target) this.#checkDelete(to, target, caller);
    else refuse(accessRefusal(to, caller, Access.execute | Access.write, undefined));
    if (from !== to) {
      refuse(accessRefusal(moved, caller, accessToMove(moved), undefined));
      if (exchanged) refuse(accessRefusal(exchanged, caller, accessToMove(exchanged), undefined));
    }
    const records = { from, to, moved, target };
    if (!exchanged) {
      if (target) refuse(replaceRefusal(moved, target, place.name));
      if (target && isDirectory(target.mode) && !this.isEmpty(target.inode)) throw notEmpty(place.name);
      refuse(renameRoomRefusal(records));
    }
    const after = renamed(records, meaning, now);
    const made = meaning.isWhiteout
      ? [newInode(from, whiteout, createdWhiteout({ uid: caller?.uid ?? 0, gid: caller?.gid ?? 0 }), now)]
      : [];
    return {
      records: [after.from, after.to, after.moved, ...(after.target ? [after.target] : []), ...made],
      entries: [
        { ...old, inode: exchanged?.inode ?? made[0]?.inode ?? 0 },
        { ...place, inode: moved.inode },
      ],
    };
  }

  setattr(request: SetattrRequest, now: Attributes['ctime']): Foretold {
    const inode = this.get(request.inode);
    refuse(setattrRefusal(inode, request));
    refuse(setattrPermissionRefusal(inode, request, undefined));
    const { size } = request;
    const sized = size === undefined ? inode : resized(inode, size, this.#freed(inode, size), now);
    return { records: [withAttributes(sized, request, now)], entries: [] };
  }

  /** By the extents; where the record alone tells, by that too. */
  #freed(inode: Attributes, size: number): number {
    const cut = this.#cut(inode.inode, size);
    const told = freedByResize(inode, size);
    if (told !== undefined && told !== cut) throw new Error(`${told} of ${cut} bytes are freed`);
    return cut;
  }

  /** Bytes beyond `size` that extents cover, which are gone then. */
  #cut(inode: number, size: number): number {
    const covered = this.covered.get(inode) ?? [];
    this.covered.set(
      inode,
      covered.flatMap(([start, end]) => (start < size ? [[start, Math.min(end, size)] as const] : [])),
    );
    return covered.reduce((sum, [start, end]) => sum + Math.max(0, end - Math.max(start, size)), 0);
  }

  #entry(place: Place, caller: Caller | undefined): { directory: Attributes; inode: Attributes } {
    refuse(entryNameRefusal(place.name));
    const directory = this.get(place.parent);
    refuse(accessRefusal(directory, caller, Access.execute, undefined));
    const inode = this.find(place);
    if (!inode) throw NO_ENTRY;
    return { directory, inode };
  }

  #checkDelete(directory: Attributes, inode: Attributes, caller: Caller | undefined): void {
    refuse(accessRefusal(directory, caller, Access.write | Access.execute, undefined));
    refuse(stickyRefusal(directory, inode, caller));
  }

  #checkNotBelow(directory: number, moved: number): void {
    for (let at = directory; ; at = this.parents.get(at) ?? ROOT_INODE) {
      if (at === moved) throw BELOW;
      if (at === ROOT_INODE) return;
    }
  }
}
