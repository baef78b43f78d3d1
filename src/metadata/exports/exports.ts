/**
 * Which client may mount what: the rules, and the rights of each connection by the rule that its client's session was begun under.
 *
 * Connections on loopback are the machine's own, prove a key, and may do everything. Others show a certificate. Of the rules that match
 * its holder and address the most precise ones count, and no others (export-target.ts).
 */
import type { RequestOf } from '../../protocol/command.js';
import type { session as sessionCommand } from '../../protocol/session-commands.js';
import type { ExportRule, Rights } from '../../protocol/export-commands.js';
import { isDirectory, ROOT_INODE } from '../../protocol/file-mode.js';
import { DfsError } from '../../protocol/errors.js';
import { quoted } from '../../rules/names.js';
import type { Peer } from '../peer.js';
import type { StoreTransaction } from '../store/store.js';
import { parseTarget, type ExportTarget } from './export-target.js';
import { SessionRights, type CheckedOpens } from './session-rights.js';
import { DirectoryParents } from './subtree.js';

interface Rule {
  readonly rule: ExportRule;
  readonly target: ExportTarget;
}

/** What a connection's session was begun with. */
interface Begun {
  readonly session: number;
  /** The path that its client asked for; undefined: whatever it may mount. */
  readonly path: readonly Uint8Array[] | undefined;
  /** Undefined: it may do everything. */
  readonly rights: SessionRights | undefined;
}

/** The rights of a client that has begun no session: every command that is about files is refused to it. */
const BEFORE_SESSION: Rights = {
  root: ROOT_INODE,
  path: [],
  readOnly: true,
  squash: 'all',
  anonUid: 0xffff_fffe,
  anonGid: 0xffff_fffe,
  uids: [],
  gids: [],
};

export class Exports {
  #rules: readonly Rule[] = [];
  readonly parents = new DirectoryParents();
  /** connection → what its session was begun with */
  readonly #begun = new WeakMap<Peer, Begun>();
  /** Connections whose sessions see a part of the tree. */
  readonly #inParts = new Set<Peer>();
  /** Told of a connection whose client may have kept what is out of its reach now. */
  onLeft: (peer: Peer) => void = () => undefined;
  /** session with limited rights → what it has opened */
  readonly #opens = new Map<number, CheckedOpens>();
  readonly #beforeSession = new SessionRights(BEFORE_SESSION, new Map(), this.parents, 'unknown');

  /** The rules that count from now on. */
  setRules(rules: readonly ExportRule[]): void {
    this.#rules = rules.map(rule => ({ rule, target: parseTarget(rule.target) }));
  }

  /** The rights of a connection's client; undefined: it may do everything. */
  of(peer: Peer | undefined): SessionRights | undefined {
    if (peer === undefined || !isJudged(peer)) return undefined;
    const begun = this.#begun.get(peer);
    return begun ? begun.rights : this.#beforeSession;
  }

  /**
   * The rights that a client gets; undefined: it may do everything. EACCES when no rule is for it, or none reaches the path; ENOENT and
   * ENOTDIR for the path.
   */
  async find(
    tx: StoreTransaction,
    peer: Peer | undefined,
    path: readonly Uint8Array[] | undefined,
  ): Promise<Rights | undefined> {
    if (peer === undefined || !isJudged(peer)) return undefined;
    const rules = this.#rulesFor(peer);
    if (rules.length === 0) {
      // Rules that name no administrator are no reason to shut those out who change them.
      if (peer.member?.role === 'admin') return undefined;
      throw new DfsError('EACCES', `${nameOf(peer)} may mount nothing; let it: dfs export add`);
    }
    const rule = await this.#choose(tx, rules, path, peer);
    const { id: _id, target: _target, ...rights } = rule;
    const root = path === undefined ? rule.root : await directoryAt(tx, path);
    const told = { ...rights, root, path: path === undefined ? rule.path : [...path] };
    return isEverything(told) ? undefined : told;
  }

