/** What starts the servers of this machine: systemd where it runs, else `dfs local`. */
import { localServices } from './local-services.js';
import type { MachineLayout } from './machine-layout.js';
import type { MachineServices } from './service-control.js';
import { isSystemdRunning, systemdServices } from './systemd-services.js';

/** What runs the servers of this layout on this machine. */
export function machineServices(layout: MachineLayout): MachineServices {
  return layout.user !== undefined && isSystemdRunning() ? systemdServices : localServices(layout);
}
