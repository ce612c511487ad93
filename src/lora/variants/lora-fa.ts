/** @file LoRA-FA as an adapter kind: A keeps its start and B alone is trained [Zhang et al. 2023, §3.1]. In files it is plain LoRA. */
import { linear } from "../kinds/linear.ts";
import { plain } from "./plain.ts";
import type { Variant } from "./variant.ts";

export const loraFA: Variant = {
  ...plain,
  name: "LoRA-FA",
  // The factor of an embedding that starts at random is B.
  kinds: [linear],
  isMeant: ({ freeze_A }) => freeze_A,
  parameters: (target, config) =>
    plain
      .parameters(target, config)
      .map((parameter) => (parameter.name === target.kind.A.name ? { ...parameter, frozen: true } : parameter)),
};
