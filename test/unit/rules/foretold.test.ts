/**
 * A property: what the rules alone foretell from records is what the metadata server's operations do, also which errno
 * they refuse with. Random requests of several users, on random records, from a seed.
 */
import type { Static, TSchema } from '@sinclair/typebox';
import t from 'tap';
import type { Operation } from '../../../src/metadata/operation.js';
import { link } from '../../../src/metadata/operations/link.js';
import { mkdir } from '../../../src/metadata/operations/mkdir.js';
import { mknod } from '../../../src/metadata/operations/mknod.js';
import { rename } from '../../../src/metadata/operations/rename.js';
import { rmdir } from '../../../src/metadata/operations/rmdir.js';
import { setattr } from '../../../src/metadata/operations/setattr.js';
import { symlink } from '../../../src/metadata/operations/symlink.js';
import { unlink } from '../../../src/metadata/operations/unlink.js';
import { DfsError } from '../../../src/protocol/errors.js';
import {
  isRegularFile,
  PERMISSION_BITS,
  ROOT_INODE,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFREG,
} from '../../../src/protocol/file-mode.js';
import type { Attributes, Caller } from '../../../src/protocol/types.js';
import type { SetattrRequest } from '../../../src/rules/attributes.js';
import { committed, extentChange } from '../../../src/rules/content.js';
import { createdSymlink, mknodDevice, mknodMode, mknodRefusal } from '../../../src/rules/new-inode.js';
import { refuse } from '../../../src/rules/refusal.js';
import { startHarness, type Harness, type TestClient } from '../metadata/support/harness.js';
import { ForetoldRecords, type Foretold, type Place } from './foretold-records.js';
import { generator } from '../../support/pseudo-random.js';

const STEPS = 1500;
const NODES = ['node-1', 'node-2'];
const SEEDS = [1, 2, 20_261_129];
const NAMES = ['a', 'b', 'c', 'd', '.', '..', 'e/f', ''].map(name => Buffer.from(name));
const MODES = [0o777, 0o755, 0o2775, 0o1777, 0o700, 0o640, 0o6755, 0o4711];
const CALLERS: readonly (Caller | undefined)[] = [
  undefined,
  { uid: 0, gid: 0, groups: [] },
  { uid: 7, gid: 8, groups: [] },
  { uid: 9, gid: 9, groups: [8] },
  { uid: 10, gid: 10, groups: [] },
];
const LONG_AGO = { sec: 5, nsec: 6 };

/** What replies tell of the inode that was made. */
interface Told {
  readonly attributes: Attributes;
  readonly whiteout: number;
}

/** Does the same by the rules and at the server, and compares. */
class Comparison {
  readonly model = new ForetoldRecords();
  readonly #harness: Harness;
  readonly #client: TestClient;
  readonly #random: (below: number) => number;
  refused = 0;
  done = 0;

  constructor(harness: Harness, client: TestClient, random: (below: number) => number) {
    this.#harness = harness;
    this.#client = client;
    this.#random = random;
  }

