import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { evaluate, numbersOf } from "../../test/evaluate.ts";
import { tinyModel } from "../../test/tiny-model.ts";
import { input, pullback } from "../graph/index.ts";
import { openBase, storedValues, type Base } from "../models/index.ts";
import { planAdapter, valuesOf } from "./adapter.ts";
import { loraConfig, type LoraConfig } from "./config.ts";
import { modulesOf } from "../nn/index.ts";
import { f32, i32 } from "../util/index.ts";
import { embedding } from "./kinds/embedding.ts";
import { startAdapter } from "./start.ts";
import { withTokenRows } from "./tokens.ts";

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

describe("the padding of an embedding, which is not trained where it is read,", () => {
  const ids = i32([2, 1, 2, 3]);
  const dy = f32([1, 2, 3, 4, 5, 6, 7, 8], [4, 2]);
  const table = f32([0, 0, 1, 1, 2, 2, 3, 3], [4, 2]);

  it.each([
    { padding: undefined, gradient: [6, 8, 7, 8] },
    { padding: 2, gradient: [0, 0, 7, 8] },
    { padding: 0, gradient: [6, 8, 7, 8] },
  ])("gives no gradient to its own row among those of tokens, and its value all the same: $padding", async ({ padding, gradient }) => {
    const values = input("values", [2, 2]);
    const rows = { module: "embed", followers: [], indices: [2, 3], width: 2, ...(padding !== undefined && { padding }) };
    const stored = new Map([["embed.weight", input("table", [4, 2])]]);
    const modules = withTokenRows(modulesOf({ find: (name) => stored.get(name) }), [{ rows, values, weight: 1 }]);
    const y = modules.embedding("embed", input("ids", [4], "i32"));
    const [d] = pullback(y, input("dy", [4, 2]), [values]);
    const result = await evaluate({ y, d }, { ids, dy, table, values: f32([20, 20, 30, 30], [2, 2]) });
    expect(numbersOf(result["y"])).toEqual([20, 20, 1, 1, 20, 20, 30, 30]);
    expect(numbersOf(result["d"])).toEqual(gradient);
  });

  it("gives none to its row of A", async () => {
    const A = input("A", [4, 2]);
    const y = embedding.reduce(input("ids", [4], "i32"), A, 0.5, { padding: 2 });
    const [d] = pullback(y, input("dy", [4, 2]), [A]);
    const result = await evaluate({ y, d }, { ids, dy, A: table });
    expect(numbersOf(result["y"])).toEqual([1, 1, 0.5, 0.5, 1, 1, 1.5, 1.5]);
    expect(numbersOf(result["d"])).toEqual([0, 0, 1.5, 2, 0, 0, 3.5, 4]);
  });
});
