/** What simulated programs do: random operations on a few files, so that they meet. */
import { constants } from 'node:fs';
import { ChunkReader } from '../../src/client/content/chunk-reader.js';
import { isGrantRefused, readableChunks } from '../../src/client/content/readable-chunk.js';
import { sleep } from '../../src/platform/clock.js';
import { DfsError, hasCode } from '../../src/protocol/errors.js';
import { ROOT_INODE, S_IFDIR, S_IFMT } from '../../src/protocol/file-mode.js';
import { MAX_FILE_BYTES } from '../../src/protocol/limits.js';
import { get } from '../../src/protocol/content-commands.js';
import { typeOf } from '../../src/protocol/packed-names.js';
import { GRACE_MS, type LiveClient, type Machine } from './cluster.js';
import { BrokenPromise, UNKNOWN, type Change, type History } from './history.js';
import { blockRegister, FILE_BLOCKS, BLOCK_BYTES, nameRegister, ObservedFile } from './observed-file.js';
import { SYMLINK_NAMES, SymbolicLinks } from './symbolic-links.js';
import type { SeededRandom } from './world/seeded-random.js';

/** Names of files that are renamed, and of their links, which are not: rename(2) of one file's two names does nothing. */
const NAMES = ['a', 'b', 'c', 'd', 'e'];
const LINK_NAMES = ['k', 'l'];
const DIRECTORY_NAMES = ['x', 'y'];
const CREATION = { mode: 0o644, uid: 0, gid: 0 };
const RECORD_BYTES = 16;
/** How long a reader may take over what it was told; the grace is a minute. */
const OLD_EXTENTS_MS = 3000;
/** Errors that say that nothing was done, and why. */
const REFUSALS = ['EEXIST', 'ENOENT', 'ENOTEMPTY'];
/** Errors that a program has to live with when servers are away, disks are full, limits small, or a lock is not to be had. */
const TROUBLES = [
  'EIO',
  'EINTR',
  'EAGAIN',
  'ENOSPC',
  'ENFILE',
  'ESTALE',
  'ECONNRESET',
  'ECONNREFUSED',
  'ETIMEDOUT',
  'EHOSTUNREACH',
];

/** The places where everything happens, made before anything goes wrong. */
export interface Places {
  readonly directories: readonly number[];
  /** A file that is only appended to. */
  readonly journal: number;
  /** A file with a number that is counted up under a lock. */
  readonly counter: number;
  /** A directory of files, each of which is written before its marker is made in another directory. */
  readonly logs: number;
  readonly markers: number;
}

/** What all clients of a run share. */
export class Workload {
  readonly history: History;
  readonly places: Places;
  #lastTag = 0;
  /** Numbers that were counted, and by whom. */
  readonly #counted = new Map<number, string>();
  #highestCounted = 0;
  /** Operations that ended well, and all. */
  succeeded = 0;
  tried = 0;
  isStopped = false;
  /** How often who does not let a lock go at once keeps it for seconds. */
  longHoldChance = 0.3;
  /** Clients that believe that they have the lock of the counter. */
  readonly lockHolders = new Set<LiveClient>();
  readonly #symbolicLinks: SymbolicLinks;
  /** Where what clients do is told. */
  readonly #note: (line: string) => void;
  /** Whether data nodes may have lost, or put aside, what they once had. */
  readonly #mayHaveLostChunks: () => boolean;

  constructor(
    history: History,
    places: Places,
    note: (line: string) => void,
    mayHaveLostChunks: () => boolean,
  ) {
    this.history = history;
    this.places = places;
    this.#symbolicLinks = new SymbolicLinks(history, places.directories);
    this.#note = note;
    this.#mayHaveLostChunks = mayHaveLostChunks;
  }

