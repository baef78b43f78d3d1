/**
 * A network of byte streams as TCP makes them: what is sent arrives late, in order within a connection and in any order
 * across them, or not at all. Hosts are cut off from each other, connections break, a machine without power is silent
 * until it is back and then answers with a reset.
 */
import { Duplex } from 'node:stream';
import type { ByteStream, Endpoint, Listener, Network } from '../../../src/platform/network.js';
import type { Life, Scheduler } from './scheduler.js';
import type { SeededRandom } from './seeded-random.js';

const MIN_DELAY_MS = 0.05;
const MAX_DELAY_MS = 1;
/** What is not acknowledged is sent again after this. */
const RETRANSMIT_MS = 300;
/** What a connection takes before the writer has to wait. */
const WINDOW_BYTES = 512 << 10;
/** Retransmissions after which the sender's system gives the connection up. */
const MAX_RETRANSMISSIONS = 200;

type Segment = { readonly is: 'data'; readonly bytes: Buffer } | { readonly is: 'end' | 'reset' };

interface Listening {
  readonly life: Life;
  readonly onConnection: (stream: ByteStream) => void;
}

function systemError(code: string, syscall: string): Error {
  return Object.assign(new Error(`${syscall} ${code}`), { code, syscall });
}

/** How the network behaves at the moment. */
export class SimulatedNetwork {
  readonly scheduler: Scheduler;
  readonly random: SeededRandom;
  /** host:port → who listens there */
  readonly listeners = new Map<string, Listening>();
  /** Ends of connections that are open. */
  readonly ends = new Set<SimulatedStream>();
  /** `from>to` of hosts whose messages do not arrive. */
  readonly #cuts = new Set<{ readonly from: string; readonly to: string }>();
  /** Hosts whose machine has no power. */
  readonly darkHosts = new Set<string>();
  /** The chance that a message takes long, and how long. */
  slowChance = 0.01;
  slowMs = 30;
  #nextPort = 20_000;

  constructor(scheduler: Scheduler, random: SeededRandom) {
    this.scheduler = scheduler;
    this.random = random;
  }

  /** The network as a process on `host` sees it. */
  interfaceOf(host: string, life: Life): Network {
    return {
      connect: async (endpoint, timeoutMs) => await this.#connect(host, life, endpoint, timeoutMs),
      listen: async (endpoint, onConnection) => this.#listen(endpoint, life, onConnection),
    };
  }

  /** Messages from one host to the other do not arrive any more. */
  cut(from: string, to: string): () => void {
    const cut = { from, to };
    this.#cuts.add(cut);
    return () => this.#cuts.delete(cut);
  }

  heal(): void {
    this.#cuts.clear();
  }

  isCut(from: string, to: string): boolean {
    if (this.darkHosts.has(from) || this.darkHosts.has(to)) return true;
    for (const cut of this.#cuts) if (cut.from === from && cut.to === to) return true;
    return false;
  }

  delayMs(): number {
    const { random } = this;
    const long = random.isChance(this.slowChance) ? random.between(0, this.slowMs) : 0;
    return random.between(MIN_DELAY_MS, MAX_DELAY_MS) + long;
  }

  /** A connection breaks; `isHalf`: only one end gets to know before it sends something. */
  breakOne(isHalf: boolean): void {
    const open = [...this.ends];
    if (open.length === 0) return;
    const end = this.random.pick(open);
    if (!isHalf) end.peer?.fail('ECONNRESET');
    end.fail('ECONNRESET');
  }

  /** The ends at `host` of its connections to `remoteHost` break; the other ends hear of it when they can. */
  breakAt(host: string, remoteHost: string): void {
    for (const end of this.ends)
      if (end.host === host && end.remoteHost === remoteHost) end.fail('ETIMEDOUT');
  }

  /** A process is gone, and with it its sockets. Without `isSilent` its system says so to the other ends. */
  endOf(life: Life, isSilent: boolean): void {
    for (const [address, { life: owner }] of this.listeners) {
      if (owner === life) this.listeners.delete(address);
    }
    for (const end of this.ends) if (end.life === life) end.abandon(isSilent);
  }

  #listen(endpoint: Endpoint, life: Life, onConnection: (stream: ByteStream) => void): Listener {
    const port = endpoint.port === 0 ? this.#takePort() : endpoint.port;
    const address = `${endpoint.host}:${port}`;
    if (this.listeners.has(address)) throw systemError('EADDRINUSE', 'listen');
    this.listeners.set(address, { life, onConnection });
    return {
      endpoint: { host: endpoint.host, port },
      close: async () => {
        this.listeners.delete(address);
      },
    };
  }

  #takePort(): number {
    this.#nextPort += 1;
    return this.#nextPort;
  }

  async #connect(host: string, life: Life, to: Endpoint, timeoutMs: number): Promise<ByteStream> {
    const { scheduler } = this;
    const local = { host, port: this.#takePort() };
    return await new Promise<ByteStream>((resolve, reject) => {
      const timer = scheduler.after(timeoutMs, 'connect timeout', life, () => {
        attempt.cancel();
        reject(systemError('ETIMEDOUT', 'connect'));
      });
      const knock = (): void => {
        if (this.isCut(host, to.host) || this.isCut(to.host, host)) {
          attempt = scheduler.after(RETRANSMIT_MS, 'connect again', life, knock);
          return;
        }
        const listening = this.listeners.get(`${to.host}:${to.port}`);
        timer.cancel();
        if (!listening || listening.life.isDead) {
          reject(systemError('ECONNREFUSED', 'connect'));
          return;
        }
        const ours = new SimulatedStream(this, life, host, to.host);
        const theirs = new SimulatedStream(this, listening.life, to.host, host);
        ours.peer = theirs;
        theirs.peer = ours;
        this.ends.add(ours);
        this.ends.add(theirs);
        listening.onConnection({ stream: theirs, local: to, remote: local });
        resolve({ stream: ours, local, remote: to });
      };
      let attempt = scheduler.after(2 * this.delayMs(), `connect ${to.host}`, life, knock);
    });
  }
}

