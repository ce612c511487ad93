import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { rows, writeRows } from "../../../test/faults/material.ts";
import { tinyModel } from "../../../test/tiny-model.ts";
import { lowrank, lowrankJson, oneLine } from "./command.fixture.ts";

const folder = mkdtempSync(join(tmpdir(), "lowrank-memory-"));
let train: (output: string, ...words: string[]) => string[];
beforeAll(async () => {
  const model = await tinyModel();
  const data = writeRows(join(folder, "train.jsonl"), rows(12));
  train = (output, ...words) => {
    const common = ["--model", model, "--data", data, "--seq-length", "32", "--rank", "2", "--max-steps", "2", "--threads", "1"];
    return ["train", ...common, "--output", join(folder, output), ...words];
  };
});
afterAll(() => rmSync(folder, { recursive: true }));

describe("train --memory-limit", () => {
  it("says what it expects before the run, and how near that was after it", async () => {
    const { stdout } = await lowrank(train("said", "--memory-limit", "4GB"));
    expect(stdout).toMatch(
      /^about \d+ MB of 4\.00 GB of memory: weights [\d.]+ k?B, activations [\d.]+ [kM]B, optimiser [\d.]+ kB, process \d+ MB$/m,
    );
    expect(stdout).toMatch(/^for that, updates of 1 × 8 rows, norms and attention weights kept, logits of [\d,]+ positions at once$/m);
    expect(stdout).toMatch(/^Peak memory [\d.]+ [MG]B, [\d.]+ % (below|above) the estimate\.$/m);
    const { memory } = await lowrankJson(train("told", "--memory-limit", "4GB"));
    expect(memory).toEqual({ limit: 4e9, estimated: expect.any(Number) as number, peak: expect.any(Number) as number });
  });

  it("computes layers again where that is asked for", async () => {
    expect((await lowrank(train("again", "--memory-limit", "4GB", "--checkpointing"))).stdout).toContain(
      "rows, layers computed again, logits",
    );
  });

  it.each([
    ["10MB", "Training does not fit into 10MB: the smallest step takes about"],
    ["much", '--memory-limit takes a size, not "much".'],
  ])("refuses %s", async (limit, message) => {
    const { stderr, code } = await lowrank(train(`refused-${limit}`, "--memory-limit", limit));
    expect(oneLine(stderr)).toContain(message);
    expect(code).toBe(1);
  });
});
