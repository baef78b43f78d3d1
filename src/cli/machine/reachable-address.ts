/** By which address other machines reach this one. */
import { createSocket } from 'node:dgram';
import { networkInterfaces } from 'node:os';
import { UsageError } from '../usage-error.js';

/** Belongs to nobody (RFC 5737). Nothing is sent there. */
const ELSEWHERE = '192.0.2.1';
const ANY_PORT = 9;

/**
 * This machine's address: the one with which it would reach other networks, else the only one it has. Undefined when it has none but
 * loopback. UsageError when it has several and no way to tell which is meant.
 */
export async function reachableAddress(): Promise<string | undefined> {
  const routed = await addressOfDefaultRoute();
  if (routed !== undefined) return routed;
  const own = Object.values(networkInterfaces())
    .flatMap(addresses => addresses ?? [])
    .filter(({ internal, scopeid }) => !internal && !scopeid)
    .map(({ address, family }) => ({ address, family }));
  const ipv4 = own.filter(({ family }) => family === 'IPv4');
  const [only, ...others] = ipv4.length > 0 ? ipv4 : own;
  if (only && others.length > 0) {
    const all = [only, ...others].map(({ address }) => address).join(', ');
    throw new UsageError(
      `this machine has several addresses (${all}); say by --host which one others reach it by`,
    );
  }
  return only?.address;
}

/** Connecting a datagram socket sends nothing, and settles the address that it would send from. */
async function addressOfDefaultRoute(): Promise<string | undefined> {
  const socket = createSocket('udp4');
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.connect(ANY_PORT, ELSEWHERE, (error?: Error) => (error ? reject(error) : resolve()));
    });
    return socket.address().address;
  } catch {
    return undefined;
  } finally {
    socket.close();
  }
}
