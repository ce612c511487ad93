/**
 * @file Adapters as rows of a batch take them: factors of a common rank with their scaling inside, and modules that give each row its own.
 * It knows nothing about where factors are kept.
 *
 *     h_b = x_b·W + Σ_i w_bi·(x_b·A_bi)·B_bi        [Chen et al. 2023, Punica, §3; Sheng et al. 2023, S-LoRA, §4]
 */
import { add, gather, matmul, multiply, reshape, type Tensor } from "../graph/index.ts";
import type { Modules } from "../nn/index.ts";
import { f32, LowrankError, sizeOf, type HostTensor } from "../util/index.ts";
import type { StoredAdapter } from "./adapter.ts";
import { savedContent } from "./store.ts";
import { isWhole } from "./whole.ts";

/** What adapters have in common whose factors can lie behind each other: the modules, and a rank that theirs are filled up to. */
export interface FactorForm {
  /** Equal for equal forms. */
  readonly key: string;
  /** A power of two. */
  readonly rank: number;
  /** Shapes of the factors by their names: `<module>.A` (in, rank) and `<module>.B` (rank, out). */
  readonly shapes: ReadonlyMap<string, readonly number[]>;
  /** Of one adapter's factors. */
  readonly bytes: number;
}

export interface RowFactors {
  readonly form: FactorForm;
  /** By their names in the form; B holds the scaling. Each is made when it is asked for, in memory that threads share, so that a backend can copy it meanwhile. */
  readonly tensors: Iterable<readonly [name: string, tensor: HostTensor]>;
}

const refuse = (what: string): never => {
  throw new LowrankError("unsupported", `${what}, so it cannot be mixed with others in one batch.`, {
    fix: "Merge it into the model, or generate with it alone.",
  });
};

/** Writes a factor (rows, columns) times a number into a larger one's upper left corner. */
const scaleInto = (into: Float32Array, width: number, { data, shape: [rows, columns] }: HostTensor, factor: number): void => {
  const values = data as Float32Array;
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) into[row * width + column] = factor * values[row * columns + column];
};

/** The factors of an adapter; `unsupported` for one that does more than add products to linear modules. */
export const rowFactors = (stored: StoredAdapter): RowFactors => {
  const { variant, targets, layout } = stored.adapter;
  if (variant.isProduct !== true) refuse(`The adapter is of the kind ${variant.name}, whose change is no product of two factors`);
  const whole = layout.slots.find(isWhole);
  if (whole !== undefined) refuse(`The adapter trains ${whole.name} whole`);
  const other = [...targets.values()].find(({ kind }) => !kind.keepsRows);
  if (other !== undefined) refuse(`The adapter acts on the ${other.kind.name} ${other.module}`);
  const { tensors } = savedContent(stored);
  const pairs = [...targets.values()].map((target) => {
    const [A, B] = [target.kind.A, target.kind.B].map(({ name }) => tensors.get(`${target.module}.${name}`)!);
    return { ...target, A, B };
  });
  const rank = 2 ** Math.ceil(Math.log2(Math.max(...pairs.map(({ A }) => A.shape[1]))));
  const placed = pairs.flatMap(({ module, A, B, inFeatures, outFeatures, scaling }) => [
    { name: `${module}.A`, shape: [inFeatures, rank], values: A, factor: 1 },
    { name: `${module}.B`, shape: [rank, outFeatures], values: B, factor: scaling },
  ]);
  const shapes = new Map(placed.map(({ name, shape }) => [name, shape]));
  const size = placed.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  const make = function* (): Generator<readonly [string, HostTensor]> {
    const all = new Float32Array(new SharedArrayBuffer(4 * size));
    let start = 0;
    for (const { name, shape, values, factor } of placed) {
      const into = all.subarray(start, (start += sizeOf(shape)));
      scaleInto(into, shape[1], values, factor);
      yield [name, f32(into, shape)];
    }
  };
  return { form: { key: `${rank} ${[...targets.keys()].join()}`, rank, shapes, bytes: 4 * size }, tensors: { [Symbol.iterator]: make } };
};

/** One adapter of each row, or none. */
export interface FactorLane {
  /** Factors of adapters, behind each other: `<module>.A` (S, in, R) and `<module>.B` (S, R, out). */
  readonly stacks: ReadonlyMap<string, Tensor>;
  /** Whose factors a row takes: (rows) int32; absent where the stacks are the rows' own, in their order. */
  readonly slots?: Tensor;
  /** How strongly they act, 0 where none do: (rows). */
  readonly strengths: Tensor;
}

/** Modules that add to each row what its own adapters make of it; what they read are `rows` rows of equally many tokens. */
export const rowAdaptedModules = (base: Modules, lanes: readonly FactorLane[], rows: number): Modules => {
  const adapted = (module: string, x: Tensor, plain: Tensor): Tensor => {
    let output = plain; // (N, out)
    for (const { stacks, slots, strengths } of lanes) {
      const [A, B] = [stacks.get(`${module}.A`), stacks.get(`${module}.B`)];
      if (A === undefined || B === undefined) continue;
      const own = (stack: Tensor): Tensor => (slots === undefined ? stack : gather(stack, slots));
      const apart = reshape(x, [rows, -1, x.shape[1]]); // (rows, T, in)
      const z = matmul(apart, own(A)); // (rows, T, R)
      const weighted = multiply(z, reshape(strengths, [rows, 1, 1]));
      output = add(output, reshape(matmul(weighted, own(B)), plain.shape));
    }
    return output;
  };
  const isAdapted = (module: string): boolean => lanes.some(({ stacks }) => stacks.has(`${module}.A`));
  return {
    ...base,
    linear: (module, x) => adapted(module, x, base.linear(module, x)),
    linears: (names, x) => base.linears(names, x).map((plain, index) => adapted(names[index], x, plain)),
    frozenLinear: (module) => (isAdapted(module) ? undefined : base.frozenLinear(module)),
  };
};
