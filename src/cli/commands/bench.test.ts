import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { randomCheckpoint } from "../../evaluate/bench/index.ts";
import { runProgram } from "../run-program.ts";
import { addCommand } from "../schema.ts";
import { benchGenerate } from "./bench-generate.ts";
import { benchTrain } from "./bench-train.ts";

const folder = mkdtempSync(join(tmpdir(), "lowrank-bench-"));
let model: string;
beforeAll(async () => {
  vi.stubEnv("LOWRANK_CACHE", folder);
  const config = {
    model_type: "llama",
    hidden_size: 16,
    intermediate_size: 24,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    vocab_size: 50,
  };
  model = await randomCheckpoint("tiny", config, 0);
});
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

const bench = async (...words: string[]): Promise<{ stdout: string; stderr: string; code: number }> => {
  const said = { stdout: "", stderr: "", code: 0 };
  const surroundings = {
    stdout: { write: (text: string) => (said.stdout += text) },
    stderr: { write: (text: string) => (said.stderr += text) },
    environment: {},
    setExitCode: (code: number) => (said.code = code),
  };
  const program = new Command("lowrank");
  const group = program.command("bench");
  addCommand(group, benchTrain, surroundings);
  addCommand(group, benchGenerate, surroundings);
  await runProgram(program, ["bench", ...words], surroundings);
  return said;
};

it("measures training and prints one object", async () => {
  const { stdout, code } = await bench(
    "train",
    "--model",
    model,
    "--batch-size",
    "2",
    "--seq-length",
    "8",
    "--steps",
    "2",
    "--rank",
    "2",
    "--json",
  );
  expect(code).toBe(0);
  const result = JSON.parse(stdout) as Record<string, unknown>;
  expect(Object.keys(result)).toEqual([
    "model",
    "tokensPerSecond",
    "millisecondsPerStep",
    "stepMilliseconds",
    "sessionSeconds",
    "firstStepSeconds",
    "trainable",
    "loss",
    "peakMemoryBytes",
    "threads",
    "loadAverage",
    "settings",
    "estimate",
  ]);
  expect(result).toMatchObject({ model, trainable: 2 * (4 * 32 + 3 * 40) });
});

it("measures generation and prints a table", async () => {
  const { stdout, stderr, code } = await bench("generate", "--model", model, "--past", "5", "--tokens", "2", "--adapter", "merged");
  expect(code).toBe(0);
  expect(stderr).toBe(`${model}: 2 tokens after a prompt of 5, adapter merged\n`);
  expect(stdout.split("\n").map((line) => /^\S+(?: \S+)*/.exec(line)?.[0])).toEqual([
    "measured",
    expect.stringMatching(/^─+/),
    "prompt",
    "generation",
    "token",
    "first token after",
    "peak memory",
    "threads",
    "load average",
    undefined,
  ]);
});

describe("refuses", () => {
  it.each([
    ["no model", ["train"], "There is no model to measure. Name one with --model, or one of the shapes smollm2-135m,"],
    ["a model and a shape", ["train", "--model", "x", "--shape", "smollm2-135m"], "--model and --shape exclude each other."],
    [
      "a precision that is not offered",
      ["train", "--shape", "smollm2-135m", "--base-precision", "int9"],
      'not "int9" (did you mean int8?)',
    ],
    ["an unknown shape", ["generate", "--shape", "smollm2-130m"], 'not "smollm2-130m" (did you mean smollm2-135m?)'],
  ])("%s", async (_, words, message) => {
    const { stderr, code } = await bench(...words);
    expect(stderr.replaceAll("\n", " ")).toContain(message);
    expect(code).toBe(1);
  });
});
