/** Which requests of a connection are answered before, and after, its peer has proved that it knows the cluster's key. */
import type { Random } from '../platform/random.js';
import type { Command } from '../protocol/command.js';
import { DfsError } from '../protocol/errors.js';
import { CHALLENGE_BYTES, hello, isSameProof, proofOf, prove } from './authentication.js';
import { Routes } from './connection.js';

/** Lets a connection's requests through once the client has proved that it knows the key. */
export class Gate {
  readonly routes: Routes;
  /** Called when the client has proved that it is a member. */
  onProved: () => void = () => undefined;
  #isOpen = false;

  constructor(key: Uint8Array, random: Random, inner: Routes) {
    const own = random.bytes(CHALLENGE_BYTES);
    let theirs: Uint8Array = new Uint8Array();
    this.routes = new Routes(inner)
      .on(hello, async ({ challenge }) => {
        theirs = challenge;
        return { challenge: own, proof: proofOf(key, 'server', theirs, own) };
      })
      .on(prove, async ({ proof }) => {
        if (!isSameProof(proof, proofOf(key, 'client', theirs, own))) {
          throw new DfsError('EACCES', 'the key is not the one of this cluster; check --key-file');
        }
        this.#isOpen = true;
        this.onProved();
        return {};
      });
  }

  /** Whether the client has proved that it is a member. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  admit(command: Command): void {
    if (this.#isOpen || command.number === hello.number || command.number === prove.number) return;
    throw new DfsError('EACCES', 'this cluster asks for its key; give --key-file FILE');
  }
}
