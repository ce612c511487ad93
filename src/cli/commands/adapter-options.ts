/** @file The options of a new adapter: its kind, rank, targets and start, and the configuration that they mean. It knows nothing about data or loops. */
import { z } from "zod";
import type { Tokenizer } from "../../formats/index.ts";
import { loraConfig, type LoraOptions } from "../../lora/index.ts";
import { LowrankError } from "../../util/index.ts";

const adapter = { group: "Adapter" };

/** What the flags of each kind say in a configuration. */
const kinds = {
  lora: () => ({}),
  dora: () => ({ use_dora: true }),
  "lora-fa": () => ({ freeze_A: true }),
  vera: () => ({ vera: {} }),
  adalora: ({ targetRank }: { readonly targetRank?: number | undefined }) => ({
    adalora: targetRank === undefined ? {} : { target_r: targetRank },
  }),
} satisfies Record<string, (options: { readonly targetRank?: number | undefined }) => LoraOptions>;

export const adapterOptions = {
  adapterKind: z
    .enum(Object.keys(kinds) as (keyof typeof kinds)[])
    .default("lora")
    .describe(
      "what is trained beside the weights: A and B (lora), magnitudes too (dora), B alone (lora-fa), vectors (vera), ever fewer ranks (adalora)",
    )
    .meta(adapter),
  rank: z.int().min(1).optional().describe("rank r of the update; default 8, with vera 256, with adalora 12").meta(adapter),
  targetRank: z.int().min(1).optional().describe("adalora: ranks that a module keeps on average (8 unless given)").meta(adapter),
  alpha: z.number().positive().optional().describe("α of the scaling α/r; default: twice the rank").meta(adapter),
  dropout: z.number().min(0).lt(1).default(0).describe("share of the adapter's input that is dropped").meta(adapter),
  targets: z
    .array(z.string())
    .default(["all-linear"])
    .describe('modules by the end of their name, one regular expression, or "all-linear"')
    .meta({ ...adapter, placeholder: "name" }),
  rslora: z.boolean().default(false).describe("scale by α/√r, which suits high ranks").meta(adapter),
  loraBias: z.boolean().default(false).describe("train a bias on B").meta(adapter),
  bias: z
    .enum(["none", "all", "lora_only"])
    .default("none")
    .describe("biases of the model to train: none, all, or those of the targets")
    .meta(adapter),
  trainTokens: z
    .array(z.string())
    .default([])
    .describe("tokens whose embeddings are trained, such as <|im_end|>")
    .meta({ ...adapter, placeholder: "token" }),
  modulesToSave: z
    .array(z.string())
    .default([])
    .describe("modules to train whole, such as lm_head")
    .meta({ ...adapter, placeholder: "name" }),
  init: z
    .enum(["default", "gaussian", "orthogonal", "pissa", "pissa_niter_4", "pissa_niter_16", "olora", "loftq", "eva", "corda", "lora_ga"])
    .default("default")
    .describe("how A and B start: at random, from the base (pissa, olora, loftq), or from the data (eva, corda, lora_ga)")
    .meta(adapter),
  initBatches: z.int().min(1).default(8).describe("batches that a start from the data looks at").meta(adapter),
  evaRho: z.number().min(1).optional().describe("eva: times the rank that a module gets at most (2 unless given)").meta(adapter),
  cordaMethod: z
    .enum(["ipm", "kpm"])
    .optional()
    .describe("corda: train what the data need most (ipm, unless given), or least (kpm)")
    .meta(adapter),
};

export type AdapterOptions = z.output<z.ZodObject<typeof adapterOptions>>;

/** One name that is no plain module name is a regular expression, or "all-linear". */
const targetsOf = (targets: readonly string[]): LoraOptions["target_modules"] =>
  targets.length === 1 && (targets[0] === "all-linear" || /[^\w.]/.test(targets[0])) ? targets[0] : targets;

/** Ids of tokens as people write them; throws `invalid-argument` for a text that is several. */
const idsOf = (texts: readonly string[], { encode }: Pick<Tokenizer, "encode">): number[] =>
  texts.map((text) => {
    const ids = encode(text, { specialTokens: false });
    if (ids.length !== 1)
      throw new LowrankError("invalid-argument", `--train-tokens: ${JSON.stringify(text)} is ${ids.length} tokens.`, {
        fix: "Name single tokens of the model's vocabulary.",
      });
    return ids[0];
  });

/** The adapter that the flags describe, for a model of this name with this tokenizer. */
export const adapterConfig = (options: AdapterOptions & { readonly model: string }, tokenizer: Pick<Tokenizer, "encode">): LoraOptions => {
  const kind = kinds[options.adapterKind](options);
  const r = options.rank ?? loraConfig(kind).r;
  const alpha = options.alpha ?? ("vera" in kind ? undefined : 2 * r);
  return {
    base_model_name_or_path: options.model,
    ...kind,
    r,
    ...(alpha !== undefined && { lora_alpha: alpha }),
    lora_dropout: options.dropout,
    target_modules: targetsOf(options.targets),
    use_rslora: options.rslora,
    lora_bias: options.loraBias,
    bias: options.bias,
    trainable_token_indices: options.trainTokens.length === 0 ? null : idsOf(options.trainTokens, tokenizer),
    modules_to_save: options.modulesToSave.length === 0 ? null : options.modulesToSave,
    init_lora_weights: options.init === "default" ? true : options.init,
    eva_config: options.evaRho === undefined ? null : { rho: options.evaRho },
    corda_config: options.cordaMethod === undefined ? null : { corda_method: options.cordaMethod },
  };
};
