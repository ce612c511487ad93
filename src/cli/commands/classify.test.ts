import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { beforeAll, describe, expect, it } from "vitest";
import { tinyModel } from "../../../test/tiny-model.ts";
import { lowrank, lowrankJson, oneLine } from "./command.fixture.ts";

let place: string;
let model: string;
let adapter: string;
let data: string;
let trained: Record<string, unknown>;

const colours = ["red", "blue", "green"];
const rows = Array.from({ length: 60 }, (_, index) => {
  const colour = colours[index % 3];
  return { Sentence: `Mia saw the ${colour} ${["bird", "boat", "hat", "door"][index % 4]}.`, Label: colour, place: index % 3 };
});

const words = (line: string, ...more: string[]): string[] => [...line.split(" "), ...more];

const trainWords = (line: string, output: string): string[] => [
  ...words("train --seq-length 16 --threads 1 --model", model, "--data", data),
  ...words(line, "--output", output),
];

beforeAll(async () => {
  process.env["LOWRANK_CACHE"] = await mkdtemp(join(tmpdir(), "lowrank-cache-"));
  place = await mkdtemp(join(tmpdir(), "lowrank-classify-"));
  model = await tinyModel();
  data = join(place, "colours.jsonl");
  adapter = join(place, "colours");
  await writeFile(data, rows.map((row) => JSON.stringify(row)).join("\n"));
  trained = await lowrankJson(trainWords("--task classify --hold-out 0.2 --epochs 6 --learning-rate 2e-2", adapter));
});

interface Classified {
  readonly predicts: string;
  readonly texts: readonly { readonly text: string; readonly label: string; readonly scores: Record<string, number> }[];
}

describe("a classifier", () => {
  it("is trained on a language model's checkpoint, with a new head that comes along in the adapter", () => {
    expect(trained).toMatchObject({ reason: "completed", steps: 36 });
    expect((trained["evaluation"] as { last: number }).last).toBeLessThan(0.2);
  });

  it("tells the probability of each class, as JSON and for people", async () => {
    const texts = ["Mia saw the blue hat.", "Mia saw the green bird."];
    const { predicts, texts: said } = (await lowrankJson([
      "classify",
      "--model",
      model,
      "--adapter",
      adapter,
      ...texts,
    ])) as unknown as Classified;
    expect([predicts, said.map(({ text }) => text), said.map(({ label }) => label)]).toEqual(["classes", texts, ["blue", "green"]]);
    for (const { scores } of said) {
      expect(Object.keys(scores)).toEqual(["blue", "green", "red"]);
      expect(Object.values(scores).reduce((sum, score) => sum + score, 0)).toBeCloseTo(1, 6);
    }
    const { stdout } = await lowrank(["classify", "--model", model, "--adapter", adapter, texts[1]]);
    expect(stdout).toMatch(/^green {2}green 0\.\d{3} {2}(blue|red) 0\.\d{3} {2}(blue|red) 0\.\d{3} {2}Mia saw the green bird\.\n$/);
  });

  it("reads lines of standard input", async () => {
    const { run } = await import("./classify-run.ts");
    const said: string[] = [];
    const context = { out: (text: string) => said.push(text), err: () => {}, colour: false, isTerminal: false, json: false } as never;
    const options = { texts: ["-"], model, adapter: [adapter], allowOtherBase: false, batchSize: 1, device: "cpu" } as never;
    await run(options, context, Readable.from("Mia saw the red boat.\n\nMia saw the blue boat.\n"));
    expect(said.map((line) => line.split(" ", 1)[0])).toEqual(["red", "blue"]);
    await expect(run(options, context, Readable.from("\n"))).rejects.toThrow("Standard input has no text.");
  });

  it("is evaluated by loss, accuracy, F1 and a table of what was taken for what", async () => {
    const line = words("evaluate --seq-length 16 --model", model, "--adapter", adapter, "--data", data);
    const { stdout } = await lowrank(line);
    expect(stdout).toMatch(/^loss 0\.\d+, accuracy (1\.000|0\.9\d+), macro f1 .* over 60 texts\n/);
    expect(stdout).toContain("class  texts  precision  recall     F1  → blue  → green  → red\n");
    const json = await lowrankJson(line);
    expect(json).toMatchObject({
      examples: 60,
      weight: 60,
      classes: [{ label: "blue", support: 20 }, { label: "green" }, { label: "red" }],
    });
    expect((json["confusion"] as number[][]).map((row) => row.reduce((sum, count) => sum + count, 0))).toEqual([20, 20, 20]);
  });

  it("is merged into a checkpoint that says the same and can be trained on", async () => {
    const merged = join(place, "merged");
    await lowrank(["merge", "--model", model, "--adapter", adapter, "--output", merged]);
    const asked = "Mia saw the blue hat.";
    const [beside, folded] = (await Promise.all([
      lowrankJson(["classify", "--model", model, "--adapter", adapter, asked]),
      lowrankJson(["classify", "--model", merged, asked]),
    ])) as unknown as Classified[];
    expect(folded.texts[0].scores["blue"]).toBeCloseTo(beside.texts[0].scores["blue"], 5);
    const given = words("train --seq-length 16 --max-steps 1 --targets q_proj --targets score --data", data, "--model", merged);
    const again = await lowrankJson([...given, "--output", join(place, "again")]);
    expect(again).toMatchObject({ steps: 1, loss: expect.closeTo(0, 0) as number });
  });

  it("is shown with its first text, its label and what reads it", async () => {
    const { stdout } = await lowrank(trainWords("--task classify --max-steps 1", join(place, "shown")));
    expect(stdout).toContain("red:\n");
    expect(stdout).toContain("60 texts (labelled, classification loss over labels), ");
    expect(stdout).not.toContain("End token");
    expect(stdout).toContain("Try it: lowrank classify ");
  });
});

