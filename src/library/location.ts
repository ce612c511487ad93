/** @file Where the user's library lies unless a command says otherwise. It knows nothing about what is in it. */
import { homedir } from "node:os";
import { join, resolve } from "node:path";

/** `LOWRANK_LIBRARY`, else `lowrank/library` in `XDG_DATA_HOME`, else in `~/.local/share`; an empty variable counts as unset. */
export const libraryDirectory = (): string => {
  const { LOWRANK_LIBRARY: own, XDG_DATA_HOME: data } = process.env;
  return resolve(own || join(data || join(homedir(), ".local", "share"), "lowrank", "library"));
};
