/** Addresses as people type them: `host`, `host:port`, `host:port:/path`, with IPv6 addresses in brackets. */
import type { Endpoint } from '../platform/network.js';
import { UsageError } from './usage-error.js';

export const DEFAULT_METADATA_PORT = 8000;
/** By which a machine reaches its own servers. */
export const LOOPBACK = '127.0.0.1';
const MAX_PORT = 65_535;

/** A path in a DFS, and the metadata server that knows it. */
export interface RemotePath {
  readonly server: Endpoint;
  /** As it was typed, without its address. */
  readonly path: string;
}

/** A host's name or address, as RFC 3986 has hosts: brackets around what has colons. */
const HOST = String.raw`\[[0-9a-fA-F:.%\w]+\]|[^\s:/\[\]@]+`;
const HOST_PORT_PATH = new RegExp(`^(${HOST}):(\\d+):(.*)$`, 's');
const HOST_PORT = new RegExp(`^(${HOST})(?::(.*))?$`, 's');

function bareHost(host: string): string {
  return host.startsWith('[') ? host.slice(1, -1) : host;
}

/** A TCP port from 1 to 65535. UsageError otherwise. */
export function parsePort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > MAX_PORT) {
    throw new UsageError(`'${text}' is not a port; give a number from 1 to ${MAX_PORT}`);
  }
  return port;
}

/** A port to listen on: as parsePort(), or 0 for any free one. */
export function parseListenPort(text: string): number {
  return text === '0' ? 0 : parsePort(text);
}

/** A host alone; an IPv6 address may stand in brackets or not. UsageError otherwise. */
export function parseHost(text: string): string {
  const host = bareHost(text);
  // An IPv6 address has at least two colons; a single one is a port that does not belong here.
  const isSingleColon = host.split(':').length === 2;
  if (host === '' || isSingleColon || /[\s/@[\]]/.test(host)) {
    throw new UsageError(`'${text}' is not a host; give a name or an address, without a port`);
  }
  return host;
}

/** `[dfs://]host[:port][/]`. UsageError otherwise. */
export function parseServerUrl(text: string): Endpoint {
  return parseServer(text.replace(/^dfs:\/\//, '').replace(/\/$/, ''));
}

/** `host[:port]`. UsageError otherwise. */
export function parseServer(text: string, defaultPort = DEFAULT_METADATA_PORT): Endpoint {
  const [, host, port] = HOST_PORT.exec(text) ?? [];
  if (host === undefined) {
    throw new UsageError(
      `'${text}' is not a server address; give HOST or HOST:PORT, with brackets around an IPv6 address`,
    );
  }
  return { host: bareHost(host), port: port === undefined ? defaultPort : parsePort(port) };
}

/** `host[:port]`, or an IPv6 address without brackets; the port is undefined when there is none. UsageError otherwise. */
export function parseHostAndPort(text: string): { readonly host: string; readonly port: number | undefined } {
  const [, host, port] = HOST_PORT.exec(text) ?? [];
  if (host === undefined || port === undefined) return { host: parseHost(text), port: undefined };
  return { host: bareHost(host), port: parsePort(port) };
}

/** `host:port:path`, or undefined if `text` does not look like one. UsageError when only its port is wrong. */
export function parseRemotePath(text: string): RemotePath | undefined {
  const [, host, port, path] = HOST_PORT_PATH.exec(text) ?? [];
  if (host === undefined || port === undefined || path === undefined) return undefined;
  return { server: { host: bareHost(host), port: parsePort(port) }, path };
}

/**
 * What to mount: `[dfs://]host[:port]`, and the directory to begin with, as `host:/photos`, `host:8000:/photos` or
 * `dfs://host:8000/photos`. UsageError otherwise.
 */
export function parseMountSource(text: string): RemotePath {
  const source = text.replace(/^dfs:\/\//, '');
  const slash = source.indexOf('/');
  if (slash === -1) return { server: parseServer(source), path: '/' };
  return { server: parseServer(source.slice(0, slash).replace(/:$/, '')), path: source.slice(slash) };
}

/** `host:port`, with brackets where they are needed. */
export function formatEndpoint({ host, port }: Endpoint): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** What a server listens on to be reached by `address`, and on loopback too: all addresses of its kind. */
export function everywhereFor(address: string): string {
  return address.includes(':') ? '::' : '0.0.0.0';
}
