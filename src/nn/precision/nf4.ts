/** @file Weights in the 4-bit NormalFloat of QLoRA, with a scale for each block of 64; products are those with the values it stands for. It knows nothing about modules. */
import { nf4Matmul } from "../../graph/index.ts";
import { f32, nf4BlockSize, packNf4, unpackNf4 } from "../../util/index.ts";
import type { Precision } from "./precision.ts";

export const nf4: Precision = {
  // QLoRA leaves the output embedding as it is.
  heads: false,
  shapes: (outFeatures, inFeatures) => ({
    nf4: { dtype: "u8", shape: [Math.ceil((outFeatures * inFeatures) / 2)] },
    "nf4.absmax": { dtype: "f32", shape: [Math.ceil((outFeatures * inFeatures) / nf4BlockSize)] },
  }),
  round: (W) => {
    const { packed, absmax } = packNf4(W);
    return { nf4: { dtype: "u8", shape: [packed.length], data: packed }, "nf4.absmax": f32(absmax) };
  },
  restore: ({ nf4: { data: packed }, "nf4.absmax": { data: absmax } }, outFeatures, inFeatures) =>
    unpackNf4({ packed: packed as Uint8Array, absmax: absmax as Float32Array }, outFeatures * inFeatures),
  back: [],
  product: (x, part) => {
    const [packed, absmax] = ["nf4", "nf4.absmax"].map((name) => part(name)!);
    // An odd number of values leaves half a byte over.
    return nf4Matmul(x, { packed, absmax, outFeatures: Math.floor((2 * packed.shape[0]) / x.shape[1]) });
  },
};
