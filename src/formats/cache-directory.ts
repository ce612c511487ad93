/** @file Where the project keeps what it can make again. It knows nothing about what that is. */
import { homedir } from "node:os";
import { join, resolve } from "node:path";

/** `LOWRANK_CACHE`, else `lowrank` in `XDG_CACHE_HOME`, else `~/.cache/lowrank`; an empty variable counts as unset. */
export const cacheDirectory = (): string => {
  const { LOWRANK_CACHE: own, XDG_CACHE_HOME: caches } = process.env;
  return resolve(own || join(caches || join(homedir(), ".cache"), "lowrank"));
};
