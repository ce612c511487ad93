import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { rows, writeRows } from "../../../test/faults/material.ts";
import { tinyModel } from "../../../test/tiny-model.ts";
import { vectorOf } from "../../library/index.ts";
import { openBase } from "../../models/index.ts";
import { lowrank, lowrankJson, oneLine } from "./command.fixture.ts";

const folder = mkdtempSync(join(tmpdir(), "lowrank-publish-"));
const library = join(folder, "library");
let model: string;
let data: string;
beforeAll(async () => {
  model = await tinyModel();
  data = writeRows(join(folder, "train.jsonl"), rows(12));
});
afterAll(() => [folder, model].forEach((path) => rmSync(path, { recursive: true })));

const train = (output: string, ...words: string[]): string[] => {
  const common = ["--model", model, "--data", data, "--eval-data", data, "--seq-length", "32", "--rank", "2", "--max-steps", "2"];
  return ["train", ...common, "--output", join(folder, output), "--library", library, ...words];
};

describe("train --publish", () => {
  it("puts the result into the library, and every command finds it there", async () => {
    const result = await lowrankJson(train("first", "--publish", "team/orders"));
    const record = await lowrankJson(["library", "show", "team/orders", "--library", library]);
    const { best } = result["evaluation"] as { best: number };
    expect(result["published"]).toEqual({ name: "team/orders", version: 1, digest: record["digest"] });
    expect(record).toMatchObject({
      metrics: { eval_loss: best, eval_perplexity: Math.exp(best), train_loss: result["loss"], steps: 2, tokens: result["tokens"] },
      lineage: { base: (await openBase(model)).digest, baseName: model, run: join(folder, "first") },
    });
    expect((record["lineage"] as { data: string }).data).toMatch(/^12 examples, \d+ tokens, sha256 [0-9a-f]{16}$/);

    await lowrankJson(train("second", "--publish", "team/orders", "--seed", "1"));
    const say = async (adapter: string) => {
      const words = [
        "generate",
        "--model",
        model,
        "--adapter",
        adapter,
        "--library",
        library,
        "--max-tokens",
        "4",
        "--temperature",
        "0",
        "Hi",
      ];
      return (await lowrankJson(words))["text"];
    };
    expect(await say("team/orders@1")).toBe(await say(join(folder, "first")));
    expect(await say("team/orders:1e-9")).toBe(await say(`${join(folder, "second")}:1e-9`));

    const { stdout } = await lowrank(["inspect", "team/orders", "--library", library]);
    expect(stdout).toContain("a LoRA adapter");
    const other = await tinyModel({}, 2);
    const refused = await lowrank(["generate", "--model", other, "--adapter", "team/orders", "--library", library, "Hi"]);
    expect(refused.code).toBe(1);
    expect(oneLine(refused.stderr)).toContain("error: team/orders@2: The adapter was trained on the base sha256:");
    rmSync(other, { recursive: true });
  });

  const embeddingOf = async (name: string): Promise<{ examples: number; tokens: number; vector: string }> =>
    (await lowrankJson(["library", "show", name, "--library", library]))["embedding"] as never;

  it("stores what the data are about, by the base and the seed alone", async () => {
    const stored = await embeddingOf("team/orders@1");
    expect(stored).toMatchObject({ examples: 12, tokens: expect.any(Number) as number });
    expect(vectorOf(stored)).toHaveLength((await openBase(model)).model.hiddenSize);
    expect(await embeddingOf("team/orders@2")).toMatchObject({ tokens: stored.tokens });
    await lowrankJson(train("again", "--publish", "again", "--rank", "3"));
    expect(await embeddingOf("again")).toEqual(stored);
    expect((await lowrank(["library", "show", "again", "--library", library])).stdout).toMatch(
      /compared by +12 examples of its data, \d+ tokens/,
    );
  });

  it("does so whatever the examples are", async () => {
    const pairs = writeRows(join(folder, "pairs.jsonl"), [
      { prompt: "Tom saw a cat.", chosen: " He ran.", rejected: " He slept." },
      { prompt: "Mia had a hat.", chosen: " It was red.", rejected: " It was blue." },
    ]);
    const words = ["--data", pairs, "--eval-data", pairs, "--loss", "dpo", "--publish", "pairs"];
    const common = ["--model", model, "--seq-length", "32", "--rank", "2", "--max-steps", "1", "--library", library];
    await lowrankJson(["train", ...common, ...words, "--output", join(folder, "pairs")]);
    expect((await embeddingOf("pairs")).examples).toBe(2);
    const labelled = writeRows(
      join(folder, "labelled.jsonl"),
      ["bad", "good"].map((label) => ({ text: `It was ${label}.`, label })),
    );
    await lowrankJson([
      "train",
      ...common,
      "--task",
      "classify",
      "--data",
      labelled,
      "--publish",
      "judge",
      "--output",
      join(folder, "judge"),
    ]);
    expect((await embeddingOf("judge")).examples).toBe(2);
  });

  it.each<[what: string, words: string[], telling: string]>([
    ["a name that none can have", ["--publish", "../up"], "cannot be the name of an adapter"],
    ["a whole model", ["--publish", "orders", "--method", "full"], "--publish is for adapters"],
    ["a library that is another folder", ["--publish", "orders", "--library", join(folder, "full")], "holds other things than a library"],
  ])("refuses %s before it trains", async (_, words, telling) => {
    writeRows(join(folder, "full", "mine.txt"), ["mine"]);
    const { code, stderr } = await lowrank(train("refused", ...words));
    expect(code).toBe(1);
    expect(oneLine(stderr)).toContain(telling);
    expect(existsSync(join(folder, "refused"))).toBe(false);
  });
});