  async start(): Promise<void> {
    // Everybody may work in the root, so that not every request is refused there.
    await this.#client.execute(setattr, { inode: ROOT_INODE, mode: 0o777 });
    this.model.apply({ records: [await this.#client.stat(ROOT_INODE)], entries: [] });
    this.model.entries.set(ROOT_INODE, new Map());
    this.model.parents.set(ROOT_INODE, ROOT_INODE);
  }

  /** One random request; returns what differs between the two, which is nothing. */
  async step(): Promise<object> {
    this.#harness.clock.advance(this.#random(5));
    const caller = this.#pick(CALLERS);
    const by = caller ? { caller } : {};
    const place = this.#place();
    const now = this.#harness.clock.now();
    const created = {
      mode: this.#pick(MODES),
      umask: this.#pick([0, 0o22, 0o77]),
      uid: caller?.uid ?? 7,
      gid: caller?.gid ?? 8,
    };
    const target = Buffer.from('target');
    const { uid, gid, umask } = created;
    const request = { ...place, ...by };
    switch (this.#random(9)) {
      case 0: {
        const mode = mknodMode(this.#pick([0, S_IFREG, S_IFIFO, S_IFBLK, S_IFCHR, S_IFDIR]) | created.mode);
        const rdev = this.#random(2);
        const goal = 1 + this.#random(3);
        return await this.#compare(
          mknod,
          { ...request, uid, gid, umask, mode, rdev, goal, open: false, exclusive: true },
          made => {
            refuse(mknodRefusal(mode, rdev, caller));
            const device = mknodDevice(mode, rdev);
            return this.model.create(place, made, { ...created, mode, goal, rdev: device }, now, caller);
          },
        );
      }
      case 1:
      case 2: {
        const mode = S_IFDIR | (created.mode & PERMISSION_BITS);
        return await this.#compare(mkdir, { ...request, uid, gid, umask, mode }, made =>
          this.model.create(place, made, { ...created, mode }, now, caller),
        );
      }
      case 3:
        return await this.#compare(symlink, { ...request, uid, gid, target }, made =>
          this.model.create(place, made, createdSymlink(target, created), now, caller),
        );
      case 4: {
        const inode = this.#inode();
        return await this.#compare(link, { ...request, inode }, () =>
          this.model.link(inode, place, now, caller),
        );
      }
      case 5:
        return this.#random(2) === 0
          ? await this.#compare(rmdir, request, () => this.model.remove(place, true, now, caller))
          : await this.#compare(unlink, request, () => this.model.remove(place, false, now, caller));
      case 6: {
        const flags = this.#pick([0, 0, 0, 1, 2, 4, 5, 6, 8]);
        const to = this.#place();
        return await this.#compare(
          rename,
          { ...request, newParent: to.parent, newName: to.name, flags },
          whiteout => this.model.rename(place, to, flags, whiteout, now, caller),
        );
      }
      case 7:
        return await this.#write();
      default: {
        const changes = this.#changes(caller);
        return await this.#compare(setattr, changes, () => this.model.setattr(changes, now));
      }
    }
  }

  /** A chunk at, or behind, the end of a file. */
  async #write(): Promise<object> {
    const files = [...this.model.records.values()].filter(({ mode }) => isRegularFile(mode));
    const file = files[this.#random(files.length || 1)];
    if (!file) return {};
    const offset = file.size + this.#random(3) * 100;
    const length = 1 + this.#random(1000);
    const told = await this.#client.write(file.inode, offset, length);
    const change = extentChange([{ offset, length, chunk: 1, chunkOffset: 0 }]);
    const foretold = committed(file, { size: 0, mtime: LONG_AGO }, change, this.#harness.clock.now());
    this.model.apply({ records: [foretold], entries: [] });
    this.model.covered.set(file.inode, [
      ...(this.model.covered.get(file.inode) ?? []),
      [offset, offset + length],
    ]);
    return difference([foretold], [told]);
  }

  #changes(caller: Caller | undefined): SetattrRequest {
    const has = (): boolean => this.#random(3) === 0;
    return {
      inode: this.#inode(),
      ...(has() ? { mode: this.#pick(MODES) } : {}),
      ...(has() ? { uid: this.#pick([7, 9]) } : {}),
      ...(has() ? { gid: this.#pick([8, 9]) } : {}),
      ...(has() ? { size: this.#random(3000) } : {}),
      ...(has() ? { atime: this.#pick(['now', { sec: 2 ** 40, nsec: 1 }] as const) } : {}),
      ...(has() ? { mtime: this.#pick(['now', { sec: -5, nsec: 1 }] as const) } : {}),
      ...(has() ? { privilegeLoss: this.#pick(['ordinary', 'all'] as const) } : {}),
      ...(caller ? { caller } : {}),
    };
  }

  async #compare<Request extends TSchema, Reply extends TSchema>(
    operation: Operation<Request, Reply>,
    request: Omit<Static<Request>, 'once'>,
    foretell: (made: number) => Foretold,
  ): Promise<object> {
    let code = 'OK';
    let made = 0;
    try {
      const reply = (await this.#client.execute(operation, request)) as Partial<Told>;
      made = reply.attributes?.inode ?? reply.whiteout ?? 0;
    } catch (error) {
      if (!(error instanceof DfsError)) throw error;
      code = error.code;
    }
    let foretold: Foretold;
    try {
      foretold = foretell(made);
    } catch (error) {
      if (!(error instanceof DfsError)) throw error;
      this.refused += 1;
      return error.code === code ? {} : { [operation.command.name]: request, foretold: error.code, code };
    }
    if (code !== 'OK') return { [operation.command.name]: request, foretold: 'OK', code };
    this.done += 1;
    this.model.apply(foretold);
    const left = foretold.records.filter(({ nlink }) => nlink > 0);
    const told = await Promise.all(left.map(async ({ inode }) => await this.#client.stat(inode)));
    return difference(left, told);
  }

  #place(): Place {
    const directories = [...this.model.entries.keys()];
    return {
      parent: this.#pick(directories),
      name: this.#random(20) === 0 ? this.#pick(NAMES) : this.#pick(NAMES.slice(0, 4)),
    };
  }

  #inode(): number {
    return this.#pick([...this.model.records.keys()].filter(inode => inode !== ROOT_INODE));
  }

  #pick<Value>(values: readonly Value[]): Value {
    // Of nothing the root is picked, which every tree has.
    return values[this.#random(values.length || 1)] ?? (values[0] as Value);
  }
}

function difference(foretold: readonly Attributes[], told: readonly Attributes[]): object {
  const wrong = foretold.filter(
    (each, index) => JSON.stringify(sorted(each)) !== JSON.stringify(sorted(told[index])),
  );
  return wrong.length === 0 ? {} : { foretold, told };
}

function sorted(record: object | undefined): unknown {
  return Object.entries(record ?? {}).toSorted(([a], [b]) => (a < b ? -1 : 1));
}

for (const seed of SEEDS) {
  t.test(`the server does what the rules foretell, ${STEPS} times (seed ${seed})`, async t => {
    const harness = await startHarness(t);
    for (const name of NODES) await harness.node(name);
    const client = await harness.client();
    const comparison = new Comparison(harness, client, generator(seed));
    await comparison.start();
    await client.file('first');
    comparison.model.apply({
      records: [await client.lookup('first'), await client.stat(ROOT_INODE)],
      entries: [
        { parent: ROOT_INODE, name: Buffer.from('first'), inode: (await client.lookup('first')).inode },
      ],
    });
    for (let step = 0; step < STEPS; step += 1) {
      // Heartbeats, so that grants go on.
      if (step % 100 === 99) for (const name of NODES) await harness.node(name);
      const wrong = await comparison.step();
      if (Object.keys(wrong).length === 0) continue;
      t.same(wrong, {}, `step ${step}`);
      return;
    }
    t.ok(comparison.done > STEPS / 10 && comparison.refused > STEPS / 10, 'both kinds came');
    t.comment(`${comparison.done} done, ${comparison.refused} refused`);
  });
}
