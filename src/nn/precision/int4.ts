/** @file Weights in 4 bits with a scale for each block of 32 along the input. It knows nothing about modules. */
import { int4Block, int4Matmul, int4NumberAt } from "../../graph/index.ts";
import { f32 } from "../../util/index.ts";
import type { Precision } from "./precision.ts";

const blocksOf = (inFeatures: number): number => Math.ceil(inFeatures / int4Block);

/** The largest in size of W[start … end), with its sign; NaN where there is one, for a damaged weight to show. */
const extreme = (W: Float32Array, start: number, end: number): number => {
  let most = 0;
  let size = 0;
  for (let index = start; index < end; index++) {
    const value = W[index];
    const its = Math.abs(value);
    if (its > size || Number.isNaN(its)) {
      most = value;
      size = its;
    }
  }
  return most;
};

/** The number that stands for so many steps, half ones up. None lies below −8, so that cutting rounds; Math.round takes three times as long. */
const numberOf = (steps: number): number => Math.min(15, (steps + 8.5) | 0);

export const int4: Precision = {
  heads: true,
  joins: true,
  shapes: (outFeatures, inFeatures) => ({
    int4: { dtype: "u8", shape: [outFeatures, blocksOf(inFeatures), int4Block / 2] },
    "int4.scales": { dtype: "f32", shape: [outFeatures, blocksOf(inFeatures)] },
  }),
  // The weight of the largest size becomes −8, so that all of −8 … 7 are used; what holds already is kept as it is.
  round: (W, outFeatures, inFeatures) => {
    const blocks = blocksOf(inFeatures);
    const weights = new Uint8Array((outFeatures * blocks * int4Block) / 2).fill(0x88);
    const scales = new Float32Array(outFeatures * blocks);
    for (let index = 0; index < scales.length; index++) {
      const [output, first] = [Math.floor(index / blocks), (index % blocks) * int4Block];
      const start = output * inFeatures + first;
      const end = output * inFeatures + Math.min(first + int4Block, inFeatures);
      scales[index] = extreme(W, start, end) / -8;
      const inverse = scales[index] === 0 ? 0 : 1 / scales[index];
      let at = (index * int4Block) / 2;
      let place = start;
      for (; place + 1 < end; place += 2) weights[at++] = numberOf(W[place] * inverse) | (numberOf(W[place + 1] * inverse) << 4);
      if (place < end) weights[at] = numberOf(W[place] * inverse) | 0x80;
    }
    const { int4: numbers } = int4.shapes(outFeatures, inFeatures);
    return { int4: { ...numbers, data: weights }, "int4.scales": f32(scales, [outFeatures, blocks]) };
  },
  restore: ({ int4: { data }, "int4.scales": { data: scales } }, outFeatures, inFeatures) =>
    Float32Array.from({ length: outFeatures * inFeatures }, (_, index) => {
      const [output, input] = [Math.floor(index / inFeatures), index % inFeatures];
      const place = output * blocksOf(inFeatures) * int4Block + input;
      return int4NumberAt(data, place) * Number(scales[Math.floor(place / int4Block)]);
    }),
  back: [],
  product: (x, part) => int4Matmul(x, { weights: part("int4")!, scales: part("int4.scales")! }),
};