/** One end of a connection. */
export class SimulatedStream extends Duplex {
  readonly life: Life;
  peer: SimulatedStream | undefined;
  readonly #network: SimulatedNetwork;
  readonly host: string;
  readonly remoteHost: string;
  /** What was sent from this end and has not arrived. */
  #underWay: Segment[] = [];
  #bytesUnderWay = 0;
  #lastArrivalMs = 0;
  #isPumping = false;
  #retransmissions = 0;
  #waitingWriter: (() => void) | undefined;
  /** Arrived, but not taken by the reader; null is the end. */
  #arrived: (Buffer | null)[] = [];
  #isWanted = true;
  #isAbandoned = false;

  constructor(network: SimulatedNetwork, life: Life, host: string, remoteHost: string) {
    super({ allowHalfOpen: false });
    this.life = life;
    this.#network = network;
    this.host = host;
    this.remoteHost = remoteHost;
    // Whoever owns the stream listens too; this one is for streams that nobody owns any more.
    this.on('error', () => undefined);
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#transmit(Buffer.from(chunk), done);
  }

  override _writev(
    chunks: { chunk: Buffer; encoding: BufferEncoding }[],
    done: (error?: Error | null) => void,
  ): void {
    this.#transmit(Buffer.concat(chunks.map(({ chunk }) => chunk)), done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#send({ is: 'end' });
    done();
  }

  override _read(): void {
    this.#isWanted = true;
    while (this.#isWanted && this.#arrived.length > 0) {
      const next = this.#arrived.shift();
      if (next !== undefined) this.#isWanted = this.push(next);
    }
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#network.ends.delete(this);
    if (!this.#isAbandoned && !error) this.#send({ is: 'end' });
    done(error);
  }

  /** This end's system has given the connection up. */
  fail(code: string): void {
    if (this.destroyed || this.#isAbandoned) return;
    if (this.life.isDead) return;
    this.#underWay = [];
    this.#network.scheduler.after(0, 'connection breaks', this.life, () => {
      this.destroy(systemError(code, 'read'));
    });
  }

  /** The process is gone. What its system had taken to send is still sent, unless the power went. */
  abandon(isSilent: boolean): void {
    this.#isAbandoned = true;
    this.#network.ends.delete(this);
    if (isSilent) this.#underWay = [];
    else this.#send({ is: 'reset' });
  }

  #transmit(bytes: Buffer, done: (error?: Error | null) => void): void {
    this.#send({ is: 'data', bytes });
    this.#bytesUnderWay += bytes.length;
    if (this.#bytesUnderWay <= WINDOW_BYTES) done();
    else this.#waitingWriter = done;
  }

  #send(segment: Segment): void {
    this.#underWay.push(segment);
    if (!this.#isPumping) this.#pumpAfter(this.#network.delayMs());
  }

  #pumpAfter(delayMs: number): void {
    this.#isPumping = true;
    const { scheduler } = this.#network;
    const atMs = Math.max(scheduler.nowMs + delayMs, this.#lastArrivalMs);
    this.#lastArrivalMs = atMs;
    // It arrives at the other end whatever becomes of the process at this one.
    scheduler.after(atMs - scheduler.nowMs, `arrives ${this.host}>${this.remoteHost}`, undefined, () =>
      this.#pump(),
    );
  }

  /** Everything that is under way arrives at once, as one burst. */
  #pump(): void {
    const { peer } = this;
    if (!peer || this.#underWay.length === 0) {
      this.#isPumping = false;
      return;
    }
    if (this.#network.isCut(this.host, this.remoteHost)) {
      this.#retransmit();
      return;
    }
    const stoppedMs = peer.life.stoppedUntilMs - this.#network.scheduler.nowMs;
    if (stoppedMs > 0 && !peer.life.isDead) {
      this.#pumpAfter(stoppedMs);
      return;
    }
    this.#isPumping = false;
    this.#retransmissions = 0;
    if (peer.#isAbandoned || peer.destroyed) {
      this.#arriveAtNobody();
      return;
    }
    const burst = this.#underWay;
    this.#underWay = [];
    this.#bytesUnderWay = 0;
    for (const segment of burst) peer.#arrive(segment);
    const writer = this.#waitingWriter;
    this.#waitingWriter = undefined;
    writer?.();
  }

  #retransmit(): void {
    this.#retransmissions += 1;
    if (this.#retransmissions > MAX_RETRANSMISSIONS) this.fail('ETIMEDOUT');
    else this.#pumpAfter(RETRANSMIT_MS);
  }

  /** The other end is closed: its system answers with a reset, if it has power and can be reached. */
  #arriveAtNobody(): void {
    this.#isPumping = false;
    if (this.#isAbandoned || this.destroyed) return;
    if (this.#network.isCut(this.host, this.remoteHost) || this.#network.isCut(this.remoteHost, this.host)) {
      this.#retransmit();
      return;
    }
    this.#underWay = [];
    this.fail('ECONNRESET');
  }

  #arrive(segment: Segment): void {
    if (this.destroyed) return;
    if (segment.is === 'reset') {
      this.destroy(systemError('ECONNRESET', 'read'));
      return;
    }
    const bytes = segment.is === 'data' ? segment.bytes : null;
    if (this.#isWanted && this.#arrived.length === 0) this.#isWanted = this.push(bytes);
    else this.#arrived.push(bytes);
  }
}
