import { constants } from 'node:os';
import { systemErrorText } from '../platform/file-error-text.js';

/**
 * The POSIX errors that travel on the wire by name, with Linux's numbers (<asm-generic/errno.h>). `os.constants` has
 * them for this machine; what it lacks (ENOATTR's Linux name, ESTALE on some platforms) is given here.
 */
const { errno } = constants;
export const ERRNO = {
  EPERM: errno.EPERM,
  ENOENT: errno.ENOENT,
  EINTR: errno.EINTR,
  EIO: errno.EIO,
  ENXIO: errno.ENXIO,
  E2BIG: errno.E2BIG,
  EBADF: errno.EBADF,
  EAGAIN: errno.EAGAIN,
  ENOMEM: errno.ENOMEM,
  EACCES: errno.EACCES,
  EBUSY: errno.EBUSY,
  EEXIST: errno.EEXIST,
  EXDEV: errno.EXDEV,
  ENODEV: errno.ENODEV,
  ENOTDIR: errno.ENOTDIR,
  EISDIR: errno.EISDIR,
  EINVAL: errno.EINVAL,
  ENFILE: errno.ENFILE,
  EFBIG: errno.EFBIG,
  ENOSPC: errno.ENOSPC,
  EROFS: errno.EROFS,
  EMLINK: errno.EMLINK,
  ERANGE: errno.ERANGE,
  EDEADLK: errno.EDEADLK,
  ENOLCK: errno.ENOLCK,
  ENAMETOOLONG: errno.ENAMETOOLONG,
  ENOSYS: errno.ENOSYS,
  ENOTTY: errno.ENOTTY,
  ENOTEMPTY: errno.ENOTEMPTY,
  ELOOP: errno.ELOOP,
  ENODATA: errno.ENODATA,
  /** "Structure needs cleaning": what a check found is not right. Not among Node's. */
  EUCLEAN: 117,
  EPROTO: errno.EPROTO,
  EBADMSG: errno.EBADMSG,
  EOPNOTSUPP: errno.EOPNOTSUPP,
  EADDRINUSE: errno.EADDRINUSE,
  EADDRNOTAVAIL: errno.EADDRNOTAVAIL,
  ECONNRESET: errno.ECONNRESET,
  ECONNREFUSED: errno.ECONNREFUSED,
  EHOSTUNREACH: errno.EHOSTUNREACH,
  ETIMEDOUT: errno.ETIMEDOUT,
  /** The server that answers is being shut down, or has gone on to another connection. Not among Node's. */
  ESHUTDOWN: 108,
  ESTALE: errno.ESTALE,
} as const;

/** The name of a POSIX error. */
export type ErrnoName = keyof typeof ERRNO;

export function isErrnoName(name: unknown): name is ErrnoName {
  return typeof name === 'string' && Object.hasOwn(ERRNO, name);
}

/**
 * The one error of DFS: a POSIX errno for programs and one sentence for people, which says what is wrong and, where
 * there is something to do, what to do.
 */
export class DfsError extends Error {
  override readonly name = 'DfsError';
  readonly code: ErrnoName;
  /**
   * The other side of a connection answered this. An ECONNRESET among such answers tells of a connection of *its* own,
   * and says nothing against ours.
   */
  readonly isAnswer: boolean;

  constructor(code: ErrnoName, message: string, options?: ErrorOptions & { readonly isAnswer?: boolean }) {
    // Where an answer like ENOENT came from says nothing, and to find it out costs more than most requests.
    const { stackTraceLimit } = Error;
    if (code !== 'EIO') Error.stackTraceLimit = 0;
    super(message, options);
    Error.stackTraceLimit = stackTraceLimit;
    this.code = code;
    this.isAnswer = options?.isAnswer ?? false;
  }

  /** The positive errno number. */
  get errno(): number {
    return ERRNO[this.code];
  }

  /** This error, with what was being done put before its sentence. */
  within(what: string): DfsError {
    return new DfsError(this.code, `${what}: ${this.message}`, { cause: this, isAnswer: this.isAnswer });
  }
}

function systemCode(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}

const NETWORK_CODES: ReadonlyMap<unknown, ErrnoName> = new Map<unknown, ErrnoName>([
  ['ENOTFOUND', 'EHOSTUNREACH'],
  ['EAI_AGAIN', 'EHOSTUNREACH'],
  ['ENETUNREACH', 'EHOSTUNREACH'],
  ['EPIPE', 'ECONNRESET'],
  ['ECONNABORTED', 'ECONNRESET'],
  ['ERR_STREAM_DESTROYED', 'ECONNRESET'],
  ['EMFILE', 'ENFILE'],
  ['EDQUOT', 'ENOSPC'],
]);

/** The sentence for a name that no name server knows, as getaddrinfo(3) reports it; undefined for other errors. */
function unknownHost(error: unknown): string | undefined {
  if (!(error instanceof Error) || !hasCode(error, 'ENOTFOUND', 'EAI_AGAIN')) return undefined;
  const host = 'hostname' in error ? String(error.hostname) : 'this name';
  return hasCode(error, 'ENOTFOUND')
    ? `no such host: ${host}; check the name`
    : `the name ${host} cannot be looked up now; check the name, and that a name server answers`;
}

/** Whether a connection could not be made because no address belongs to the host's name. */
export function isUnknownHost(error: unknown): boolean {
  for (let each = error; each instanceof Error; each = each.cause) {
    if (hasCode(each, 'ENOTFOUND', 'EAI_AGAIN')) return true;
  }
  return false;
}

/** The sentence for a process that may open no more files or connections; undefined for other errors. */
function noDescriptors(error: unknown): string | undefined {
  if (!hasCode(error, 'EMFILE')) return undefined;
  return 'this process may open no more files and connections; raise its limit (ulimit -n)';
}

/** Any thrown value as a DfsError: kept if it is one, by its system code if it has one, else EIO. */
export function toDfsError(error: unknown): DfsError {
  if (error instanceof DfsError) return error;
  const code = systemCode(error);
  const message =
    unknownHost(error) ??
    noDescriptors(error) ??
    (error instanceof Error ? systemErrorText(error) : String(error));
  return new DfsError(isErrnoName(code) ? code : (NETWORK_CODES.get(code) ?? 'EIO'), message, {
    cause: error,
  });
}

/** Whether `error` carries this POSIX or system error code. */
export function hasCode(error: unknown, ...codes: readonly string[]): boolean {
  const code = systemCode(error);
  return typeof code === 'string' && codes.includes(code);
}

/** States an invariant; a false one is a bug of DFS and becomes EIO at the edge. */
export function assert(condition: unknown, invariant: string): asserts condition {
  if (!condition) throw new DfsError('EIO', `internal error, please report it: ${invariant}`);
}
