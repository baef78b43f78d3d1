/** A member's connection to a server, made with the client library of any compiled clone, so that versions can be compared. */
import type { Socket } from 'node:net';
import { pino } from 'pino';
import type { Command } from '../../../src/protocol/command.js';
import type { Clock } from '../../../src/platform/clock.js';
import type { Endpoint, Network } from '../../../src/platform/network.js';
import type { Random } from '../../../src/platform/random.js';
import type { RpcClient, RpcClientOptions } from '../../../src/rpc/client.js';
import type { Keyring, ServerKind } from '../../../src/rpc/keyring.js';
import { HostilePeer } from './hostile-peer.js';

export interface Member {
  /** The connection itself, which has proved what it is. */
  readonly socket: Socket;
  /** Sends a command that has nothing to say, and waits for the answer. Connects again if need be. */
  ask(commandNumber: number, timeoutMs: number): Promise<void>;
  close(): void;
}

const CONNECT_MS = 30_000;

/** A connection on which a member sends what it likes, and reads what it likes. */
export async function hostileMember(
  endpoint: Endpoint,
  server: ServerKind,
  keyPath: string,
): Promise<HostilePeer> {
  const own = new URL('../../../src/', import.meta.url).href;
  return new HostilePeer((await connectMember(own, endpoint, server, keyPath)).socket);
}

/**
 * @param build URL of the compiled sources
 * @param server what listens at the endpoint
 * @param keyPath the file with the cluster's key
 */
export async function connectMember(
  build: string,
  endpoint: Endpoint,
  server: ServerKind,
  keyPath: string,
): Promise<Member> {
  // Any other clone's modules have the same names; their types are taken to be the same as far as they are used here.
  const load = async (path: string): Promise<Record<string, unknown>> =>
    (await import(`${build}${path}`)) as Record<string, unknown>;
  const { systemClock } = (await load('platform/clock.js')) as { systemClock: Clock };
  const { tcpNetwork } = (await load('platform/network.js')) as { tcpNetwork: Network };
  const { systemRandom } = (await load('platform/random.js')) as { systemRandom: Random };
  const rpc = (await load('rpc/client.js')) as { RpcClient: typeof RpcClient };
  const { statfs } = (await load('protocol/namespace-commands.js')) as { statfs: Command };
  const { info } = (await load('protocol/datanode-commands.js')) as { info: Command };
  let socket: Socket | undefined;
  const watched: Network = {
    listen: async (...parameters) => await tcpNetwork.listen(...parameters),
    async connect(to, timeoutMs) {
      const bytes = await tcpNetwork.connect(to, timeoutMs);
      // TCP streams are sockets.
      socket = bytes.stream as Socket;
      return bytes;
    },
  };
  const { readKeyFile } = (await load('cli/key-file.js')) as { readKeyFile: (path: string) => Keyring };
  const options = {
    network: watched,
    clock: systemClock,
    random: systemRandom,
    log: pino({ level: 'silent' }),
    endpoint,
    keys: readKeyFile(keyPath),
    role: 'client',
    server,
  } satisfies RpcClientOptions;
  const client = new rpc.RpcClient(options);
  await client.connect(systemClock.monotonicMs() + CONNECT_MS);
  if (!socket) throw new Error('connected without a socket');
  return {
    socket,
    async ask(commandNumber, timeoutMs) {
      const command = [statfs, info].find(({ number }) => number === commandNumber);
      if (!command) throw new Error(`no command ${commandNumber} to ask`);
      const connection = await client.connect(systemClock.monotonicMs() + timeoutMs);
      await connection.call(command, {}, { timeoutMs });
    },
    close: () => client.close(),
  };
}
