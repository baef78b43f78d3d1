import type { Static, TSchema } from '@sinclair/typebox';
import { TypeCompiler, type TypeCheck } from '@sinclair/typebox/compiler';

/**
 * Tells whether a value has a shape. The check is compiled at its first use: a command uses few of all the shapes, and compiling
 * every one is a tenth of its time.
 */
export class ShapeCheck<Schema extends TSchema> {
  readonly #schema: Schema;
  #compiled: TypeCheck<Schema> | undefined;

  constructor(schema: Schema) {
    this.#schema = schema;
  }

  accepts(value: unknown): value is Static<Schema> {
    return this.#check.Check(value);
  }

  /** What is wrong with a value, as `/path: reason`; undefined when it has the shape. */
  complaint(value: unknown): string | undefined {
    const first = this.#check.Errors(value).First();
    return first && `${first.path || '/'}: ${first.message}`;
  }

  get #check(): TypeCheck<Schema> {
    return (this.#compiled ??= TypeCompiler.Compile(this.#schema));
  }
}
