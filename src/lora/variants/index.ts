/** @file Every adapter kind. Adding one is its file and one line here. */
import type { LoraConfig } from "../config.ts";
import { adalora } from "./adalora.ts";
import { dora } from "./dora.ts";
import { loraBias } from "./lora-bias.ts";
import { loraFA } from "./lora-fa.ts";
import { plain } from "./plain.ts";
import type { Variant } from "./variant.ts";
import { vera } from "./vera.ts";

/** The first that is meant is taken: the general ones come last. */
const variants: readonly Variant[] = [vera, adalora, dora, loraBias, loraFA, plain];

/** The adapter kind that a configuration describes. */
export const variantOf = (config: LoraConfig): Variant => variants.find((variant) => variant.isMeant(config))!;
