/** @file What the system refused a library, in words that say what to do. It knows nothing about what was to be written. */
import { LowrankError, messageOf } from "../util/index.ts";

/** An error for people in place of the system's; any other stays as it is. */
export const ioFailed = (error: unknown, where: string): unknown => {
  if (LowrankError.is(error) || !(error instanceof Error && "syscall" in error)) return error;
  const full = (error as NodeJS.ErrnoException).code === "ENOSPC";
  return new LowrankError("io-failed", full ? "The disk is full." : `The library cannot be written: ${messageOf(error)}.`, {
    where,
    fix: full ? "Free some space and run again; what was there before is unchanged." : "Check that the folder can be written.",
    cause: error,
  });
};
