import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { afterEach, expect, it, vi } from "vitest";
import { libraryDirectory } from "./location.ts";

afterEach(() => vi.unstubAllEnvs());

it.each([
  [{ LOWRANK_LIBRARY: "/own", XDG_DATA_HOME: "/data" }, "/own"],
  [{ LOWRANK_LIBRARY: "relative" }, resolve("relative")],
  [{ LOWRANK_LIBRARY: "", XDG_DATA_HOME: "/data" }, "/data/lowrank/library"],
  [{ XDG_DATA_HOME: "" }, join(homedir(), ".local", "share", "lowrank", "library")],
])("%j", (variables: Record<string, string>, path) => {
  for (const name of ["LOWRANK_LIBRARY", "XDG_DATA_HOME"]) vi.stubEnv(name, variables[name]);
  expect(libraryDirectory()).toBe(path);
});
