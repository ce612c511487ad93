/** @file Plain LoRA (and rsLoRA, which differs in the scaling alone) as an adapter kind. */
import { add, groupedMatmul } from "../../graph/index.ts";
import { embedding } from "../kinds/embedding.ts";
import { expert } from "../kinds/expert.ts";
import { linear } from "../kinds/linear.ts";
import { LoRALayer } from "../lora.ts";
import { isShifted, shift, withoutShift, withShift } from "../shift.ts";
import type { AdapterTarget } from "../targets.ts";
import type { AdaptedLayer, Variant, VariantParameter, VariantStart } from "./variant.ts";

/** A (in, r) and B (r, out) of a target. */
export const factorsOf = ({ kind, inFeatures, outFeatures, rank }: AdapterTarget): VariantParameter[] => [
  { ...kind.A, shape: [inFeatures, rank] },
  { ...kind.B, shape: [rank, outFeatures] },
];

/** Fills A and B as the configuration says. */
export const startFactors = async (start: VariantStart): Promise<void> => {
  const { target, config, values } = start;
  const { A, B } = target.kind;
  await target.kind.initialisation(config).start(values(A.name), values(B.name), start);
};

/** s·A·B of a target, as strongly as the adapter acts. */
export const layerOf = ({ target: { kind, scaling }, tensors, weight }: AdaptedLayer): LoRALayer =>
  new LoRALayer(tensors(kind.A.name), tensors(kind.B.name), scaling * weight);

/** What a shifted start took from the base, as an update of its own; none for other starts. */
const shiftsOf = ({ target, config, tensors, weight }: AdaptedLayer): LoRALayer[] =>
  isShifted(target, config) ? [new LoRALayer(tensors(shift.A), tensors(shift.B), -target.scaling * weight)] : [];

/** True where some value is not zero. */
export const isFilled = (values: Float32Array): boolean => values.some((value) => value !== 0);

export const plain: Variant = {
  name: "LoRA",
  kinds: [linear, embedding, expert],
  shifts: true,
  isProduct: true,
  isMeant: () => true,
  parameters: (target, config) => withShift(factorsOf(target), target, config),
  start: async (start) => {
    await startFactors(start);
    const { target, config, values } = start;
    if (!isShifted(target, config)) return;
    values(shift.A).set(values(target.kind.A.name));
    values(shift.B).set(values(target.kind.B.name));
  },
  acts: ({ kind }, values) => isFilled(values(kind.A.name)) && isFilled(values(kind.B.name)),
  forward: (layer, { input, output, reduce }) => {
    const update = layerOf(layer);
    const adapted = update.expand(reduce(update.A, update.scaling), output); // (N, out)
    // The shift is part of the base, which dropout does not touch.
    return shiftsOf(layer).reduce(
      (y, shifted) => shifted.expand(layer.target.kind.reduce(input, shifted.A, shifted.scaling, layer.target), y),
      adapted,
    );
  },
  grouped: (layers, { input, bounds, output }) => {
    const updates = layers.map(layerOf);
    const [As, Bs] = [updates.map(({ A }) => A), updates.map(({ B }) => B)];
    const [{ scaling: alpha }] = updates; // the experts of one parameter share it
    return add(output, groupedMatmul(groupedMatmul(input, bounds, As, { alpha }), bounds, Bs)); // (M, out)
  },
  change: (layer) => ({ update: shiftsOf(layer).reduce((sum, update) => add(sum, update.delta()), layerOf(layer).delta()) }),
  saved: withoutShift,
};
