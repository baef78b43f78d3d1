/** The sizes of all workloads. */

const MIB = 2 ** 20;

export interface Sizes {
  /** The large file. */
  readonly bigBytes: number;
  /** How much of it is read and written at random; not more than there is. */
  readonly randomBytes: number;
  readonly randomReadSeconds: number;
  readonly randomWrites: number;
  /** Random writing ends after so many seconds, done or not. */
  readonly randomWriteSeconds: number;
  readonly fsyncSeconds: number;
  /** Processes at a time. */
  readonly parallel: number;
  /** What each of them writes and reads. */
  readonly parallelBytes: number;
  readonly files: number;
  /** Over which the files are spread. */
  readonly directories: number;
  readonly fileBytes: number;
  /** Directories that are made and removed. */
  readonly mkdirs: number;
  readonly treeFiles: number;
  readonly appends: number;
  readonly reopens: number;
}

export const FULL_SIZES: Sizes = {
  bigBytes: 1024 * MIB,
  randomBytes: 512 * MIB,
  randomReadSeconds: 10,
  randomWrites: 32_768,
  randomWriteSeconds: 20,
  fsyncSeconds: 5,
  parallel: 4,
  parallelBytes: 256 * MIB,
  files: 5000,
  directories: 50,
  fileBytes: 4096,
  mkdirs: 2000,
  treeFiles: 4000,
  appends: 20_000,
  reopens: 500,
};

/** For seeing that everything works; too small to compare anything by. */
export const QUICK_SIZES: Sizes = {
  ...FULL_SIZES,
  bigBytes: 32 * MIB,
  randomBytes: 16 * MIB,
  randomReadSeconds: 1,
  randomWrites: 500,
  fsyncSeconds: 1,
  parallelBytes: 8 * MIB,
  files: 200,
  directories: 5,
  mkdirs: 100,
  treeFiles: 200,
  appends: 500,
  reopens: 50,
};
