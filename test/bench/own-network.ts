/**
 * A network of a subject's own, so that its fixed ports are nobody else's and its processes are told from all others
 * (ip-netns(8)).
 */
import { shell } from '../support/programs.js';
import { endDaemons, inNetworkNamespace, type FindDaemons } from './daemons.js';

const END_MS = 20_000;

export class OwnNetwork {
  /** The one address in it. */
  readonly address = '10.99.0.1';
  /** All processes in it. */
  readonly findDaemons: FindDaemons;
  readonly #name = `dfs-bench-${process.pid}`;
  #isThere = false;

  constructor() {
    const find = inNetworkNamespace(`/run/netns/${this.#name}`);
    this.findDaemons = async () => (this.#isThere ? await find() : []);
  }

  /** The beginning of command lines that run in it. Not `ip netns exec`, whose mounts would be seen by nobody else. */
  get inside(): string {
    return `nsenter --net=/run/netns/${this.#name}`;
  }

  async make(): Promise<void> {
    await shell(`ip netns add ${this.#name}`);
    this.#isThere = true;
    await shell(`ip -n ${this.#name} link set lo up`);
    await shell(`ip -n ${this.#name} addr add ${this.address}/32 dev lo`);
  }

  /** Ends all processes in it, and removes it. May be called twice. */
  async remove(): Promise<void> {
    if (!this.#isThere) return;
    await endDaemons(this.findDaemons, END_MS);
    await shell(`ip netns del ${this.#name}`);
    this.#isThere = false;
  }
}
