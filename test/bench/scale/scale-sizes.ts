/** The sizes at which costs are measured. The first of each list is the reference for the others. */

export interface ScaleSizes {
  /** Inodes in the whole database. */
  readonly inodes: readonly number[];
  /** Entries of one directory. */
  readonly entries: readonly number[];
  /** Clients that hold leases. */
  readonly sessions: readonly number[];
  /** Inodes in the database that the sessions use. */
  readonly sessionInodes: number;
  /** Inodes that clients have to themselves, and how many clients that are. */
  readonly held: readonly number[];
  readonly holders: number;
  /** How long some of them are recalled, ten in a second, and what that may take. */
  readonly recallSeconds: number;
  readonly recallMs: number;
  /** Chunks on one data node. */
  readonly chunks: readonly number[];
  /** A file that is written in pieces. */
  readonly fileBytes: number;
  /** Requests of each kind that are measured. */
  readonly requests: number;
  /** Directory pages, each of which is some hundred times the work. */
  readonly pages: number;
}

export const FULL_SCALE: ScaleSizes = {
  inodes: [1e4, 1e5, 1e6, 1e7],
  entries: [1e4, 1e6],
  sessions: [1, 200],
  sessionInodes: 1e5,
  held: [1e4, 1e6],
  holders: 200,
  recallSeconds: 10,
  recallMs: 10,
  chunks: [1e4, 1e6],
  fileBytes: 1 << 30,
  requests: 5000,
  pages: 400,
};

/** To see that it works; the numbers say nothing. */
export const QUICK_SCALE: ScaleSizes = {
  inodes: [1000, 4000],
  entries: [2000, 4000],
  sessions: [1, 5],
  sessionInodes: 4000,
  held: [200, 1000],
  holders: 5,
  recallSeconds: 1,
  recallMs: 1000,
  chunks: [500, 2000],
  fileBytes: 8 << 20,
  requests: 100,
  pages: 10,
};
