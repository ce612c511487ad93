/**
 * @file The LoRA layer on a toy weight, against the formula computed by hand: h = x·W + s·(x·A)·B.
 * Run it with `npx tsx examples/01-lora-layer.ts`.
 */
import { gradients, input, matmul, program, total } from "../src/graph/index.ts";
import { LoRALayer, scalingOf } from "../src/lora/index.ts";
import { referenceBackend } from "../src/runtime/index.ts";
import { f32, random, type HostTensor } from "../src/util/index.ts";

const [tokens, dIn, dOut, rank, alpha] = [3, 8, 6, 2, 4];
const s = scalingOf(alpha, rank); // α/r

// A program is traced: these are symbols, and nothing is computed yet. Checkpoints hold W turned, as (out, in).
const [x, W] = [input("x", [tokens, dIn]), input("W", [dOut, dIn])];
const [A, B] = [input("A", [dIn, rank]), input("B", [rank, dOut])];
const layer = new LoRALayer(A, B, s);
const base = matmul(x, W, { transposeB: true }); // (tokens, out)
const h = layer.adapt(x, base); // (tokens, out)
const merged = layer.merge(W); // W + ΔW: one matrix again
const [dA, dB] = gradients(total(h), [A, B]); // W is frozen, so nobody asks for its gradient

const graph = program({ base, h, folded: matmul(x, merged, { transposeB: true }), restored: layer.unmerge(merged), dA, dB });
const executable = await referenceBackend().compile(graph);

const generator = random(7); // everything random is seeded
const normal = (rows: number, columns: number) =>
  f32(
    Float32Array.from({ length: rows * columns }, () => generator.normal()),
    [rows, columns],
  );
const values = { x: normal(tokens, dIn), W: normal(dOut, dIn), A: normal(dIn, rank), B: normal(rank, dOut) };

const run = async (feeds: typeof values) => (await executable.run(feeds)) as Record<string, HostTensor>;
const largest = (numbers: ArrayLike<number | bigint>, other?: ArrayLike<number | bigint>): string =>
  Math.max(...Array.from(numbers, (value, index) => Math.abs(Number(value) - Number(other?.[index] ?? 0)))).toExponential(1);

// The same by hand, index by index.
const at = ({ data, shape }: HostTensor, row: number, column: number): number => Number(data[row * shape[1] + column]);
const byHand = Array.from({ length: tokens * dOut }, (_, index) => {
  const [n, j] = [Math.floor(index / dOut), index % dOut];
  let sum = 0;
  for (let i = 0; i < dIn; i++) {
    sum += at(values.x, n, i) * at(values.W, j, i);
    for (let k = 0; k < rank; k++) sum += s * at(values.x, n, i) * at(values.A, i, k) * at(values.B, k, j);
  }
  return sum;
});
const trained = await run(values);
console.log(`trained: ${rank * (dIn + dOut)} numbers in A and B, beside ${dIn * dOut} in W`);
console.log(`largest |h − (x·W + s·x·A·B)|: ${largest(trained.h.data, byHand)}`);
console.log(`largest |h − x·(W + ΔW)|:      ${largest(trained.h.data, trained.folded.data)}`);
console.log(`largest |unmerge(merge(W)) − W|: ${largest(trained.restored.data, values.W.data)}`);

// B starts at zero: the layer begins as the base, and the first step moves B alone, because dA = xᵀ·dh·Bᵀ is zero while B is.
const start = await run({ ...values, B: f32(new Float32Array(rank * dOut), [rank, dOut]) });
console.log(
  `at the start |h − x·W| is ${largest(start.h.data, start.base.data)}, |dA| ${largest(start.dA.data)}, |dB| ${largest(start.dB.data)}`,
);
