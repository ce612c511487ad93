import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { tinyModel } from "../../test/tiny-model.ts";
import { openBase, storedValues, type Base } from "../models/index.ts";
import { planAdapter, valuesOf } from "./adapter.ts";
import { loraConfig, type LoraConfig } from "./config.ts";
import { startAdapter } from "./start.ts";

let bases: Readonly<Record<"tied" | "untied", Base>>;
beforeAll(async () => {
  process.env["LOWRANK_CACHE"] = await mkdtemp(join(tmpdir(), "lowrank-cache-"));
  const small = { vocab_size: 97, num_hidden_layers: 1 };
  bases = {
    tied: await openBase(await tinyModel(small)),
    untied: await openBase(await tinyModel({ ...small, tie_word_embeddings: false })),
  };
});

type Indices = LoraConfig["trainable_token_indices"];
const plan = (kind: keyof typeof bases, indices: Indices, more: Partial<LoraConfig> = {}) =>
  planAdapter(bases[kind].model, loraConfig({ r: 2, target_modules: ["q_proj"], trainable_token_indices: indices, ...more }));

describe("rows of tokens", () => {
  it.each<[string, keyof typeof bases, Indices, [string, string[], number[]][]]>([
    ["of the input, which a tied head follows", "tied", [5, 2], [["model.embed_tokens", ["lm_head"], [5, 2]]]],
    ["of the input alone", "untied", [5, 2], [["model.embed_tokens", [], [5, 2]]]],
    ["of a module by the end of its name", "untied", { lm_head: [1] }, [["lm_head", [], [1]]]],
    ["of a tied head alone", "tied", { lm_head: [1] }, [["lm_head", [], [1]]]],
    ["of both, once where they are the same", "tied", { embed_tokens: [3], lm_head: [3] }, [["model.embed_tokens", ["lm_head"], [3]]]],
    [
      "of both, each its own where they differ",
      "tied",
      { embed_tokens: [3], lm_head: [4] },
      [
        ["model.embed_tokens", [], [3]],
        ["lm_head", [], [4]],
      ],
    ],
  ])("are those %s", (_, kind, indices, expected) => {
    const { tokens, layout } = plan(kind, indices);
    expect(tokens.map(({ module, followers, indices: rows }) => [module, followers, rows])).toEqual(expected);
    expect(layout.slots.filter(({ role }) => role === "rows").map(({ name, shape }) => [name, shape])).toEqual(
      expected.map(([module, , rows]) => [`${module}.token_rows`, [rows.length, 16]]),
    );
  });

  it("start as the base has them", async () => {
    const values = valuesOf(await startAdapter(plan("tied", [5, 2]), bases.tied, 0));
    const W = await storedValues(bases.tied, "model.embed_tokens.weight");
    expect(values.get("model.embed_tokens.token_rows")!.data).toEqual(Float32Array.of(...W.subarray(80, 96), ...W.subarray(32, 48)));
  });

  it.each<[Indices, Partial<LoraConfig>, string]>([
    [[97], {}, "97 is twice there or no row of model.embed_tokens, which has 97."],
    [[3, 4, 3], {}, "3 is twice there or no row of model.embed_tokens, which has 97."],
    [[], {}, "there are none for model.embed_tokens."],
    [{ wte: [1] }, {}, 'the model has no module "wte". Choose among model.embed_tokens, lm_head'],
    [[1], { target_modules: ["embed_tokens"] }, "model.embed_tokens is adapted or trained whole as well."],
    [[1], { target_modules: ["lm_head"] }, "lm_head is adapted or trained whole as well."],
    [[1], { modules_to_save: ["embed_tokens"] }, "model.embed_tokens is adapted or trained whole as well."],
    [[-1], {}, '"trainable_token_indices" is [-1] where token ids'],
  ])("are refused: %j beside %j", (indices, more, message) => {
    expect(() => plan("tied", indices, more)).toThrow(message);
  });
});
