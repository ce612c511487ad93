/** @file The model card of the embedded model, with the figures that the build measured. It runs nothing. */
import { domains } from "./domains/index.ts";
import { recipe } from "./recipe.ts";

/** Mean negative log-likelihoods per token on held-out text. */
export interface Measured {
  corpus: number;
  domains: Record<string, { base: number; adapter: number }>;
}

const figure = (value: number): string => value.toFixed(3);

/** `assets/tiny/README.md`. */
export const modelCard = ({ corpus, domains: losses }: Measured, modelBytes: number): string => {
  const { shape, pretrain, adapters } = recipe;
  const rows = Object.entries(adapters).map(([name, { rank, epochs }]) => {
    const { purpose } = domains.find((domain) => domain.name === name)!;
    return `| \`${name}\` | ${purpose} | ${rank} | ${epochs} | ${figure(losses[name].base)} | ${figure(losses[name].adapter)} |`;
  });
  return `---
license: mit
language: en
library_name: lowrank
pipeline_tag: text-generation
---

# tiny

A Llama that is small enough to lie in a repository and large enough to tell a story: ${shape.num_hidden_layers} layers of width ${shape.hidden_size},
${shape.num_attention_heads} heads over ${shape.num_key_value_heads} key/value heads, a byte-level vocabulary of ${shape.vocab_size}, ${(modelBytes / 1e6).toFixed(2)} MB in float32, context ${shape.max_position_embeddings}.
It exists so that every command can be tried at once and without a download: to train an adapter in seconds, to see what it changed, and to test against.

## Text

All of it is written by the generator in \`scripts/embedded\`: small stories (three in five documents), plain facts, and talk in the form
of the chat template. Nothing was collected from anywhere. Training text has ${(recipe.trainCharacters / 1e6).toFixed(0)} million characters (seed ${recipe.seed}),
held-out text ${(recipe.validCharacters / 1e3).toFixed(0)} thousand (seed ${recipe.validSeed}).

## Training

\`lowrank pretrain\`: one pass in packed batches of ${pretrain["batch-size"]} × ${pretrain["seq-length"]} tokens (4.47 million in all), AdamW, peak learning rate ${pretrain["learning-rate"]}, cosine schedule.

Held-out loss: **${figure(corpus)}** nats per token (perplexity ${Math.exp(corpus).toFixed(2)}).

## Adapters

Trained on the rows in \`assets/data\`. Loss over the completions of held-out rows:

| adapter | what it does | rank | epochs | base | adapter |
|---|---|---|---|---|---|
${rows.join("\n")}

## What it cannot do

It knows only the small world of its generator. Words from outside are spelled out in pieces and soon forgotten, sums go wrong above
twenty, and a long story may change its hero. It is no source of facts.

## Rebuilding

\`npx tsx scripts/embedded/build.ts\`
`;
};
