import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { tinyT5 } from "../../../test/tiny-model.ts";
import { lowrank, lowrankJson } from "./command.fixture.ts";

describe("commands on an encoder–decoder", () => {
  let folder: string;
  let base: string;
  let data: string;
  let runs: string;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "lowrank-t5-"));
    process.env["LOWRANK_CACHE"] = join(folder, "cache");
    [base, data, runs] = [await tinyT5({ num_layers: 1, num_decoder_layers: 1 }), join(folder, "toys.jsonl"), join(folder, "runs")];
    const rows = ["ball", "kite", "boat", "drum"].map((toy) => ({ prompt: `Mia had a ${toy}.`, completion: `A ${toy}.` }));
    writeFileSync(data, rows.map((row) => JSON.stringify(row)).join("\n"));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it("show source and target before they train, and measure what came of it", async () => {
    const flags = [
      "--targets",
      "q",
      "--targets",
      "v",
      "--epochs",
      "8",
      "--batch-size",
      "2",
      "--learning-rate",
      "3e-2",
      "--hold-out",
      "0.25",
    ];
    const { stdout, code } = await lowrank(["train", "--model", base, "--data", data, "--output", runs, ...flags]);
    expect(code).toBe(0);
    expect(stdout).toContain("source:\n<s>Mia had a ball.</s>\n0 of 8 tokens supervised (0 %)\ntarget:\n[[<s>A ball.</s>]]\n");
    expect(stdout).toContain("3 examples (completion, sequence-to-sequence loss over completions)");
    const measured = ["evaluate", "--model", base, "--data", data];
    const [before, after] = [await lowrankJson(measured), await lowrankJson([...measured, "--adapter", runs])];
    expect(after["loss"]).toBeLessThan(0.9 * (before["loss"] as number));
    expect(after["perplexity"]).toBeCloseTo(Math.exp(after["loss"] as number), 6);
  });

  it("write what the decoder writes alone, without the prompt", async () => {
    const words = ["generate", "--model", base, "--max-tokens", "6", "Mia had a ball."];
    const { text, promptTokens } = await lowrankJson(words);
    // The end token comes to the prompt.
    expect(promptTokens).toBe(8);
    expect((await lowrank(words, { columns: 80 })).stdout).toBe(`${String(text)}\n`);
  });

  it("merge, and find the same logits", async () => {
    const { largestDifference } = await lowrankJson(["merge", "--model", base, "--adapter", runs, "--output", join(folder, "merged")]);
    expect(largestDifference).toBeLessThan(1e-4);
  });

  it("name its sizes", async () => {
    const { config } = await lowrankJson(["inspect", base]);
    expect(config).toEqual({ family: "t5", layers: 1, hidden: 16, feedForward: 24, heads: 4, vocabulary: 1536, tiedHead: true });
  });

  it.each([
    { words: ["--stream"], message: "A stream of text has no examples to learn from." },
    { words: ["--pack"], message: "Examples of this kind cannot be packed into rows." },
  ])("refuse $words", async ({ words, message }) => {
    const { stderr, code } = await lowrank(["train", "--model", base, "--data", data, "--output", join(folder, "none"), ...words]);
    expect(code).toBe(1);
    expect(stderr).toContain(message);
  });
});
