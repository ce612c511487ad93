import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { rows, writeRows } from "../../../test/faults/material.ts";
import { tinyModel } from "../../../test/tiny-model.ts";
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
