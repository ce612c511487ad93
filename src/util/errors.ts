/** @file The one error class that every floor throws: what was wrong, where, and what to do. It knows nothing about the floors. */

/** What went wrong, for programs that react to it; the message is for people. */
export type ErrorCode =
  | "invalid-argument" // a value given by the caller is outside what is allowed
  | "invalid-config" // a configuration file, flag or adapter configuration is wrong
  | "invalid-data" // a training example, data file or label is wrong
  | "invalid-file" // a checkpoint, tokenizer or adapter file is damaged
  | "not-found" // a file, model, tensor or module is missing
  | "unsupported" // the thing is known and not offered here
  | "shape-mismatch" // tensors that do not fit together
  | "graph-invalid" // a graph that breaks the rules of its ops
  | "backend-failed" // the runtime refused or failed to run a program
  | "out-of-memory"
  | "adapter-mismatch" // an adapter and a base, or an adapter and its file, do not agree
  | "training-diverged" // the loss or the gradient is not a finite number
  | "io-failed" // the disk is full, a file cannot be written, a rename failed
  | "network-failed"
  | "interrupted";

export interface ErrorDetails {
  /** Where: a file, `file:line`, a tensor or module name. */
  where?: string;
  /** What the reader should do now, as an imperative sentence. */
  fix?: string;
  cause?: unknown;
}

/**
 * An error with a code and a remedy; its message is one paragraph: what, where, what to do.
 * @example throw new LowrankError("invalid-file", "The header is cut short.", { where: path, fix: "Download the file again." });
 */
export class LowrankError extends Error {
  override readonly name = "LowrankError";
  readonly code: ErrorCode;
  readonly where: string | undefined;
  readonly fix: string | undefined;

  constructor(code: ErrorCode, what: string, details: ErrorDetails = {}) {
    const place = details.where === undefined ? "" : `${details.where}: `;
    const remedy = details.fix === undefined ? "" : ` ${details.fix}`;
    super(`${place}${what}${remedy}`, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.where = details.where;
    this.fix = details.fix;
  }

  /** True for a LowrankError of any copy of this package, so that two copies in one process agree. */
  static is(error: unknown): error is LowrankError {
    return error instanceof Error && error.name === "LowrankError" && "code" in error;
  }
}

/** The text of anything that was thrown. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
