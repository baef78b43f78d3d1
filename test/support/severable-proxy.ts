/** A TCP proxy on loopback that can be cut as a cable is: both ends keep their connections and hear nothing. */
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import type { Test } from 'tap';
import type { Endpoint } from '../../src/platform/network.js';

export class SeverableProxy {
  readonly #target: Endpoint;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #isCut = false;

  constructor(target: Endpoint) {
    this.#target = target;
    this.#server = createServer(client => this.#join(client));
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(0, '127.0.0.1', resolve);
    });
  }

  get address(): string {
    // A TCP server that listens has such an address.
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Nothing passes any more, in either direction. */
  cut(): void {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.pause();
  }

  /** What was held back passes, and everything else. */
  mend(): void {
    this.#isCut = false;
    for (const socket of this.#sockets) socket.resume();
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>(resolve => {
      this.#server.close(() => resolve());
    });
  }

  #join(client: Socket): void {
    const { host, port } = this.#target;
    const server = connect({ host, port });
    this.#pass(client, server);
    this.#pass(server, client);
  }

  #pass(from: Socket, to: Socket): void {
    this.#sockets.add(from);
    from.on('data', data => {
      to.write(data);
    });
    from.on('error', () => to.destroy());
    from.on('close', () => {
      this.#sockets.delete(from);
      to.destroy();
    });
    if (this.#isCut) from.pause();
  }
}

/** In front of `target`, until `t` ends. */
export async function startProxy(t: Test, target: Endpoint): Promise<SeverableProxy> {
  const proxy = new SeverableProxy(target);
  await proxy.listen();
  t.teardown(async () => await proxy.close());
  return proxy;
}
