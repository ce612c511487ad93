import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { random } from "../util/index.ts";
import { save, stateOf } from "./checkpoint.fixture.ts";
import { loadTrainingState, saveTrainingState } from "./checkpoint.ts";

let run: string;
beforeEach(() => {
  run = mkdtempSync(join(tmpdir(), "lowrank-run-"));
});
afterEach(() => rmSync(run, { recursive: true }));

const configuration = { seed: 7 };
const checkpoints = (): string[] => readdirSync(join(run, "checkpoints")).sort();
const modelAt = (link: string): string => readFileSync(join(run, link, "model.txt"), "utf8");
const load = (path = run) => loadTrainingState(path, configuration);

describe("training state", () => {
  it("comes back bit for bit, NaN, -0 and denormals included", async () => {
    const state = {
      progress: {
        step: 12,
        epoch: 3,
        position: 45,
        tokens: 2 ** 40 + 1,
        random: random(5).state(),
        evaluations: { best: { step: 10, loss: 0.1 + 0.2 }, reference: 1 / 3, stale: 2 },
      },
      parameters: Float32Array.of(-0, NaN, 1e-45, -Infinity, 0.1),
      optimiser: { step: 12, vectors: { first_moment: Float32Array.of(1, 2, 3, 4, 5), second_moment: Float32Array.of(6, 7, 8, 9, 1e-30) } },
    };
    const path = await saveTrainingState(run, state, { configuration, saveModel: async () => {} });
    expect(path).toBe(join(run, "checkpoints", "step-000012"));
    const loaded = await load();
    expect(loaded).toEqual(state);
    expect(Buffer.from(loaded.parameters.buffer)).toEqual(Buffer.from(state.parameters.buffer));
  });

  it("keeps the last two and the best, and links to them", async () => {
    for (const step of [1, 2, 3, 4, 5]) await save(run, step, step === 2);
    expect(checkpoints()).toEqual(["step-000002", "step-000004", "step-000005"]);
    expect([modelAt("last"), modelAt("best")]).toEqual(["5", "2"]);
    expect(readdirSync(run).sort()).toEqual(["best", "checkpoints", "last"]);
    for (const [path, step] of [
      [run, 5],
      [join(run, "last"), 5],
      [join(run, "best"), 2],
      [join(run, "checkpoints/step-000004"), 4],
    ] as const) {
      expect((await load(path)).progress.step, path).toBe(step);
    }
  });

  it("saves a step again beside the old folder, and leaves a later course behind", async () => {
    for (const step of [1, 2, 3]) await save(run, step, false);
    await save(run, 3, true);
    expect(checkpoints()).toEqual(["step-000002", "step-000003-2"]);
    await save(run, 4, false);
    await load(join(run, "checkpoints/step-000003-2"));
    await save(run, 4, false);
    expect(checkpoints()).toEqual(["step-000003-2", "step-000004-2"]);
    await save(run, 2, false); // resumed from before step 2
    expect(checkpoints()).toEqual(["step-000002", "step-000003-2"]);
    expect((await load()).progress.step).toBe(2);
  });

  it("removes what a killed writer left behind, on loading and on saving", async () => {
    await save(run, 1, false);
    for (const use of [() => load(), () => save(run, 2, false)]) {
      mkdirSync(join(run, "checkpoints", "step-000002.partial"));
      writeFileSync(join(run, "checkpoints", "step-000002.partial", "state.json"), "{");
      await use();
      expect(checkpoints().filter((name) => name.endsWith("partial"))).toEqual([]);
    }
  });

  it("takes the newest folder where the link is missing", async () => {
    await save(run, 1, false);
    await save(run, 2, false);
    rmSync(join(run, "last"));
    expect((await load()).progress.step).toBe(2);
  });

  it("says when there is nothing to resume from", async () => {
    await expect(load(join(run, "none"))).rejects.toThrow(/none: There is no checkpoint to resume from\. Check the folder, or start/);
  });

  it("refuses settings other than those the run was started with", async () => {
    await save(run, 1, false);
    await expect(loadTrainingState(run, { seed: 8 })).rejects.toThrow(
      `${run}/checkpoints/step-000001/state.json: The run was started with other settings: seed was 7 and is now 8.`,
    );
  });
});

