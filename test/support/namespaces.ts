/**
 * Machines of a test: network namespaces on one switch, which is a namespace too, so that nothing of the real machine's
 * network is touched. Root only.
 */
import { randomBytes } from 'node:crypto';
import type { Test } from 'tap';
import { shell } from './programs.js';

const DEFAULT_NETWORK = '10.213.0';
/** Belongs to nobody: what is sent there arrives nowhere, and nobody is told. */
const NOBODY = '02:00:00:00:00:01';

/** Where the processes of a cluster run. */
export interface Machines {
  /** The IP address of a machine; makes it if there is none of this name. */
  addressOf(name: string): Promise<string>;
  /** What the command line of a program begins with that shall run there; addressOf() was asked before. */
  prefixOf(name: string): readonly string[];
}

export class Namespaces implements Machines {
  readonly #id = `dfs-${process.pid}-${randomBytes(2).toString('hex')}`;
  readonly #addresses = new Map<string, string>();

  readonly #network: string;

  constructor(network: string) {
    this.#network = network;
  }

  /**
   * Makes the switch. Everything is removed when `t` ends.
   * @param network the first three numbers of its addresses
   */
  static async create(t: Test, network = DEFAULT_NETWORK): Promise<Namespaces> {
    const namespaces = new Namespaces(network);
    t.teardown(async () => await namespaces.#remove());
    const hub = namespaces.#hub;
    await shell(
      `ip netns add ${hub} && ip -n ${hub} link add hub type bridge && ip -n ${hub} link set hub up`,
    );
    return namespaces;
  }

  async addressOf(name: string): Promise<string> {
    const known = this.#addresses.get(name);
    if (known !== undefined) return known;
    const number = this.#addresses.size + 1;
    const address = `${this.#network}.${number}`;
    this.#addresses.set(name, address);
    const [namespace, hub] = [this.#namespaceOf(name), this.#hub];
    await shell(`
      ip netns add ${namespace}
      ip link add eth0 netns ${namespace} type veth peer name port${number} netns ${hub}
      ip -n ${hub} link set port${number} master hub up
      ip -n ${namespace} addr add ${address}/24 dev eth0
      ip -n ${namespace} link set lo up && ip -n ${namespace} link set eth0 up`);
    return address;
  }

  prefixOf(name: string): readonly string[] {
    // Not `ip netns exec`, which makes a mount namespace too: nobody else would see what is mounted in it.
    return ['nsenter', `--net=${this.pathOf(name)}`];
  }

  /** The file by which the kernel knows the network of a machine; addressOf() was asked before. */
  pathOf(name: string): string {
    return `/run/netns/${this.#namespaceOf(name)}`;
  }

  /** From now on nothing gets from one to the other, in either direction, and neither is told. */
  async cut(one: string, other: string): Promise<void> {
    await this.#between(
      one,
      other,
      address => `neigh replace ${address} lladdr ${NOBODY} dev eth0 nud permanent`,
    );
  }

  async heal(one: string, other: string): Promise<void> {
    await this.#between(one, other, address => `neigh del ${address} dev eth0`);
  }

  get #hub(): string {
    return `${this.#id}-hub`;
  }

  #namespaceOf(name: string): string {
    return `${this.#id}-${name}`;
  }

  async #between(one: string, other: string, command: (address: string) => string): Promise<void> {
    for (const [from, to] of [
      [one, other],
      [other, one],
    ] as const)
      await shell(`ip -n ${this.#namespaceOf(from)} ${command(await this.addressOf(to))}`);
  }

  async #remove(): Promise<void> {
    const names = [...this.#addresses.keys()].map(name => this.#namespaceOf(name));
    for (const name of [...names, this.#hub]) await shell(`ip netns del ${name}`);
  }
}
