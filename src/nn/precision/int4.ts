/** @file Weights in 4 bits with a scale for each block of 32 along the input. It knows nothing about modules. */
import { int4Block, int4Matmul, int4NumberAt } from "../../graph/index.ts";
import { f32 } from "../../util/index.ts";
import type { Precision } from "./precision.ts";

const blocksOf = (inFeatures: number): number => Math.ceil(inFeatures / int4Block);

/** The largest in size, with its sign; NaN where there is one, for a damaged weight to show. */
const extreme = (block: Float32Array): number =>
  block.reduce((most, value) => (Math.abs(value) > Math.abs(most) || Number.isNaN(value) ? value : most), 0);

export const int4: Precision = {
  heads: true,
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
      const start = output * inFeatures;
      const block = W.subarray(start + first, start + Math.min(first + int4Block, inFeatures));
      scales[index] = extreme(block) / -8;
      const inverse = scales[index] === 0 ? 0 : 1 / scales[index];
      block.forEach((value, place) => {
        const number = Math.min(15, Math.max(0, Math.round(value * inverse) + 8));
        const at = (index * int4Block + place) >> 1;
        weights[at] = place % 2 === 0 ? (weights[at] & 0xf0) | number : (weights[at] & 0x0f) | (number << 4);
      });
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
