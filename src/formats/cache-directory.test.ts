import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { afterEach, expect, it, vi } from "vitest";
import { cacheDirectory } from "./cache-directory.ts";

afterEach(() => vi.unstubAllEnvs());

it.each([
  [{ LOWRANK_CACHE: "/own", XDG_CACHE_HOME: "/caches" }, "/own"],
  [{ LOWRANK_CACHE: "relative" }, resolve("relative")],
  [{ LOWRANK_CACHE: "", XDG_CACHE_HOME: "/caches" }, "/caches/lowrank"],
  [{ XDG_CACHE_HOME: "/caches" }, "/caches/lowrank"],
  [{ XDG_CACHE_HOME: "" }, join(homedir(), ".cache", "lowrank")],
  [{}, join(homedir(), ".cache", "lowrank")],
])("%j", (variables: Record<string, string>, path) => {
  for (const name of ["LOWRANK_CACHE", "XDG_CACHE_HOME"]) vi.stubEnv(name, variables[name]);
  expect(cacheDirectory()).toBe(path);
});
