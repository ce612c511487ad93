/** @file Arrow's prototypes [Ostapenko et al. 2024]: the direction of a layer's input to which an adapter's update is most sensitive, and how much of a text lies along it. It needs no data of the adapter. */
import { divide, input, matmul, multiply, reshape, scalar, sqrt, sum, add, type Tensor } from "../../graph/index.ts";
import { leadingDirection, moduleTerms, type ModuleTerms, type StoredAdapter } from "../../lora/index.ts";
import { frozenModules, type Base } from "../../models/index.ts";
import type { Modules } from "../../nn/index.ts";
import { runOnce, type Backend } from "../../runtime/index.ts";
import { hiddenStates, rowFeeds, tokenInputs, type TokenRows } from "../../train/index.ts";
import { f32, type HostTensor } from "../../util/index.ts";

interface Prototypes {
  readonly module: string;
  /** (in, n): a unit vector for each adapter, zeros for those that leave the module alone. */
  readonly directions: HostTensor;
}

const prototypesOf = ({ module, terms, adapters }: ModuleTerms, count: number): Prototypes => {
  const inFeatures = terms[0].a[0].length;
  const data = new Float32Array(inFeatures * count);
  terms.forEach((term, index) => leadingDirection(term).forEach((value, row) => (data[row * count + adapters[index]] = value)));
  return { module, directions: f32(data, [inFeatures, count]) };
};

/** Collects Σ |x·p|/‖x‖ over real tokens from every linear module that has prototypes. */
const watched = (
  frozen: Modules,
  prototypes: ReadonlyMap<string, Prototypes>,
  isReal: Tensor,
  seen: (alignment: Tensor) => void,
): Modules => {
  const modules: Modules = {
    ...frozen,
    linear: (module, x) => {
      const found = prototypes.get(module);
      if (found !== undefined && x.shape[0] === isReal.shape[0]) {
        const directions = input(module, found.directions.shape); // (in, n)
        const along = matmul(x, directions); // (N, n)
        const size = sqrt(add(sum(multiply(x, x), [1]), scalar(1e-20))); // (N, 1)
        seen(sum(multiply(divide(sqrt(multiply(along, along)), size), isReal), [0])); // (1, n)
      }
      return frozen.linear(module, x);
    },
    linears: (names, x) => names.map((name) => modules.linear(name, x)),
  };
  return modules;
};

/** For each adapter the mean of |cos(x, p)| over tokens and modules: 0 … 1, higher where the adapter reacts more to such a text. */
export const arrowScores = async (
  backend: Backend,
  base: Base,
  adapters: readonly StoredAdapter[],
  batch: TokenRows,
): Promise<number[]> => {
  const all = await moduleTerms(
    backend,
    base,
    adapters.map((stored) => ({ ...stored, weight: 1 })),
  );
  const linears = new Set(base.model.linears.map(({ module }) => module));
  const prototypes = new Map(
    all.filter(({ module }) => linears.has(module)).map((terms) => [terms.module, prototypesOf(terms, adapters.length)]),
  );
  const { rows: B, length: T } = batch;
  const isReal = input("real", [B * T, 1]);
  const alignments: Tensor[] = [];
  const modules = watched(frozenModules(base), prototypes, isReal, (alignment) => alignments.push(alignment));
  hiddenStates({ model: base.model, differentiable: false }, modules, tokenInputs({ B, T }));
  const total = reshape(
    alignments.reduce((left, right) => add(left, right)),
    [-1],
  ); // (n)
  const real = Float32Array.from(batch.segments, (segment) => Number(segment > 0));
  const directions = Object.fromEntries(Array.from(prototypes.values(), (prototype) => [prototype.module, prototype.directions]));
  const { total: sums } = await runOnce(backend, { total }, { ...rowFeeds(batch), real: f32(real, [B * T, 1]), ...directions });
  const tokens = real.reduce((count, value) => count + value, 0);
  // An adapter counts where it acts, so that one on few modules is not the less for it.
  return adapters.map(({ adapter }, index) => {
    const own = [...prototypes.keys()].filter((module) => adapter.targets.has(module)).length;
    return own === 0 ? 0 : Number(sums.data[index]) / (tokens * own);
  });
};
