/** A progress bar: bytes copied, speed, time left. */
import type { SingleBar } from 'cli-progress';
import prettyBytes from 'pretty-bytes';
import type { Clock } from '../../platform/clock.js';
import { progressBar } from '../progress-bar.js';

const BAR_COLUMNS = 30;
const FRAMES_PER_SECOND = 5;
const SECONDS_PER_MINUTE = 60;
const MINUTES_PER_HOUR = 60;

export class Progress {
  readonly #bar: SingleBar;
  #copiedBytes = 0;

  /** @param totalBytes undefined when nobody knows */
  constructor(totalBytes: number | undefined, clock: Clock) {
    const beganMs = clock.monotonicMs();
    this.#bar = progressBar({
      fps: FRAMES_PER_SECOND,
      clearOnComplete: false,
      format: () => line(this.#copiedBytes, totalBytes, (clock.monotonicMs() - beganMs) / 1000),
    });
    this.#bar.start(totalBytes ?? 0, 0);
  }

  add(bytes: number): void {
    this.#copiedBytes += bytes;
    this.#bar.update(this.#copiedBytes);
  }

  /** Leaves the last state standing. May be called twice. */
  stop(): void {
    this.#bar.stop();
  }
}

function line(copied: number, total: number | undefined, elapsedSeconds: number): string {
  const perSecond = elapsedSeconds > 0 ? copied / elapsedSeconds : 0;
  const rate = `${prettyBytes(perSecond, { binary: true })}/s`;
  if (total === undefined) return `${prettyBytes(copied, { binary: true })}, ${rate}`;
  const fraction = total === 0 ? 1 : Math.min(1, copied / total);
  const full = Math.round(fraction * BAR_COLUMNS);
  const bar = '█'.repeat(full) + '░'.repeat(BAR_COLUMNS - full);
  const amounts = `${prettyBytes(copied, { binary: true })} of ${prettyBytes(total, { binary: true })}`;
  const left = perSecond > 0 ? duration(Math.max(0, total - copied) / perSecond) : '?';
  return `${bar} ${Math.floor(fraction * 100)}%, ${amounts}, ${rate}, ${left} left`;
}

function duration(seconds: number): string {
  const whole = Math.ceil(seconds);
  const minutes = Math.floor(whole / SECONDS_PER_MINUTE);
  if (minutes === 0) return `${whole} s`;
  if (minutes < MINUTES_PER_HOUR) return `${minutes} min ${whole % SECONDS_PER_MINUTE} s`;
  return `${Math.floor(minutes / MINUTES_PER_HOUR)} h ${minutes % MINUTES_PER_HOUR} min`;
}
