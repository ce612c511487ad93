import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hasShared, sharedPath } from "../../../test/shared.ts";
import { loadModel } from "../../language-model.ts";
import { createContext } from "../context.ts";
import { resolveOptions } from "../options.ts";
import { lowrank, lowrankJson, oneLine } from "./command.fixture.ts";
import { run } from "./generate-run.ts";
import { generate } from "./generate.ts";

const stories = hasShared ? sharedPath("models", "stories260k") : "";
const start = " a time, there was a little girl named Lily. She loved"; // 16 tokens

describe.skipIf(!hasShared)("lowrank generate", () => {
  let folder: string;
  let tales: string;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "lowrank-generate-"));
    tales = join(folder, "tales");
    const model = await loadModel(stories);
    await model.saveAdapter(tales, await model.attach({ r: 4, lora_alpha: 2, init_lora_weights: false }, 7));
    await model.close();
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const write = (...words: string[]) => lowrank(["generate", "--model", stories, ...words]);
  const writeJson = (...words: string[]) => lowrankJson(["generate", "--model", stories, ...words]);

  it("writes the reference's 200 tokens after nothing, and nothing else", async () => {
    const text = readFileSync(join(stories, "greedy-200.txt"), "utf8");
    expect(await write("--max-tokens", "200", "")).toEqual({ stdout: `${text}\n`, stderr: "", code: 0 });
  });

  it("writes the same while it guesses ahead", async () => {
    const text = readFileSync(join(stories, "greedy-200.txt"), "utf8");
    expect(await write("--max-tokens", "200", "--speculate", "4", "")).toEqual({ stdout: `${text}\n`, stderr: "", code: 0 });
    const merged = ["--max-tokens", "48", "--adapter", tales, "Once upon"];
    expect(await write("--speculate", "3", ...merged)).toEqual(await write(...merged));
    const { stderr, code } = await write("--speculate", "3", "--prompts", "rows.jsonl");
    expect([oneLine(stderr), code]).toEqual([expect.stringContaining("--speculate guesses ahead in one text"), 1]);
  });

  it("shows prompt, text and figures on a terminal", async () => {
    const { stdout, stderr } = await lowrank(["generate", "--model", stories, "--max-tokens", "16", "Once", "upon"], { columns: 80 });
    expect(stdout).toBe(`Once upon${start}\n`);
    expect(stderr).toMatch(/^16 tokens, [\d,]+ tokens\/s, --max-tokens ended it\n$/);
  });

  it("gives one object for --json", async () => {
    const object = await writeJson("--max-tokens", "16", "Once upon");
    expect(object).toEqual({
      model: stories,
      adapters: [],
      merged: false,
      prompt: "Once upon",
      text: start,
      promptTokens: 3,
      tokens: 16,
      finishReason: "length",
      seconds: expect.any(Number) as number,
      firstTokenSeconds: expect.any(Number) as number,
      tokensPerSecond: expect.any(Number) as number,
    });
    const { stdout, stderr } = await write("--max-tokens", "4", "--json", "Once upon");
    expect(stdout.split("\n")).toHaveLength(2);
    expect(stderr).toBe("");
  });

  it.each<[string, string[], string]>([
    ["a stop text", ["--stop", "Lily", "--stop", "girl"], " a time, there was a little "],
    ["one candidate", ["--temperature", "1.2", "--top-k", "1"], start],
    ["a tiny nucleus", ["--temperature", "1.2", "--top-p", "0.01"], start],
    ["only the likeliest", ["--temperature", "1.2", "--min-p", "1"], start],
  ])("draws with %s", async (_, flags, expected) => {
    expect((await write(...flags, "--max-tokens", "16", "Once upon")).stdout).toBe(`${expected}\n`);
  });

  it("draws by the seed", async () => {
    const draw = async (seed: string): Promise<string> =>
      (await write("--temperature", "1.2", "--seed", seed, "--max-tokens", "8", "x")).stdout;
    const first = await draw("5");
    expect(await draw("5")).toBe(first);
    expect(await draw("6")).not.toBe(first);
  });

  it("does not repeat itself under a penalty", async () => {
    const { text } = (await writeJson("--repetition-penalty", "1e6", "--max-tokens", "60", "Once upon")) as { text: string };
    const model = await loadModel(stories);
    const ids = model.tokenizer.encode(`Once upon${text}`);
    await model.close();
    expect(new Set(ids).size).toBeGreaterThan(0.9 * ids.length);
  });

  it("refuses a prompt that the model has no positions for", async () => {
    const long = "the ".repeat(600);
    const { stderr, code } = await write(long);
    expect(oneLine(stderr)).toMatch(/^error: The prompt has \d+ tokens, and the model takes 512 with the answer\. Shorten the prompt\.$/);
    expect(code).toBe(1);
  });

  it("asks as in a chat", async () => {
    const object = await writeJson("--chat", "--max-tokens", "5", "Hi");
    // BOS, then "### User:\nHi\n\n### Assistant:\n".
    const model = await loadModel(stories);
    expect(object["promptTokens"]).toBe(1 + model.tokenizer.encode("### User:\nHi\n\n### Assistant:\n", { specialTokens: false }).length);
    await model.close();
  });

  it("reads the prompt from standard input", async () => {
    const options = await resolveOptions(
      generate.options,
      { prompt: ["-"], model: [stories], maxTokens: ["16"] },
      { command: "lowrank generate" },
    );
    const object = await run(
      options,
      createContext(true, { stdout: { write: () => 0 }, stderr: { write: () => 0 }, environment: {}, setExitCode: () => 0 }),
      Readable.from(["Once ", "upon\n"]),
    );
    expect(object).toMatchObject({ prompt: "Once upon", text: start });
  });

  it("takes options from a file", async () => {
    const config = join(folder, "write.yaml");
    writeFileSync(config, `model: ${stories}\nmax-tokens: 16\nprompt: Once upon\n`);
    expect((await lowrank(["generate", "--config", config, "Once upon"])).stdout).toBe(`${start}\n`);
  });

  describe("with adapters", () => {
    const text = async (...words: string[]): Promise<unknown> => (await writeJson("--max-tokens", "24", ...words, "Once upon"))["text"];

    it("says the same merged and beside the base, and something else than the base", async () => {
      const merged = await writeJson("--max-tokens", "24", "--adapter", tales, "Once upon");
      expect(merged).toMatchObject({ adapters: [{ directory: tales, scale: 1 }], merged: true });
      expect(merged["text"]).toBe(await text("--adapter", tales, "--no-merge"));
      expect(merged["text"]).not.toBe(await text());
    });

    it("adds up adapters by their scales", async () => {
      const halves = await writeJson("--max-tokens", "24", "--adapter", `${tales}:0.25`, "--adapter", `${tales}:0.75`, "Once upon");
      expect(halves["merged"]).toBe(false);
      expect(halves["text"]).toBe(await text("--adapter", tales));
      expect(await text("--adapter", `${tales}:0`)).toBe(await text());
      expect(await text("--adapter", `${tales}:1`, "--adapter", `${tales}:-1`)).toBe(await text());
    });

    it.each<[string, () => string[], string]>([
      ["a bad scale", () => ["--adapter", `${tales}:half`], 'error: --adapter: "half" is not a scale for'],
      ["a missing folder", () => ["--adapter", `${tales}-absent`], "tales-absent: There is no such folder"],
      ["a model for an adapter", () => ["--adapter", stories], "This folder holds a model; name the folder of an adapter."],
      ["an adapter of another shape", () => ["--adapter", sharedPath("goldens", "llama.all-linear", "adapter")], "another shape"],
    ])("refuses %s", async (_, flags, message) => {
      const { stdout, stderr, code } = await write(...flags(), "x");
      expect(oneLine(stderr)).toContain(message);
      expect([stdout, code]).toEqual(["", 1]);
    });

    it("refuses an adapter of another base, unless it is meant", async () => {
      const other = join(folder, "other");
      expect((await lowrank(["merge", "--model", stories, "--adapter", tales, "--output", other])).code).toBe(0);
      const words = ["generate", "--model", other, "--adapter", tales, "--max-tokens", "2", "x"];
      const { stderr, code } = await lowrank(words);
      expect(oneLine(stderr)).toMatch(
        /The adapter was trained on the base sha256:\w{12}…, and this one is sha256:\w{12}…\. Name its base with --model, or pass --allow-other-base/,
      );
      expect(code).toBe(1);
      expect((await lowrank([...words, "--allow-other-base"])).code).toBe(0);
    });
  });

  it.each<[string, string[], string]>([
    [
      "a missing model",
      ["--model", "./absent", "x"],
      "error: ./absent: There is no such folder, and no model on the hub can have this name.",
    ],
    [
      "a temperature below 0",
      ["--temperature", "-1", "x"],
      "error: --temperature takes a number of at least 0, not -1. See `lowrank generate --help`.",
    ],
    ["an empty stop text", ["--stop", "", "x"], "--stop"],
  ])("refuses %s", async (_, words, message) => {
    const { stderr, code } = await lowrank(["generate", ...words]);
    expect(oneLine(stderr)).toContain(message);
    expect(code).toBe(1);
  });
});
