/** Types for the parts of fuse-native 2.2.6 that this driver uses; it brings none. */
declare module 'fuse-native' {
  class Fuse {
    constructor(mountPoint: string, operations: object, options: { timeout: false });
    mount(callback: (error: Error | null) => void): void;
    /** The options for libfuse, as one argument beginning with -o. */
    protected _fuseOptions(): string;
    /** opcode → what answers it; called with the thread's memory first, then the opcode, then the arguments. */
    protected _makeHandlerArray(): ((
      threadLocals: Buffer,
      opcode: number,
      ...args: (string | number)[]
    ) => unknown)[];
  }
  export = Fuse;
}