  /** Makes the places, on stable storage. */
  static async prepare(client: LiveClient): Promise<Places> {
    const { vfs } = client;
    const made: number[] = [];
    for (const name of ['one', 'two', 'logs', 'markers']) {
      const { inode } = await vfs.mkdir(ROOT_INODE, Buffer.from(name), { ...CREATION, mode: 0o755 });
      made.push(inode);
    }
    const [logs = 0, markers = 0] = made.splice(2);
    const files: number[] = [];
    for (const name of ['journal', 'counter']) {
      const { handle, attributes } = await vfs.create(
        ROOT_INODE,
        Buffer.from(name),
        CREATION,
        true,
        constants.O_RDWR,
      );
      if (name === 'counter') await vfs.write(handle, 0, Buffer.alloc(8));
      await vfs.fsync(handle);
      await vfs.release(handle);
      files.push(attributes.inode);
    }
    await vfs.fsyncDirectory(ROOT_INODE);
    const [journal = 0, counter = 0] = files;
    return { directories: made, journal, counter, logs, markers };
  }

  /** How often names are looked up again and again, which a client that is cut off answers for as long as it believes them. */
  watchWeight = 0;
  /** Told at a moment at which the client's process may be killed: it has, or somebody has seen, what it did last. */
  mayCrash: (client: string) => void = () => undefined;

  /** Whether programs of this machine do anything just now. */
  isTurnOf: (machine: Machine) => boolean = () => true;

  /** One program: does one thing after the other until it is told to stop. Rejects with a BrokenPromise alone. */
  async runProgram(client: LiveClient, random: SeededRandom, busyness: number): Promise<void> {
    while (!this.isStopped) {
      await sleep(client.clock, random.between(0, 60 / busyness));
      if (!this.isTurnOf(client.machine)) continue;
      await this.#runOne(client, random);
    }
  }

