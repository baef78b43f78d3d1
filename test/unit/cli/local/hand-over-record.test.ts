import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { handOverRecord } from '../../../../src/cli/local/hand-over-record.js';
import { createLogger } from '../../../../src/platform/log.js';
import { MOUNT } from '../../../../src/cli/local/layout.js';
import { identify } from '../../../../src/cli/services/process-identity.js';
import { readRecord, runningRecord, writeRecord } from '../../../../src/cli/services/service-record.js';

const LOG = createLogger('test', 'silent');

t.test('the record of a mount names the process that has taken it over', async t => {
  const run = mkdtempSync(join(tmpdir(), 'dfs-record-'));
  t.teardown(() => rmSync(run, { recursive: true }));
  const own = identify(process.pid);
  const successor = spawn('sleep', ['60'], { stdio: 'ignore' });
  t.teardown(() => successor.kill('SIGKILL'));
  const { pid } = successor;
  if (!own || pid === undefined) throw new Error('both run');
  handOverRecord(run, process.pid, pid, LOG);
  t.same(readdirSync(run), [], 'without a record there is nothing to do');
  const rest = { logMark: 5, address: '127.0.0.1:8000', directory: '/mnt/dfs' };
  writeRecord(run, MOUNT, { ...own, started: '1', ...rest });
  handOverRecord(run, process.pid, pid, LOG);
  t.equal(readRecord(run, MOUNT)?.pid, process.pid, 'that of an earlier process stays as it is');
  writeRecord(run, MOUNT, { ...own, ...rest });
  handOverRecord(run, process.pid, pid, LOG);
  t.same(runningRecord(run, MOUNT), { ...identify(pid), ...rest });
});