describe("a damaged checkpoint", () => {
  const older = "The checkpoint of step 1 is whole (";
  const damages: [string, (folder: string) => void, RegExp][] = [
    [
      "truncated vectors",
      (folder) => truncateSync(join(folder, "state.safetensors"), 1000),
      /state\.safetensors: The file has 1000 bytes where 4\d+ were saved\./,
    ],
    ["missing vectors", (folder) => rmSync(join(folder, "state.safetensors")), /state\.safetensors: The file is missing\./],
    [
      "a flipped bit",
      (folder) => flip(join(folder, "state.safetensors")),
      /state\.safetensors: The file is not the one that was saved: its digest differs\./,
    ],
    ["truncated progress", (folder) => truncateSync(join(folder, "state.json"), 40), /state\.json: The file is not valid JSON/],
    ["missing progress", (folder) => rmSync(join(folder, "state.json")), /state\.json: There is no such file\./],
    [
      "progress of another version",
      (folder) => writeFileSync(join(folder, "state.json"), '{"version":0}'),
      /state\.json: It is not a training state of version 1\./,
    ],
    [
      "progress without its parts",
      (folder) => writeFileSync(join(folder, "state.json"), '{"version":1}'),
      /state\.json: Parts of it are missing\./,
    ],
  ];
  const flip = (path: string): void => {
    const bytes = readFileSync(path);
    bytes[bytes.length - 1] ^= 1;
    writeFileSync(path, bytes);
  };

  it.each(damages)("with %s is refused, naming the file and the older one", async (_, damage, message) => {
    await save(run, 1, false);
    damage(await save(run, 2, false));
    const error: Error = await load().then(
      () => new Error("it was loaded"),
      (reason: Error) => reason,
    );
    expect(error.message).toMatch(message);
    expect(error.message).toContain(
      `${older}${join(run, "checkpoints", "step-000001")}): remove ${join(run, "checkpoints", "step-000002")} and resume.`,
    );
    expect(await load(join(run, "checkpoints", "step-000001"))).toEqual(stateOf(1));
  });

  it("that is the only one says so", async () => {
    truncateSync(join(await save(run, 1, false), "state.safetensors"), 8);
    await expect(load()).rejects.toThrow("No other checkpoint of this run is whole: start it again.");
  });
});

describe("a save that fails", () => {
  const failing = (error: Error) =>
    saveTrainingState(run, stateOf(2), {
      configuration,
      isBest: true,
      saveModel: async (folder) => {
        writeFileSync(join(folder, "half"), "half");
        throw error;
      },
    });
  const full = Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });

  it("for a full disk leaves the earlier checkpoint as it was", async () => {
    await save(run, 1, true);
    await expect(failing(full)).rejects.toMatchObject({
      code: "io-failed",
      message: `${run}: The checkpoint of step 2 could not be saved: the disk is full. The checkpoint of step 1 is intact. Free some space and resume from it.`,
    });
    expect(checkpoints()).toEqual(["step-000001"]);
    expect([modelAt("last"), modelAt("best")]).toEqual(["1", "1"]);
    expect(await load()).toEqual(stateOf(1));
  });

  it("before any checkpoint says that there is none", async () => {
    await expect(failing(full)).rejects.toThrow("the disk is full. Nothing was saved before it. Free some space and start again.");
    await expect(failing(new Error("EACCES: permission denied."))).rejects.toThrow(
      "could not be saved: EACCES: permission denied. Nothing",
    );
  });
});

describe("a process killed while it saves", () => {
  it("leaves a whole checkpoint, whenever it dies", async () => {
    const generator = random(11);
    let first = 1;
    for (let round = 0; round < 4; round++) {
      const fixture = join(import.meta.dirname, "checkpoint.fixture.ts");
      const child = spawn(process.execPath, ["--import", "tsx", fixture, run, String(first)], { stdio: ["ignore", "pipe", "inherit"] });
      let announced = 0;
      child.stdout.on("data", (text: Buffer) => (announced = Number(text.toString().trim().split("\n").at(-1))));
      await once(child.stdout, "data");
      await new Promise((resolve) => setTimeout(resolve, 150 * generator.uniform()));
      child.kill("SIGKILL");
      await once(child, "close");

      const state = await load();
      const { step } = state.progress;
      expect(step).toBeGreaterThanOrEqual(announced);
      expect(state).toEqual(stateOf(step));
      expect(modelAt("last")).toBe(String(step));
      if (existsSync(join(run, "best"))) expect((await load(join(run, "best"))).progress.step % 3).toBe(0);
      expect(checkpoints().length).toBeLessThanOrEqual(5);
      first = step + 1;
    }
  });
});
