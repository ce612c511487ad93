/** @file A disk that is full at any moment of a run: the error says what is still there, and the run goes on once there is room. */
import { execFileSync } from "node:child_process";
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { workshop } from "./material.ts";
import { refused, succeed } from "./program.ts";
import { adapter, prepare } from "./recipe.ts";
import { result, snapshot } from "./snapshot.ts";

/** Mounts a file system in memory that holds so many bytes, or changes its size. */
const mount = (folder: string, bytes: number, again = false): void => {
  execFileSync("mount", ["-t", "tmpfs", "-o", `${again ? "remount," : ""}size=${bytes}`, "tmpfs", folder], { stdio: "ignore" });
};
const unmount = (folder: string): void => {
  execFileSync("umount", [folder], { stdio: "ignore" });
};

const canMount = ((): boolean => {
  const folder = mkdtempSync(join(tmpdir(), "lowrank-mount-"));
  try {
    mount(folder, 4096);
    unmount(folder);
    return true;
  } catch {
    console.warn("Skipping tests of full disks: mounting a small file system is not permitted here.");
    return false;
  } finally {
    rmSync(folder, { recursive: true });
  }
})();

const folder = workshop();
const recipe = { ...(await prepare(folder)), evalData: undefined, maxSteps: 3 };
const full = { ...recipe, method: "full" };
const lora = { ...recipe, ...adapter };

const names = (path: string): string[] => readdirSync(path).sort();

/** Bytes that files take on a disk of whole pages. */
const pages = (path: string, names = Object.keys(snapshot(path))): number =>
  names
    .map((name) => lstatSync(join(path, name)))
    .filter((stats) => stats.isFile())
    .reduce((sum, { size }) => sum + Math.ceil(size / 4096) * 4096, 0);

describe.skipIf(!canMount)("a disk that is full", () => {
  const disk = join(folder, "disk");
  const output = join(disk, "run");
  const spacious = join(folder, "spacious");
  let checkpoint = 0;

  beforeAll(async () => {
    mkdirSync(disk);
    await succeed("train", { ...lora, output: spacious });
    checkpoint = pages(join(spacious, "checkpoints/step-000003"));
  });
  beforeEach(() => mount(disk, 2 ** 20));
  afterEach(() => unmount(disk));

  it("at the second checkpoint leaves the first, from which the run goes on", async () => {
    mount(disk, Math.floor(1.6 * checkpoint), true);
    expect(await refused("train", { ...lora, output })).toMatchObject({
      code: "io-failed",
      message: `${output}: The checkpoint of step 2 could not be saved: the disk is full. The checkpoint of step 1 is intact. Free some space and resume from it.`,
    });
    expect(names(join(output, "checkpoints"))).toEqual(["step-000001"]);
    expect(names(output)).toEqual(["checkpoints", "last", "log.jsonl"]);

    // Still full: resuming spoils nothing either.
    const before = snapshot(join(output, "checkpoints"));
    expect(await refused("train", { ...lora, output, resume: true })).toMatchObject({ code: "io-failed" });
    expect(snapshot(join(output, "checkpoints"))).toEqual(before);

    mount(disk, 2 ** 20, true);
    await succeed("train", { ...lora, output, resume: true });
    expect(result(output)).toEqual(result(spacious));
  });

  it("at the first checkpoint leaves a folder that a new run takes", async () => {
    mount(disk, Math.floor(0.6 * checkpoint), true);
    expect(await refused("train", { ...lora, output })).toMatchObject({
      code: "io-failed",
      message: `${output}: The checkpoint of step 1 could not be saved: the disk is full. Nothing was saved before it. Free some space and start again.`,
    });
    expect(names(join(output, "checkpoints"))).toEqual([]);
    mount(disk, 2 ** 20, true);
    await succeed("train", { ...lora, output });
    expect(result(output)).toEqual(result(spacious));
  });

  it.each([
    ["an adapter's configuration", lora, ["adapter_config.json"]],
    ["an adapter", lora, ["adapter_config.json", "adapter_model.safetensors"]],
    ["a model", full, ["model.safetensors"]],
    ["a model's tokenizer", full, ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]],
  ])("when %s is written at the end leaves the last checkpoint, from which it is written again", async (name, flags, lacking) => {
    const roomy = join(folder, `${name} with room`);
    const settings = { ...flags, saveEvery: 0 };
    await succeed("train", { ...settings, output: roomy });
    mount(disk, pages(roomy) - pages(roomy, lacking), true);
    const error = await refused("train", { ...settings, output });
    expect(error).toMatchObject({ code: "io-failed", where: output });
    expect(error.message.slice(output.length)).toMatch(
      /^: The result could not be written: ENOSPC: no space left on device, (write|copyfile .+)\. The checkpoint of step 3 is intact\. Free some space and repeat the command with --resume\.$/,
    );
    expect(Object.keys(result(output)).filter((file) => file.endsWith(".partial"))).toEqual([]);
    mount(disk, 2 ** 23, true);
    await succeed("train", { ...settings, output, resume: true });
    expect(result(output)).toEqual(result(roomy));
  });
});

it.skipIf(!existsSync("/dev/full"))("a log on a full device ends the run before anything else is written", async () => {
  const output = join(folder, "logless");
  mkdirSync(output);
  symlinkSync("/dev/full", join(output, "log.jsonl"));
  writeFileSync(join(output, "adapter_model.safetensors"), "an earlier adapter");
  const before = snapshot(output);
  const error = await refused("train", { ...lora, output });
  expect(error).toMatchObject({ code: "io-failed", where: join(output, "log.jsonl") });
  expect(error.message).toContain("The training log cannot be written: ENOSPC");
  expect(snapshot(output)).toEqual(before);
});
