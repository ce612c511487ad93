/** @file Weights in 8 bits with a scale for each output; inputs are rounded row by row as they come. It knows nothing about modules. */
import { int8Matmul } from "../../graph/index.ts";
import { f32, type HostTensor } from "../../util/index.ts";
import type { Precision } from "./precision.ts";
import { probabilitiesTimes } from "./probabilities.ts";

/** A matrix (outputs, inputs) rounded to −127 … 127 with one scale for each output, turned to (inputs, outputs). */
const roundRows = (
  at: (output: number, input: number) => number,
  outputs: number,
  inputs: number,
): { weights: HostTensor; scales: HostTensor } => {
  const weights = new Int8Array(outputs * inputs);
  const scales = new Float32Array(outputs);
  for (let output = 0; output < outputs; output++) {
    let largest = 0;
    for (let input = 0; input < inputs; input++) largest = Math.max(largest, Math.abs(at(output, input)));
    scales[output] = largest / 127;
    const inverse = largest === 0 ? 0 : 127 / largest;
    for (let input = 0; input < inputs; input++) weights[input * outputs + output] = Math.round(at(output, input) * inverse);
  }
  return { weights: { dtype: "i8", shape: [inputs, outputs], data: weights }, scales: f32(scales) };
};

/** The whole number nearest to the mean of each column. */
const columnMeans = ({ shape: [rows, columns], data }: HostTensor): HostTensor => {
  const sums = new Float64Array(columns);
  for (let index = 0; index < data.length; index++) sums[index % columns] += Number(data[index]);
  return { dtype: "i8", shape: [columns], data: Int8Array.from(sums, (sum) => Math.round(sum / rows)) };
};

export const int8: Precision = {
  heads: true,
  // Measured on a model of 135 M parameters; docs/LOG.md has the figures.
  enoughTokens: 512,
  shapes: (outFeatures, inFeatures) => ({
    int8: { dtype: "i8", shape: [inFeatures, outFeatures] },
    "int8.scales": { dtype: "f32", shape: [outFeatures] },
    "int8.back": { dtype: "i8", shape: [outFeatures, inFeatures] },
    "int8.back.scales": { dtype: "f32", shape: [inFeatures] },
    "int8.back.means": { dtype: "i8", shape: [inFeatures] },
  }),
  round: (W, outFeatures, inFeatures) => {
    const forward = roundRows((output, input) => W[output * inFeatures + input], outFeatures, inFeatures);
    const back = roundRows((output, input) => W[input * inFeatures + output], inFeatures, outFeatures);
    return {
      int8: forward.weights,
      "int8.scales": forward.scales,
      "int8.back": back.weights,
      "int8.back.scales": back.scales,
      "int8.back.means": columnMeans(back.weights),
    };
  },
  restore: ({ int8: { data }, "int8.scales": { data: scales } }, outFeatures, inFeatures) =>
    Float32Array.from({ length: outFeatures * inFeatures }, (_, index) => {
      const [output, input] = [Math.floor(index / inFeatures), index % inFeatures];
      return Number(data[input * outFeatures + output]) * Number(scales[output]);
    }),
  back: ["int8.back", "int8.back.scales", "int8.back.means"],
  probabilities: (p, W, part) => {
    const [weights, scales, means] = ["int8.back", "int8.back.scales", "int8.back.means"].map(part);
    return weights && scales && means && probabilitiesTimes(p, W, { weights, scales, means });
  },
  product: (x, part) => {
    const [weights, scales, back, backScales] = ["int8", "int8.scales", "int8.back", "int8.back.scales"].map(part);
    return int8Matmul(x, {
      weights: weights!,
      scales: scales!,
      ...(back && backScales && { back: { weights: back, scales: backScales } }),
    });
  },
};
