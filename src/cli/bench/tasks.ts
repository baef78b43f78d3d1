/** Everything that is measured in a process of its own, by name. */
import * as fileTasks from './file-tasks.js';
import * as nameTasks from './name-tasks.js';
import type { Outcome } from './outcome.js';

const TASKS = {
  writeWhole: fileTasks.writeWhole,
  readWhole: fileTasks.readWhole,
  verifyWhole: fileTasks.verifyWhole,
  randomRead: fileTasks.randomRead,
  randomWrite: fileTasks.randomWrite,
  randomWriteFsync: fileTasks.randomWriteFsync,
  verifyRandomWrites: fileTasks.verifyRandomWrites,
  appendRecords: fileTasks.appendRecords,
  reopenAndAppend: fileTasks.reopenAndAppend,
  verifyRecords: fileTasks.verifyRecords,
  makeSet: nameTasks.makeSet,
  removeSet: nameTasks.removeSet,
  createFiles: nameTasks.createFiles,
  statFiles: nameTasks.statFiles,
  readFiles: nameTasks.readFiles,
  renameFiles: nameTasks.renameFiles,
  chmodFiles: nameTasks.chmodFiles,
  unlinkFiles: nameTasks.unlinkFiles,
  makeDirectories: nameTasks.makeDirectories,
  removeDirectories: nameTasks.removeDirectories,
  readTree: nameTasks.readTree,
} as const;

export type TaskName = keyof typeof TASKS;
export type TaskInput<Name extends TaskName> = Parameters<(typeof TASKS)[Name]>[0];

/** What the processes are told: do this, not before a moment on the clock of outcome.ts. */
export interface TaskRequest<Name extends TaskName = TaskName> {
  readonly task: Name;
  readonly input: TaskInput<Name>;
  readonly notBeforeNs: number;
}

/** The first one says that the process is ready. */
export type TaskReply =
  { readonly isReady: true } | { readonly outcome: Outcome } | { readonly error: string };

/** Does a task. */
export function perform<Name extends TaskName>({ task, input }: TaskRequest<Name>): Outcome {
  // Each name goes with its own input, which the compiler does not follow through the table.
  const act = TASKS[task] as (input: TaskInput<Name>) => Outcome;
  return act(input);
}
