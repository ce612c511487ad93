import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { lowrank, oneLine } from "./command.fixture.ts";

const folder = mkdtempSync(join(tmpdir(), "lowrank-early-"));
const taken = join(folder, "taken");
const common = ["--model", join(folder, "no-model")];
const data = ["--data", join(folder, "no-data.jsonl")];
beforeAll(() => mkdirSync(join(taken, "checkpoints/step-000001"), { recursive: true }));
afterAll(() => rmSync(folder, { recursive: true }));

describe("before the model is looked for", () => {
  it.each([
    ["train", [...data, "--output", join(folder, "run"), "--memory-limit", "much"], '--memory-limit takes a size, not "much".'],
    ["bench train", ["--memory-limit", "much"], '--memory-limit takes a size, not "much".'],
    ["train", [...data, "--output", taken], "The folder holds the checkpoints of another run."],
    ["pretrain", [...data, "--output", taken], "The folder holds the checkpoints of another run."],
  ])("%s refuses %j", async (command, words, message) => {
    const { stderr, code } = await lowrank([...command.split(" "), ...common, ...words]);
    expect(oneLine(stderr)).toContain(message);
    expect(code).toBe(1);
  });
});
