/** What starts the servers of a machine, now and whenever the machine starts. */
import type { ServiceName } from './service-name.js';

export interface ServicePlan {
  /** Directories that the server writes to, beside its state. */
  readonly directories: readonly string[];
}

export interface MachineServices {
  readonly kind: 'systemd' | 'local';
  /** A command that shows what a server said. */
  hint(name: ServiceName): string;
  /** Starts the server of that name, of which the configuration is written, and returns when it serves. EIO when it does not start. */
  enable(name: ServiceName, plan: ServicePlan): Promise<void>;
  /** Stops it, and has it start no more. */
  disable(name: ServiceName): Promise<void>;
  /** Has it read its configuration again. */
  restart(name: ServiceName): Promise<void>;
}
