/**
 * Tells systemd how a service is doing (sd_notify(3)): when it serves, when it begins to end, and that it still turns. Without a service
 * manager all of this does nothing.
 */
import { systemClock, type Clock, type Timer } from '../platform/clock.js';
import { sendDatagram } from '../platform/unix-datagrams.js';

interface ServiceEnvironment {
  readonly NOTIFY_SOCKET?: string | undefined;
  readonly WATCHDOG_USEC?: string | undefined;
  readonly WATCHDOG_PID?: string | undefined;
}

/** The service manager that started this process, if one did. */
export class ServiceManager {
  readonly #socket: string | undefined;
  /** Undefined when it does not watch this process. */
  readonly #watchPeriodMs: number | undefined;
  readonly #clock: Clock;
  #nextBeat: Timer | undefined;
  #isStopping = false;

  constructor(environment: ServiceEnvironment = process.env, clock: Clock = systemClock) {
    const { NOTIFY_SOCKET = '' } = environment;
    this.#socket = /^[/@]/.test(NOTIFY_SOCKET) ? NOTIFY_SOCKET : undefined;
    this.#watchPeriodMs = this.#socket === undefined ? undefined : watchPeriodMs(environment);
    this.#clock = clock;
  }

  /**
   * The service serves; from now on systemd is told regularly that it still does, if it asked for that.
   * @param takesPlace this process has taken the place of the one that the unit started
   */
  async ready(takesPlace = false): Promise<void> {
    if (this.#isStopping) return;
    await this.#tell(takesPlace ? `MAINPID=${process.pid}\nREADY=1` : 'READY=1');
    const periodMs = this.#watchPeriodMs;
    if (periodMs === undefined || this.#isStopping) return;
    const beat = (): void => {
      void this.#tell('WATCHDOG=1');
      this.#nextBeat = this.#clock.setTimer(periodMs / 2, beat, true);
    };
    beat();
  }

  /** The service has begun to end; however long that takes, it is not taken for hung. */
  async stopping(): Promise<void> {
    this.#isStopping = true;
    this.#nextBeat?.cancel();
    await this.#tell('STOPPING=1');
  }

  async #tell(state: string): Promise<void> {
    // What systemd was not told it finds out by its own timeouts.
    if (this.#socket !== undefined) await sendDatagram(this.#socket, state).catch(() => false);
  }
}

/** After how many milliseconds without a word systemd takes this process for hung. */
function watchPeriodMs({ WATCHDOG_USEC = '', WATCHDOG_PID = '' }: ServiceEnvironment): number | undefined {
  const isForOther = WATCHDOG_PID !== '' && WATCHDOG_PID !== String(process.pid);
  if (isForOther || !/^[1-9]\d*$/.test(WATCHDOG_USEC)) return undefined;
  return Number(WATCHDOG_USEC) / 1000;
}