  async #runOne(client: LiveClient, random: SeededRandom): Promise<void> {
    const [what, act] = this.#choose(random);
    this.tried += 1;
    const number = this.tried;
    this.#note(`${client.id} op ${number} begins: ${what}`);
    try {
      await act(client, random);
      this.succeeded += 1;
      this.#note(`${client.id} op ${number} is done: ${what}`);
    } catch (error) {
      if (!(error instanceof DfsError)) throw error;
      if (!hasCode(error, ...REFUSALS, ...TROUBLES)) {
        throw new BrokenPromise(`${client.id} was told ${error.code} by ${what}: ${error.message}`);
      }
      this.#note(`${client.id} op ${number} failed: ${what}: ${error.code} ${error.message}`);
    }
  }

  #choose(random: SeededRandom): [string, (client: LiveClient, random: SeededRandom) => Promise<void>] {
    const kinds: [number, string, (client: LiveClient, random: SeededRandom) => Promise<void>][] = [
      [14, 'create', async (...each) => await this.#create(...each)],
      [10, 'unlink', async (...each) => await this.#unlink(...each)],
      [10, 'look', async (...each) => await this.#look(...each)],
      [this.watchWeight, 'watch', async (...each) => await this.#watch(...each)],
      [22, 'write', async (...each) => await this.#write(...each)],
      [18, 'read', async (...each) => await this.#read(...each)],
      [4, 'follow', async (...each) => await this.#follow(...each)],
      [6, 'mark', async (...each) => await this.#mark(...each)],
      [3, 'look for markers', async (...each) => await this.#lookForMarkers(...each)],
      [4, 'read by old extents', async (...each) => await this.#readByOldExtents(...each)],
      [5, 'truncate', async (...each) => await this.#truncate(...each)],
      [8, 'rename', async (...each) => await this.#rename(...each)],
      [4, 'link', async (...each) => await this.#link(...each)],
      [5, 'append', async (...each) => await this.#append(...each)],
      [3, 'read journal', async client => await this.readJournal(client)],
      [4, 'count', async (...each) => await this.#count(...each)],
      [3, 'sync directory', async (...each) => await this.#syncDirectory(...each)],
      [4, 'list', async (...each) => await this.#list(...each)],
      [3, 'mkdir', async (...each) => await this.#makeDirectory(...each)],
      [6, 'symbolic link', async (...each) => await this.#symbolicLinks.act(...each)],
      [3, 'rmdir', async (...each) => await this.#removeDirectory(...each)],
    ];
    let left = random.integer(
      0,
      kinds.reduce((sum, [weight]) => sum + weight, 0),
    );
    for (const [weight, what, act] of kinds) {
      left -= weight;
      if (left < 0) return [what, act];
    }
    throw new Error('the weights do not add up');
  }

  /** Does what changes names; tells the history how it ended. */
  async #change<Result>(
    client: LiveClient,
    change: Change,
    directories: readonly number[],
    work: () => Promise<Result>,
  ): Promise<Result> {
    try {
      return await client.names.changing(directories, work());
    } catch (error) {
      if (hasCode(error, ...REFUSALS)) this.history.refuse(change);
      throw error;
    }
  }

  /** O_CREAT | O_EXCL, and often something to write. */
  async #create(client: LiveClient, random: SeededRandom): Promise<void> {
    const { history } = this;
    const directory = random.pick(this.places.directories);
    const name = random.pick(NAMES);
    const register = nameRegister(directory, name);
    const change = history.begin(`create ${name}`, client.id, [[register, UNKNOWN]]);
    change.isExclusive = true;
    const { began } = change;
    let made;
    try {
      made = await this.#change(
        client,
        change,
        [directory],
        async () => await client.vfs.create(directory, Buffer.from(name), CREATION, true, constants.O_RDWR),
      );
    } catch (error) {
      if (hasCode(error, 'EEXIST')) history.observePresence(client.id, 'refused', register, began);
      throw error;
    }
    history.learn(change, register, made.attributes.inode);
    history.acknowledge(change);
    history.checkOneWinner(register, change);
    const file = new ObservedFile(client, history, made.handle);
    await this.#using(file, async () => {
      if (random.isChance(0.7)) await this.#writeBlocks(file, random);
    });
  }

  async #using(file: ObservedFile, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } finally {
      await file.close();
    }
  }

  async #writeBlocks(file: ObservedFile, random: SeededRandom): Promise<void> {
    const writes = random.integer(1, 4);
    for (let index = 0; index < writes; index += 1) {
      const block = random.integer(0, FILE_BLOCKS);
      const count = random.integer(1, Math.min(12, FILE_BLOCKS - block) + 1);
      this.#lastTag += 1;
      await file.write(block, count, this.#lastTag);
      if (random.isChance(0.3)) await file.read(0, FILE_BLOCKS);
    }
    await file.flush(random.isChance(0.4));
    if (random.isChance(0.3)) await file.read(0, FILE_BLOCKS);
  }

  /** A file, then a marker in another directory that says that the file is there. */
  async #mark(client: LiveClient, random: SeededRandom): Promise<void> {
    const { markers } = this.places;
    this.#lastTag += 1;
    const name = String(this.#lastTag);
    const logs = await this.#logsOf(client, client.id, true);
    const file = await this.#make(client, logs, name);
    await this.#using(file, async () => {
      await file.write(0, random.integer(1, FILE_BLOCKS + 1), this.#lastTag);
      await file.flush(random.isChance(0.1));
      // While the bytes, and then the names, are on their way; the kernel waits for no RELEASE.
      const crashed = sleep(client.clock, random.between(0, 20)).then(() => this.mayCrash(client.id));
      const marker = await this.#make(client, markers, name);
      await marker.close();
      await crashed;
    });
  }

  /** The directory in which a client writes what its markers tell of, and which it has to itself; 0 when there is none. */
  async #logsOf(client: LiveClient, maker: string, mayMake: boolean): Promise<number> {
    const { logs } = this.places;
    // It may have gone with the last second before a power loss, but not with anything less.
    const found = await this.#find(client, logs, maker);
    return found === 0 && mayMake ? await this.#mkdir(client, logs, maker) : found;
  }

  /** A file with a name of its own. */
  async #make(client: LiveClient, directory: number, name: string): Promise<ObservedFile> {
    const { history } = this;
    const register = nameRegister(directory, name);
    const change = history.begin(`make ${name}`, client.id, [[register, UNKNOWN]]);
    const made = await client.vfs.create(directory, Buffer.from(name), CREATION, true, constants.O_RDWR);
    history.learn(change, register, made.attributes.inode);
    history.acknowledge(change);
    return new ObservedFile(client, history, made.handle);
  }

  /** Who has seen a marker finds the file, although its maker was killed that moment. */
  async #lookForMarkers(client: LiveClient, random: SeededRandom): Promise<void> {
    const found = await this.markers(client);
    const [newest] = found.toSorted((a, b) => Number(b) - Number(a));
    if (newest === undefined) return;
    const seen = random.isChance(0.7) ? newest : random.pick(found);
    const maker = this.history.clientOf(nameRegister(this.places.markers, seen));
    if (maker !== client.id) this.mayCrash(maker);
    await this.checkMarked(client, seen);
  }

  /** The markers that there are. */
  async markers(client: LiveClient): Promise<string[]> {
    const { history, places } = this;
    const began = history.now();
    const found = new Map<string, number>();
    for await (const { name, attributes } of client.vfs.readdir(places.markers)) {
      found.set(nameRegister(places.markers, name.toString()), attributes.inode);
    }
    for (const register of history.registers(nameRegister(places.markers, ''))) {
      history.observe(client.id, 'listing', register, found.get(register) ?? 0, began);
    }
    return [...found.keys()].map(register => register.slice(nameRegister(places.markers, '').length));
  }

  /** Checks the file of a marker that is there. */
  async checkMarked(client: LiveClient, name: string): Promise<void> {
    const maker = this.history.clientOf(nameRegister(this.places.markers, name));
    const logs = await this.#logsOf(client, maker, false);
    if (logs === 0) return;
    const inode = await this.#find(client, logs, name);
    if (inode === 0) return;
    const file = await ObservedFile.open(client, this.history, inode, false);
    await this.#using(file, async () => await file.read(0, FILE_BLOCKS));
  }

  async #unlink(client: LiveClient, random: SeededRandom): Promise<void> {
    const directory = random.pick(this.places.directories);
    const name = random.pick(random.isChance(0.3) ? LINK_NAMES : NAMES);
    const register = nameRegister(directory, name);
    const change = this.history.begin(`unlink ${name}`, client.id, [[register, 0]]);
    await this.#changeOfPresent(client, change, register, directory, async () => {
      await client.vfs.unlink(directory, Buffer.from(name));
    });
    this.history.acknowledge(change);
  }

  /** A change that is refused with ENOENT when the name is not there. */
  async #changeOfPresent(
    client: LiveClient,
    change: Change,
    register: string,
    directory: number,
    work: () => Promise<void>,
  ): Promise<void> {
    try {
      await this.#change(client, change, [directory], work);
    } catch (error) {
      if (hasCode(error, 'ENOENT')) {
        this.history.observe(client.id, 'refused', register, 0, change.began);
      }
      throw error;
    }
  }

  async #find(client: LiveClient, directory: number, name: string): Promise<number> {
    const began = this.history.now();
    const inode = await client.names.find(directory, name);
    this.history.observe(client.id, 'looking', nameRegister(directory, name), inode, began);
    return inode;
  }

  async #look(client: LiveClient, random: SeededRandom): Promise<void> {
    const directory = random.pick(this.places.directories);
    // All of them are kept from then on, and told again.
    const names = random.isChance(0.5) ? NAMES : [random.pick(NAMES)];
    for (const name of names) await this.#find(client, directory, name);
  }

  async #watch(client: LiveClient, random: SeededRandom): Promise<void> {
    const directory = random.pick(this.places.directories);
    for (let looks = random.integer(3, 30); looks > 0 && !this.isStopped; looks -= 1) {
      for (const name of NAMES) await this.#find(client, directory, name);
      await sleep(client.clock, random.between(50, 500));
    }
  }

  async #write(client: LiveClient, random: SeededRandom): Promise<void> {
    const inode = await this.#find(client, random.pick(this.places.directories), random.pick(NAMES));
    if (inode === 0) return;
    const file = await ObservedFile.open(client, this.history, inode, true);
    await this.#using(file, async () => {
      await this.#writeBlocks(file, random);
      if (random.isChance(0.4)) await sleep(client.clock, random.between(0, 1500));
      if (random.isChance(0.5)) await this.#writeBlocks(file, random);
    });
  }

  async #read(client: LiveClient, random: SeededRandom): Promise<void> {
    const inode = await this.#find(client, random.pick(this.places.directories), random.pick(NAMES));
    if (inode === 0) return;
    const file = await ObservedFile.open(client, this.history, inode, false);
    await this.#using(file, async () => {
      await file.read(0, FILE_BLOCKS);
      while (random.isChance(0.4)) {
        await sleep(client.clock, random.between(0, 800));
        const block = random.integer(0, FILE_BLOCKS);
        await file.read(block, FILE_BLOCKS - block);
      }
    });
  }

  /** `tail -f`: has a file open that others write, and looks again and again. */
  async #follow(client: LiveClient, random: SeededRandom): Promise<void> {
    const inode = await this.#find(client, random.pick(this.places.directories), random.pick(NAMES));
    if (inode === 0) return;
    const file = await ObservedFile.open(client, this.history, inode, false);
    await this.#using(file, async () => {
      for (let looks = random.integer(2, 12); looks > 0; looks -= 1) {
        if (random.isChance(0.3)) await file.stat();
        else if (random.isChance(0.15)) await file.seekData();
        else await file.read(0, FILE_BLOCKS);
        await sleep(client.clock, random.between(0, 60));
      }
    });
  }

  /** A client that was told where a file's bytes are finds them there for a while, whatever others do to the file. */
  async #readByOldExtents(client: LiveClient, random: SeededRandom): Promise<void> {
    const { uncached, clock } = client;
    const inode = await this.#find(client, random.pick(this.places.directories), random.pick(NAMES));
    if (inode === 0) return;
    const askedMs = clock.monotonicMs();
    const told = await uncached.session.ask(get, { inode, offset: 0, limit: FILE_BLOCKS });
    uncached.nodes.learn(told.nodes);
    await sleep(clock, random.between(0, OLD_EXTENTS_MS));
    const reader = new ChunkReader(uncached.nodes, uncached.log);
    for (const location of readableChunks(told.chunks, told.readGrants)) {
      try {
        await reader.read(location, 0, location.length);
      } catch (error) {
        // The server was started anew with another time, by which the grant is old.
        if (isGrantRefused(error)) return;
        const isInTime = clock.monotonicMs() - askedMs < GRACE_MS * 0.9;
        if (!isInTime || !hasCode(error, 'ENOENT') || this.#mayHaveLostChunks()) throw error;
        throw new BrokenPromise(
          `${client.id} was cut off: chunk ${location.chunk} of inode ${inode} was collected while it read`,
        );
      }
    }
  }

  async #truncate(client: LiveClient, random: SeededRandom): Promise<void> {
    const inode = await this.#find(client, random.pick(this.places.directories), random.pick(NAMES));
    if (inode === 0) return;
    const blocks = random.integer(0, FILE_BLOCKS + 1);
    const effects: [string, number][] = [];
    for (let block = blocks; block < FILE_BLOCKS; block += 1) effects.push([blockRegister(inode, block), 0]);
    const change = this.history.begin(`truncate to ${blocks}`, client.id, effects);
    await this.#change(client, change, [], async () => {
      await client.vfs.setattr(inode, { size: blocks * BLOCK_BYTES });
    });
    this.history.acknowledge(change);
  }

  async #rename(client: LiveClient, random: SeededRandom): Promise<void> {
    const [from, to] = [random.pick(this.places.directories), random.pick(this.places.directories)];
    const [name, newName] = [random.pick(NAMES), random.pick(NAMES)];
    // One file onto itself does nothing.
    if (from === to && name === newName) return;
    const source = nameRegister(from, name);
    const target = nameRegister(to, newName);
    const change = this.history.begin(`rename ${name} to ${newName}`, client.id, [
      [source, 0],
      [target, UNKNOWN],
    ]);
    await this.#changeOfPresent(client, change, source, from, async () => {
      await client.names.changing(
        [to],
        client.vfs.rename(from, Buffer.from(name), to, Buffer.from(newName), 0),
      );
    });
    this.history.acknowledge(change);
  }

  async #link(client: LiveClient, random: SeededRandom): Promise<void> {
    const inode = await this.#find(client, random.pick(this.places.directories), random.pick(NAMES));
    if (inode === 0) return;
    const directory = random.pick(this.places.directories);
    const name = random.pick(LINK_NAMES);
    const register = nameRegister(directory, name);
    const change = this.history.begin(`link ${inode} as ${name}`, client.id, [[register, inode]]);
    change.isExclusive = true;
    await this.#change(client, change, [directory], async () => {
      await client.vfs.link(inode, directory, Buffer.from(name));
    });
    this.history.acknowledge(change);
    this.history.checkOneWinner(register, change);
  }

  async #append(client: LiveClient, random: SeededRandom): Promise<void> {
    const { history, places } = this;
    const handle = await client.vfs.open(places.journal, constants.O_WRONLY | constants.O_APPEND);
    try {
      const changes: Change[] = [];
      const count = random.integer(1, 4);
      for (let index = 0; index < count; index += 1) {
        this.#lastTag += 1;
        const id = this.#lastTag;
        const change = history.begin(`append ${id}`, client.id, [[`record:${id}`, 1]]);
        const bytes = Buffer.alloc(RECORD_BYTES);
        for (let at = 0; at < RECORD_BYTES; at += 4) bytes.writeUInt32LE(id, at);
        await client.vfs.write(handle, 0, bytes);
        history.acknowledge(change, false);
        changes.push(change);
      }
      const isDurable = random.isChance(0.5);
      try {
        if (isDurable) await client.vfs.fsync(handle);
        else await client.vfs.flush(handle);
      } catch (error) {
        for (const change of changes) history.reportLoss(change);
        throw error;
      }
      if (!isDurable) return;
      for (const change of changes) {
        history.acknowledge(change);
        change.isDurable = true;
      }
    } finally {
      await client.vfs.release(handle);
    }
  }

  /** Every record that was acknowledged is there, once, and whole. */
  async readJournal(client: LiveClient): Promise<void> {
    const { history, places } = this;
    const began = history.now();
    const handle = await client.vfs.open(places.journal, constants.O_RDONLY);
    try {
      const bytes = Buffer.concat(await client.vfs.read(handle, 0, this.#lastTag * RECORD_BYTES + (1 << 16)));
      const found = new Set<number>();
      // Who lost a record with the server's power has appended others behind it meanwhile.
      let holes = history.lostOf('record:');
      for (let at = 0; at < bytes.length; at += RECORD_BYTES) {
        const id = bytes.readUInt32LE(at);
        const isWhole = at + RECORD_BYTES <= bytes.length && bytes.readUInt32LE(at + 12) === id;
        if (id === 0 && isWhole && holes > 0) {
          holes -= 1;
          continue;
        }
        if (id === 0 || !isWhole || found.has(id)) {
          throw new BrokenPromise(`the journal holds ${id} at ${at}${found.has(id) ? ' again' : ', torn'}`);
        }
        found.add(id);
      }
      const known = history.registers('record:');
      for (const id of found) {
        if (!known.includes(`record:${id}`)) throw new BrokenPromise(`nobody appended ${id} to the journal`);
      }
      for (const register of known) {
        const isThere = found.has(Number(register.slice('record:'.length)));
        history.observe(client.id, 'reading the journal', register, isThere ? 1 : 0, began);
      }
    } finally {
      await client.vfs.release(handle);
    }
  }

  /** Counts a number up under a lock: nobody may count the same number, or a lower one. */
  async #count(client: LiveClient, random: SeededRandom): Promise<void> {
    const { vfs, clock, id } = client;
    const handle = await vfs.open(this.places.counter, constants.O_RDWR);
    this.#lastTag += 1;
    const range = {
      kind: 'posix',
      owner: this.#lastTag.toString(16),
      start: 0,
      end: MAX_FILE_BYTES,
    } as const;
    try {
      const countedBefore = this.#highestCounted;
      const giveUp = new AbortController();
      const patience = clock.setTimer(3000, () => giveUp.abort());
      try {
        await vfs.lock(handle, { ...range, type: 'write', pid: 1 }, true, giveUp.signal);
      } finally {
        patience.cancel();
      }
      const before = Buffer.concat(await vfs.read(handle, 0, 8));
      if (before.length !== 8) throw new BrokenPromise(`the counter has ${before.length} bytes`);
      const number = before.readUInt32LE(0) + 1;
      if (number <= countedBefore) {
        throw new BrokenPromise(
          `${id} read ${number - 1} under the lock; ${countedBefore} was counted before`,
        );
      }
      this.lockHolders.add(client);
      if (random.isChance(0.4))
        await sleep(clock, random.between(0, random.isChance(this.longHoldChance) ? 12_000 : 200));
      const after = Buffer.alloc(8);
      after.writeUInt32LE(number, 0);
      await vfs.write(handle, 0, after);
      await vfs.fsync(handle);
      const other = this.#counted.get(number);
      if (other !== undefined) throw new BrokenPromise(`${other} and ${id} both counted ${number}`);
      this.#counted.set(number, id);
      this.#highestCounted = Math.max(this.#highestCounted, number);
      await vfs.unlock(handle, range);
    } finally {
      this.lockHolders.delete(client);
      await vfs.release(handle);
    }
  }

  async #syncDirectory(client: LiveClient, random: SeededRandom): Promise<void> {
    const directory = random.pick(this.places.directories);
    const began = this.history.now();
    await client.vfs.fsyncDirectory(directory);
    const prefix = `name:${directory}/`;
    this.history.makeDurable(began, ({ effects }) =>
      [...effects.keys()].some(register => register.startsWith(prefix)),
    );
  }

  async #list(client: LiveClient, random: SeededRandom): Promise<void> {
    const directory = random.pick(this.places.directories);
    if (random.fraction() < 1 / 2) await this.list(client, directory);
    else await this.#listNames(client, directory);
  }

  /** Lists a directory without attributes, and checks each name and its type. */
  async #listNames(client: LiveClient, directory: number): Promise<void> {
    const began = this.history.now();
    const found = new Map<string, number>();
    for (let after: Uint8Array = Buffer.alloc(0); ;) {
      const { names, attributesOf, isLast } = await client.vfs.readNames(directory, after);
      for (let index = 0; index < names.count; index += 1) {
        const inode = names.inodes[index] ?? 0;
        found.set(names.nameAt(index).toString(), inode);
        const mode = attributesOf(inode)?.mode;
        if (mode !== undefined && typeOf(mode) !== names.types[index])
          throw new BrokenPromise(`inode ${inode} is listed with another type than it has`);
      }
      if (isLast || names.count === 0) break;
      after = Buffer.from(names.nameAt(names.count - 1));
    }
    this.#observeListing(client, directory, found, began);
  }

  /** Lists a directory and checks each name; returns name → inode of its files. */
  async list(client: LiveClient, directory: number): Promise<Map<string, number>> {
    const began = this.history.now();
    const found = new Map<string, number>();
    const files = new Map<string, number>();
    for await (const { name, attributes } of client.vfs.readdir(directory)) {
      found.set(name.toString(), attributes.inode);
      if ((attributes.mode & S_IFMT) !== S_IFDIR) files.set(name.toString(), attributes.inode);
    }
    this.#observeListing(client, directory, found, began);
    return files;
  }

  #observeListing(client: LiveClient, directory: number, found: Map<string, number>, began: number): void {
    for (const name of [...NAMES, ...LINK_NAMES, ...SYMLINK_NAMES, ...DIRECTORY_NAMES]) {
      const register = nameRegister(directory, name);
      this.history.observe(client.id, 'listing', register, found.get(name) ?? 0, began);
      found.delete(name);
    }
    const [surplus] = found.keys();
    if (surplus !== undefined)
      throw new BrokenPromise(`directory ${directory} has ${surplus}, which nobody made`);
  }

  async #makeDirectory(client: LiveClient, random: SeededRandom): Promise<void> {
    await this.#mkdir(client, random.pick(this.places.directories), random.pick(DIRECTORY_NAMES));
  }

  /** Makes a directory, and returns its inode. */
  async #mkdir(client: LiveClient, directory: number, name: string): Promise<number> {
    const register = nameRegister(directory, name);
    const change = this.history.begin(`mkdir ${name}`, client.id, [[register, UNKNOWN]]);
    change.isExclusive = true;
    const made = await this.#change(client, change, [directory], async () =>
      client.vfs.mkdir(directory, Buffer.from(name), { ...CREATION, mode: 0o755 }),
    );
    this.history.learn(change, register, made.inode);
    this.history.acknowledge(change);
    this.history.checkOneWinner(register, change);
    return made.inode;
  }

  async #removeDirectory(client: LiveClient, random: SeededRandom): Promise<void> {
    const directory = random.pick(this.places.directories);
    const name = random.pick(DIRECTORY_NAMES);
    const register = nameRegister(directory, name);
    const change = this.history.begin(`rmdir ${name}`, client.id, [[register, 0]]);
    await this.#changeOfPresent(client, change, register, directory, async () => {
      await client.vfs.rmdir(directory, Buffer.from(name));
    });
    this.history.acknowledge(change);
  }
}
