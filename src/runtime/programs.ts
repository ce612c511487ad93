/** @file Compiled programs that are kept for further use. It knows nothing about what tells them apart. */
import type { Executable } from "./backend.ts";

/** Compiled programs by what tells them apart. */
export type Programs = Map<string, Promise<Executable>>;

/** Frees compiled programs; those that failed to compile have nothing to free. */
export const disposePrograms = async (programs: Programs): Promise<void> => {
  for (const compiled of await Promise.allSettled(programs.values())) if (compiled.status === "fulfilled") await compiled.value.dispose();
  programs.clear();
};