describe("values", () => {
  it("are learnt from numbers, and told", async () => {
    const output = join(place, "places");
    const recipe = "--task regress --fields label=place --hold-out 0.2 --epochs 6 --learning-rate 2e-2";
    const result = await lowrankJson(trainWords(recipe, output));
    expect((result["evaluation"] as { last: number }).last).toBeLessThan(0.2);
    const { predicts, texts } = (await lowrankJson([
      "classify",
      "--model",
      model,
      "--adapter",
      output,
      "Mia saw the green hat.",
    ])) as unknown as Classified;
    expect([predicts, texts[0].label]).toEqual(["values", "value"]);
    expect(Math.abs(texts[0].scores["value"] - 2)).toBeLessThan(0.5);
    const { stdout } = await lowrank([
      "evaluate",
      "--model",
      model,
      "--adapter",
      output,
      "--data",
      data,
      "--fields",
      "label=place",
      "--seq-length",
      "16",
    ]);
    expect(stdout).toMatch(/^loss 0\.\d+, root mean square error 0\.\d+, pearson 0\.9\d+ over 60 texts\n$/);
  });
});

describe("is refused", () => {
  it.each<[string, () => string[], string]>([
    ["text from a classifier", () => ["generate", "--adapter", adapter, "Mia"], "The adapter is for the task SEQ_CLS"],
    ["classes from a language model", () => ["classify", "Mia"], "The head of this llama predicts tokens, not labels of documents."],
    [
      "another loss",
      () => ["train", "--task", "classify", "--data", data, "--loss", "dpo", "--output", join(place, "x")],
      "The head of this llama is trained by classification alone. Leave --loss out.",
    ],
    [
      "a new head as a target",
      () => ["train", "--task", "classify", "--data", data, "--targets", "score", "--output", join(place, "x")],
      '"score" is new, so an adapter that holds an update of it would not be enough to use it.',
    ],
  ])("%s", async (_, words, message) => {
    const [command, ...rest] = words();
    const { stderr, code } = await lowrank([command, "--model", model, ...rest]);
    expect(oneLine(stderr)).toContain(message);
    expect(code).toBe(1);
  });
});
