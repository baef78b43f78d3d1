/** A mount that another process has taken over goes on to be the local cluster's. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { inheritMountRecord } from '../../../../src/cli/local/mount-record.js';
import { createLogger } from '../../../../src/platform/log.js';
import { readRecord, runningRecord, writeRecord } from '../../../../src/cli/services/service-record.js';

t.test('the record of the same mount point is this process’s from now on; another one stays', async t => {
  const run = mkdtempSync(join(tmpdir(), 'dfs-mount-record-'));
  t.teardown(() => rmSync(run, { recursive: true, force: true }));
  const log = createLogger('test', 'silent');
  inheritMountRecord('/mnt', log, run);
  t.equal(readRecord(run, 'mount'), undefined, 'none is made');
  const before = {
    pid: 1,
    started: '0',
    boot: 'before',
    logMark: 7,
    address: '127.0.0.1:8000',
    directory: '/mnt',
  };
  writeRecord(run, 'mount', before);
  inheritMountRecord('/elsewhere', log, run);
  t.same(readRecord(run, 'mount'), before);
  inheritMountRecord('/mnt', log, run);
  t.match(runningRecord(run, 'mount'), { pid: process.pid, logMark: 7, address: '127.0.0.1:8000' });
});
