/** @file What adapter kinds do to an update beside the optimiser's own rule. A kind that does something is one line here. */
import { adalora, loraFA, type StoredAdapter, type Variant } from "../../lora/index.ts";
import type { Optimiser } from "./optimiser.ts";
import { projectedGradient } from "./projected-gradient.ts";
import { rankBudget } from "./rank-budget.ts";

const adjustments = new Map<Variant, (optimiser: Optimiser, stored: StoredAdapter) => Optimiser>([
  [loraFA, projectedGradient],
  [adalora, rankBudget],
]);

/** The optimiser as the adapter's kind wants it. */
export const adjusted = (optimiser: Optimiser, stored: StoredAdapter): Optimiser =>
  adjustments.get(stored.adapter.variant)?.(optimiser, stored) ?? optimiser;
