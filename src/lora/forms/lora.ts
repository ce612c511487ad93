/** @file How files hold the configuration of LoRA and of what PEFT makes of it by a flag. */
import type { LoraConfig } from "../config.ts";
import type { ConfigForm } from "./form.ts";

// Of these, files of this type say nothing.
const unsaid = ["vera", "adalora", "freeze_A"] as const satisfies readonly (keyof LoraConfig)[];

// What PEFT writes for options that are not used; any other value changes the layer's mathematics.
const neutral: Readonly<Record<string, readonly unknown[]>> = {
  layer_replication: [null, undefined],
  alora_invocation_tokens: [null, undefined],
  use_qalora: [false, undefined],
  arrow_config: [null, undefined],
  use_bdlora: [null, false, undefined],
  velora_config: [null, undefined],
  kasa_config: [null, undefined],
  monteclora_config: [null, undefined],
  megatron_config: [null, undefined],
  ensure_weight_tying: [false, undefined],
};

const said = (values: object): Record<string, unknown> =>
  Object.fromEntries(Object.entries(values).filter(([key]) => !(unsaid as readonly string[]).includes(key)));

export const loraForm: ConfigForm = {
  type: "LORA",
  isMeant: () => true,
  defaults: {},
  neutral,
  // PEFT takes one layer index without a list, and null for empty tables.
  read: ({ layers_to_transform: layers, rank_pattern: ranks, alpha_pattern: alphas, ...raw }) => ({
    ...said(raw),
    ...(layers !== undefined && { layers_to_transform: typeof layers === "number" ? [layers] : layers }),
    rank_pattern: ranks ?? {},
    alpha_pattern: alphas ?? {},
  }),
  write: said,
};
