/** @file Finds the family of a configuration by its `model_type`. Adding a family is its file and one line here. */
import { LowrankError } from "../util/index.ts";
import { bert } from "./bert.ts";
import { distilbert } from "./distilbert.ts";
import { gemma } from "./gemma.ts";
import { gemma2 } from "./gemma2.ts";
import { gemma3 } from "./gemma3.ts";
import { gpt2 } from "./gpt2.ts";
import { granite } from "./granite.ts";
import { llama } from "./llama.ts";
import { mistral } from "./mistral.ts";
import { mixtral } from "./mixtral.ts";
import type { Family, Model } from "./model.ts";
import { mt5 } from "./mt5.ts";
import { olmo2 } from "./olmo2.ts";
import { phi3 } from "./phi3.ts";
import { qwen2 } from "./qwen2.ts";
import { qwen3Moe } from "./qwen3-moe.ts";
import { qwen3 } from "./qwen3.ts";
import { roberta } from "./roberta.ts";
import { smollm3 } from "./smollm3.ts";
import { t5 } from "./t5.ts";

const families: Readonly<Record<string, Family>> = {
  bert,
  distilbert,
  gemma,
  gemma2,
  gemma3_text: gemma3,
  gpt2,
  granite,
  llama,
  mistral,
  mixtral,
  mt5,
  olmo2,
  phi3,
  qwen2,
  qwen3,
  qwen3_moe: qwen3Moe,
  roberta,
  smollm3,
  t5,
};

/** The model that a configuration describes; throws `unsupported` with the name of an unknown family. */
export const modelOf = (config: Readonly<Record<string, unknown>>, where: string): Model => {
  const quantised = config["quantization_config"];
  if (quantised !== undefined && quantised !== null)
    throw new LowrankError("unsupported", `The checkpoint is quantised: "quantization_config" is ${JSON.stringify(quantised)}.`, {
      where,
      fix: "Use the checkpoint that it was made from.",
    });
  const type = config["model_type"];
  if (typeof type !== "string") throw new LowrankError("invalid-config", "The configuration does not say its model_type.", { where });
  if (!Object.hasOwn(families, type))
    throw new LowrankError("unsupported", `The model family "${type}" is not offered; known: ${Object.keys(families).join(", ")}.`, {
      where,
    });
  return families[type](config, where);
};
