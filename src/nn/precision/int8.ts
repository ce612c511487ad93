/** @file Weights in 8 bits with a scale for each output; inputs are rounded row by row as they come. It knows nothing about modules. */
import { int8Matmul } from "../../graph/index.ts";
import { f32, type HostTensor } from "../../util/index.ts";
import type { Precision } from "./precision.ts";
import { probabilitiesTimes } from "./probabilities.ts";

interface Rounded {
  readonly weights: HostTensor;
  readonly scales: HostTensor;
}

// The next whole number, halves up: Math.round takes three times as long.
const wholeOf = (value: number): number => Math.floor(value + 0.5);

/** W (outputs, inputs) rounded to −127 … 127 with one scale for each output, turned to (inputs, outputs). */
const roundRows = (W: Float32Array, outputs: number, inputs: number): Rounded => {
  const weights = new Int8Array(outputs * inputs);
  const scales = new Float32Array(outputs);
  for (let output = 0; output < outputs; output++) {
    const start = output * inputs;
    let largest = 0;
    for (let input = 0; input < inputs; input++) largest = Math.max(largest, Math.abs(W[start + input]));
    scales[output] = largest / 127;
    const inverse = largest === 0 ? 0 : 127 / largest;
    for (let input = 0; input < inputs; input++) weights[input * outputs + output] = wholeOf(W[start + input] * inverse);
  }
  return { weights: { dtype: "i8", shape: [inputs, outputs], data: weights }, scales: f32(scales) };
};

/** W (rows, columns) rounded to −127 … 127 with one scale for each column. */
const roundColumns = (W: Float32Array, rows: number, columns: number): Rounded => {
  const weights = new Int8Array(rows * columns);
  const largest = new Float32Array(columns);
  for (let row = 0, index = 0; row < rows; row++)
    for (let column = 0; column < columns; column++, index++) largest[column] = Math.max(largest[column], Math.abs(W[index]));
  const inverses = Float64Array.from(largest, (size) => (size === 0 ? 0 : 127 / size));
  for (let row = 0, index = 0; row < rows; row++)
    for (let column = 0; column < columns; column++, index++) weights[index] = wholeOf(W[index] * inverses[column]);
  return { weights: { dtype: "i8", shape: [rows, columns], data: weights }, scales: f32(largest.map((size) => size / 127)) };
};

/** The whole number nearest to the mean of each column. */
const columnMeans = ({ shape: [rows, columns], data }: HostTensor): HostTensor => {
  const values = data as Int8Array;
  const sums = new Float64Array(columns);
  for (let row = 0, index = 0; row < rows; row++) for (let column = 0; column < columns; column++, index++) sums[column] += values[index];
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
    const forward = roundRows(W, outFeatures, inFeatures);
    const back = roundColumns(W, outFeatures, inFeatures);
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
