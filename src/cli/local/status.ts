/** `dfs local status`: a line for each process. */
import { FailureTold } from '../failure-told.js';
import { readRecord } from '../services/service-record.js';
import { servicesStatus, type ServiceStatus } from '../services/services.js';
import { writeOut } from '../standard-output.js';
import { requireHome, userName } from './home.js';
import { dataDirectory, MOUNT, serviceNames } from './layout.js';
import { chooseMountPoint, isMounted } from './mount-place.js';
import { countNodes, localPaths, readWishes } from './settings.js';
import { warn } from './words.js';

const WIDTHS = { name: 9, pid: 8, address: 21 } as const;

/** Prints how each process is; FailureTold when one does not run, or nothing is mounted. EACCES. */
export async function status(): Promise<void> {
  const paths = localPaths();
  const wishes = readWishes();
  await requireHome(paths, 'read');
  const mountPoint = await chooseMountPoint(undefined, readRecord(paths.run, MOUNT));
  let isWhole = true;
  for (const each of servicesStatus(serviceNames(countNodes(paths, wishes)), paths.run)) {
    const complaint = (await complaintAbout(each)) ?? (await complaintAboutMount(each, mountPoint));
    if (complaint !== undefined) {
      warn(complaint);
      isWhole = false;
    }
    const directory = each.name === MOUNT ? mountPoint : dataDirectory(paths, each.name);
    await writeOut(`${formatStatus(each, directory)}\n`);
  }
  if (!isWhole) throw new FailureTold();
}

/** `name pid address directory`; `-` stands for what there is not. */
export function formatStatus({ name, state, record }: ServiceStatus, directory: string): string {
  const pid = state === 'ready' || state === 'starting' ? String(record?.pid) : '-';
  const address = record?.address ?? '-';
  const columns = [
    name.padEnd(WIDTHS.name),
    pid.padEnd(WIDTHS.pid),
    address.padEnd(WIDTHS.address),
    directory,
  ];
  return columns.join(' ');
}

async function complaintAbout({ name, state, record }: ServiceStatus): Promise<string | undefined> {
  switch (state) {
    case 'ready':
      return undefined;
    case 'starting':
      return `${name} is not ready yet`;
    case 'down':
      return `${name} does not run`;
    case 'hidden': {
      const self = await userName(process.geteuid?.() ?? 0);
      return `process ${record?.pid}, which may be ${name}, is hidden from ${self}; ask as the user who started it`;
    }
  }
}

async function complaintAboutMount({ name }: ServiceStatus, mountPoint: string): Promise<string | undefined> {
  if (name !== MOUNT || (await isMounted(mountPoint))) return undefined;
  return `nothing is mounted at ${mountPoint}`;
}
