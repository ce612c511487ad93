import { describe, expect, it } from "vitest";
import { modelOf } from "./family.ts";
import { interleavedRows } from "./gguf.ts";

const small = {
  vocab_size: 11,
  hidden_size: 8,
  intermediate_size: 12,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 1,
};

describe("rows with the halves of each head interleaved", () => {
  it.each<[number, number, number[]]>([
    [8, 2, [0, 2, 1, 3, 4, 6, 5, 7]],
    [8, 1, [0, 4, 1, 5, 2, 6, 3, 7]],
    [4, 2, [0, 1, 2, 3]],
  ])("%d rows of %d heads", (rows, heads, order) => {
    expect([...interleavedRows(rows, heads)]).toEqual(order);
  });
});

describe("every parameter of a model has a place of its own", () => {
  it.each(["llama", "mistral", "qwen2", "qwen3", "smollm3", "olmo2", "granite", "phi3", "gemma", "gemma2", "gemma3_text"])("%s", (type) => {
    const { parameters, gguf } = modelOf({ ...small, model_type: type }, "config.json");
    const names = parameters.map(({ name }) => gguf!.place(name)?.name);
    expect(names).not.toContain(undefined);
    expect(new Set(names).size).toBe(parameters.length);
    for (const other of ["score.weight", "model.layers.0.x", "model.layers.0.self_attn.rotary_emb.inv_freq"])
      expect(gguf!.place(other)).toBeUndefined();
  });

  it("gpt2", () => {
    const { parameters, gguf } = modelOf({ model_type: "gpt2", n_embd: 8, n_head: 2, n_layer: 1, vocab_size: 11 }, "config.json");
    expect(Object.fromEntries(parameters.map(({ name }) => [name, gguf!.place(name)?.name]))).toMatchObject({
      "transformer.wte.weight": "token_embd.weight",
      "transformer.wpe.weight": "position_embd.weight",
      "transformer.h.0.attn.c_attn.weight": "blk.0.attn_qkv.weight",
      "transformer.h.0.attn.c_proj.bias": "blk.0.attn_output.bias",
      "transformer.h.0.mlp.c_proj.weight": "blk.0.ffn_down.weight",
      "transformer.ln_f.bias": "output_norm.bias",
    });
    expect(gguf!.place("score.weight")).toBeUndefined();
  });
});