  /** The connection's session was begun, or resumed, with these rights. */
  begin(
    peer: Peer,
    session: number,
    { path, heedsRights }: Pick<RequestOf<typeof sessionCommand>, 'path' | 'heedsRights'>,
    told: Rights | undefined,
  ): void {
    const client = heedsRights === true ? 'heeds' : 'ignores';
    const rights = told && new SessionRights(told, this.#opensOf(session), this.parents, client);
    this.#begun.set(peer, { session, path, rights });
    if (told && told.root !== ROOT_INODE) this.#inParts.add(peer);
    else this.#inParts.delete(peer);
  }

  /**
   * A directory is about to move from one to another, or two of them change places: what is known of their parents is not true any
   * more, and a client that sees only one of the two is to drop what it has of the directory.
   */
  async directoryMoves(tx: StoreTransaction, from: number, to: number, isExchange: boolean): Promise<void> {
    for (const peer of this.#inParts) {
      const root = peer.isClosed ? undefined : this.of(peer)?.root;
      if (root === undefined) {
        this.#inParts.delete(peer);
        continue;
      }
      const wasIn = await this.parents.isBelow(tx, from, root);
      const comesIn = await this.parents.isBelow(tx, to, root);
      if (isExchange ? wasIn !== comesIn : wasIn && !comesIn) this.onLeft(peer);
    }
    this.parents.forget();
  }

  /** The session has ended. */
  end(session: number): void {
    this.#opens.delete(session);
  }

  /** Whether the rules give the connection's client other rights than those that its session was begun with. */
  async hasChanged(tx: StoreTransaction, peer: Peer): Promise<boolean> {
    const begun = this.#begun.get(peer);
    if (!begun) return false;
    try {
      const now = await this.find(tx, peer, begun.path);
      return JSON.stringify(now) !== JSON.stringify(begun.rights?.told);
    } catch {
      return true;
    }
  }

  #opensOf(session: number): CheckedOpens {
    let opens = this.#opens.get(session);
    if (!opens) this.#opens.set(session, (opens = new Map()));
    return opens;
  }

  /** The most precise ones of the rules that match, in the order in which they were made. */
  #rulesFor(peer: Peer): readonly ExportRule[] {
    const matching = this.#rules.filter(({ target }) => target.matches(peer));
    const precision = Math.max(...matching.map(({ target }) => target.precision));
    return matching.filter(({ target }) => target.precision === precision).map(({ rule }) => rule);
  }

  /** The rule for the deepest directory in which the path lies; without a path the one for `/`, or else the first. */
  async #choose(
    tx: StoreTransaction,
    rules: readonly ExportRule[],
    path: readonly Uint8Array[] | undefined,
    peer: Peer,
  ): Promise<ExportRule> {
    const [first] = rules;
    if (path === undefined && first) return rules.find(({ root }) => root === ROOT_INODE) ?? first;
    const directories = await directoriesAlong(tx, path ?? []);
    for (const directory of directories.toReversed()) {
      const found = rules.find(({ root }) => root === directory);
      if (found) return found;
    }
    const places = rules.map(({ path: names }) => quotedPath(names)).join(' and ');
    throw new DfsError('EACCES', `${nameOf(peer)} may mount ${places}, and not ${quotedPath(path ?? [])}`);
  }
}

/** Rules are for those who prove by a certificate who they are; a key alone does so on loopback only. */
function isJudged({ member }: Peer): boolean {
  const certificate = member?.certificate;
  return certificate !== undefined && member?.role !== 'node';
}

function isEverything({ root, readOnly, squash, uids, gids }: Rights): boolean {
  return root === ROOT_INODE && !readOnly && squash === 'none' && uids.length === 0 && gids.length === 0;
}

/** The directories from the root on along a path. ENOENT, ENOTDIR. */
async function directoriesAlong(tx: StoreTransaction, path: readonly Uint8Array[]): Promise<number[]> {
  const directories = [ROOT_INODE];
  let at = ROOT_INODE;
  for (const name of path) {
    at = (await tx.dentries.get(at, name))?.inode ?? 0;
    if (at === 0) throw new DfsError('ENOENT', `there is no ${quoted(name)} in ${quotedPath(path)}`);
    directories.push(at);
  }
  return directories;
}

/** The directory at a path. ENOENT, ENOTDIR. */
export async function directoryAt(tx: StoreTransaction, path: readonly Uint8Array[]): Promise<number> {
  const directory = (await directoriesAlong(tx, path)).at(-1) ?? ROOT_INODE;
  const record = await tx.inodes.get(directory);
  if (record && isDirectory(record.mode)) return directory;
  throw new DfsError('ENOTDIR', `${quotedPath(path)} is not a directory`);
}

function quotedPath(path: readonly Uint8Array[]): string {
  return `/${path.map(name => Buffer.from(name).toString()).join('/')}`;
}

/** Who asks, for people. */
function nameOf({ member, remoteHost }: Peer): string {
  const certificate = member?.certificate;
  const name = certificate ? `${certificate.role}/${certificate.name}` : 'this machine';
  return remoteHost === undefined ? name : `${name} at ${remoteHost}`;
}
