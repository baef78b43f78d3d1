/** What somebody who means no good can send. Each takes bounded time, and leaves its connections to be closed. */
import type { Endpoint } from '../../../src/platform/network.js';
import { HostilePeer, prefixOf } from './hostile-peer.js';

const MIB = 1 << 20;
const HELLO = 2001;
const LIST = 25;
const WRITE = 1001;

/** How a connection is made on which the attack begins. */
export type Connect = (endpoint: Endpoint) => Promise<HostilePeer>;

/**
 * `hello` with a header of `bytes` full of definitions of records with two-byte ids below 32, all different, by `frames`
 * connections one after the other.
 */
export async function recordDefinitions(endpoint: Endpoint, frames: number, bytes: number): Promise<void> {
  for (let frame = 0; frame < frames; frame += 1) {
    const peer = (await HostilePeer.connect(endpoint)).read();
    const header = definitions(frame, bytes);
    await peer.write(Buffer.concat([prefixOf(HELLO, header.length), header]));
    await new Promise(setImmediate);
    peer.close();
  }
}

function definitions(frame: number, bytes: number): Buffer {
  const header = Buffer.alloc(bytes);
  // A list of records that have one key each, of 200 bytes.
  header.writeUInt8(0xdd, 0);
  let at = 5;
  let count = 0;
  for (; at + 220 < bytes && count < 32 * 256; count += 1) {
    Buffer.from([0xd5, 0x72, count % 32, count >> 5, 0x91, 0xd9, 200]).copy(header, at);
    header.fill(`${frame}-${count}-`, at + 7, at + 207);
    header.writeUInt8(1, at + 207);
    at += 208;
  }
  header.writeUInt32BE(count, 1);
  return header.subarray(0, at);
}

/** `hello` with headers of so many bytes, each on a connection of its own, all at once. */
export async function largeHellos(endpoint: Endpoint, count: number, bytes: number): Promise<void> {
  const header = Buffer.alloc(bytes, 0x80);
  header.writeUInt8(0xdd, 0);
  header.writeUInt32BE(bytes - 5, 1);
  const frame = Buffer.concat([prefixOf(HELLO, header.length), header]);
  const peers = await Promise.all(
    Array.from({ length: count }, async () => await HostilePeer.connect(endpoint)),
  );
  await Promise.all(peers.map(async peer => await peer.read().write(frame)));
  for (const peer of peers) peer.close();
}

/** Writes of a chunk of 64 MiB that stop after `bytes` each. Returns the connections, all still open on this side. */
export async function halfWrites(
  endpoint: Endpoint,
  connect: Connect,
  { connections, bytes }: { readonly connections: number; readonly bytes: number },
): Promise<HostilePeer[]> {
  const piece = Buffer.alloc(MIB, 7);
  const peers = await Promise.all(Array.from({ length: connections }, async () => await connect(endpoint)));
  for (const peer of peers) {
    peer.read();
    void send(peer);
  }
  return peers;

  async function send(peer: HostilePeer): Promise<void> {
    await peer.write(prefixOf(WRITE, 100, 64 * MIB));
    for (let sent = 0; sent < bytes && !peer.isClosed; sent += piece.length) await peer.write(piece);
  }
}

/** `list` requests, `each` on every one of `connections`, whose replies nobody reads. */
export async function unreadLists(
  endpoint: Endpoint,
  connect: Connect,
  {
    connections,
    each,
    request,
  }: { readonly connections: number; readonly each: number; readonly request: Buffer },
): Promise<HostilePeer[]> {
  const peers = await Promise.all(Array.from({ length: connections }, async () => await connect(endpoint)));
  const requests = Buffer.concat(
    Array.from({ length: each }, (_, index) =>
      Buffer.concat([prefixOf(LIST, request.length, 0, index + 1000), request]),
    ),
  );
  await Promise.all(peers.map(async peer => await peer.write(requests)));
  return peers;
}

/** Connections on which nothing is sent. */
export async function silentConnections(endpoint: Endpoint, count: number): Promise<HostilePeer[]> {
  const peers: HostilePeer[] = [];
  for (let index = 0; index < count; index += 1) peers.push((await HostilePeer.connect(endpoint)).read());
  return peers;
}
