import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { hasShared, sharedPath } from "../../test/shared.ts";
import { byteLevelFiles, llamaFiles } from "../../test/tiny-tokenizer.ts";
import { loadTokenizer } from "../formats/index.ts";
import { createTokenizer } from "../formats/tokenizer.ts";
import type { Dataset } from "./dataset.ts";
import { loadTextStream } from "./text-stream.ts";

const fileWith = async (name: string, content: string): Promise<string> => {
  const path = join(await mkdtemp(join(tmpdir(), "stream-")), name);
  await writeFile(path, content);
  return path;
};

const tokenizer = createTokenizer(byteLevelFiles());
const texts = ({ examples }: Dataset): string[] => examples.map(({ ids }) => tokenizer.decode(ids, { skipSpecial: false }));

describe("loadTextStream", () => {
  it("cuts one stream without special tokens into blocks, of which all but the first token are learnt", async () => {
    const path = await fileWith("t.txt", "abcdefghijk");
    const { train, heldOut } = await loadTextStream({ path, tokenizer, blockLength: 4 });
    expect(texts(train)).toEqual(["abcd", "efgh"]);
    expect(train.examples.map(({ supervised }) => [...supervised])).toEqual([
      [0, 1, 1, 1],
      [0, 1, 1, 1],
    ]);
    expect(train.examples[1].where).toBe(`${path}: block 2`);
    expect(train.report).toMatchObject({
      rows: 1,
      examples: 2,
      tokens: 8,
      supervisedTokens: 6,
      supervisedShare: 0.75,
      longest: 4,
      warnings: [],
    });
    expect(heldOut).toBeUndefined();
  });

  it("holds out the last characters, counted in code points", async () => {
    const path = await fileWith("t.txt", "😀bcdefghij");
    const { train, heldOut } = await loadTextStream({ path, tokenizer, blockLength: 2, holdOut: 0.3 });
    const ids = train.examples.flatMap(({ ids }) => [...ids]);
    expect(tokenizer.decode(ids)).toBe("😀bcdefg");
    expect(texts(heldOut!)).toEqual(["hi"]);
  });

  it("separates texts with the end token, and cuts within one of them", async () => {
    const path = await fileWith("t.jsonl", '{"story":"abc"}\n{"story":"defghi"}\n{"story":"j"}');
    const { train, heldOut } = await loadTextStream({ path, tokenizer, blockLength: 2, holdOut: 0.5, fields: { text: "story" } });
    expect(texts(train)).toEqual(["ab", "c<|end|>", "de"]);
    expect(texts(heldOut!)).toEqual(["fg", "hi", "<|end|>j"]);
  });

  it("adds no BOS", async () => {
    const llama = createTokenizer(llamaFiles());
    const { train } = await loadTextStream({ path: await fileWith("t.txt", "abc"), tokenizer: llama, blockLength: 4 });
    expect(Array.from(train.examples[0].ids, llama.piece)).toEqual(["▁", "a", "b", "c"]);
  });

  it("refuses too little text and shares that are none", async () => {
    const path = await fileWith("t.txt", "abc");
    await expect(loadTextStream({ path, tokenizer, blockLength: 4 })).rejects.toThrow(
      "t.txt: The text has 3 tokens, fewer than one block of 4.",
    );
    await expect(loadTextStream({ path, tokenizer, blockLength: 1 })).rejects.toThrow("at least 2 tokens, not 1");
    for (const holdOut of [1, -0.1, Number.NaN])
      await expect(loadTextStream({ path, tokenizer, blockLength: 2, holdOut })).rejects.toThrow(`below 1, not ${holdOut}`);
  });

  it.skipIf(!hasShared)("gives Tiny Shakespeare the blocks of the reference recipe", async () => {
    const stories = await loadTokenizer(sharedPath("models", "stories260k"));
    const path = sharedPath("data", "tinyshakespeare", "input.txt");
    const { train, heldOut } = await loadTextStream({ path, tokenizer: stories, blockLength: 128, holdOut: 0.1 });
    // 623,343 and 70,021 tokens by tokenizers 0.23.2 for the first int(0.9 · length) characters and the rest.
    expect([train.examples.length, heldOut!.examples.length]).toEqual([4869, 547]);
    expect(train.examples[0].ids.slice(0, 10)).toEqual(Int32Array.of(410, 453, 315, 356, 410, 457, 275, 417, 451, 302));
    expect(heldOut!.examples[0].ids.slice(0, 10)).toEqual(Int32Array.of(410, 450, 13, 13, 463, 461, 459, 446, 442, 441));
  });
});
