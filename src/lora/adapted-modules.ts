/** @file A base's modules with adapters beside them, as graphs see them. It knows no adapter kind and no model family. */
import { concat, input, matmul, reshape, scale, slice, subtract, type Tensor } from "../graph/index.ts";
import { modelModules, type Model } from "../models/index.ts";
import { withoutParts, type Modules, type ParameterLayout } from "../nn/index.ts";
import { f32, type HostTensor } from "../util/index.ts";
import { namedIn, type Adapter, type StoredAdapter } from "./adapter.ts";
import type { Dropout } from "./dropout.ts";
import { frozenLayer } from "./frozen-layer.ts";
import type { AdaptedLayer } from "./variants/variant.ts";
import { rowsName, withTokenRows } from "./tokens.ts";
import { isWhole } from "./whole.ts";

/** Graph tensors for the slots of a flat vector. */
export const slotTensors = ({ slots }: ParameterLayout, flat: Tensor): Map<string, Tensor> =>
  new Map(slots.map(({ name, shape, offset, size }) => [name, reshape(slice(flat, 0, offset, offset + size), shape)]));

const fewRows = 64;

/** s·x·A for one A, as it comes out of a product that several share. */
interface Reduced {
  readonly z: Tensor; // (N, r)
  readonly s: number;
}

/** The name of the vector of frozen tensors among a program's inputs. */
export const frozenInput = "frozen";

/** Graph tensors of an adapter's frozen slots, fed as one vector; none where there are none. */
export const frozenTensors = (frozen: ParameterLayout): Map<string, Tensor> =>
  frozen.size === 0 ? new Map() : slotTensors(frozen, input(frozenInput, [frozen.size]));

/** What `frozenTensors` are fed. */
export const frozenFeeds = ({ frozen }: Pick<StoredAdapter, "frozen">): Record<string, HostTensor> =>
  frozen.length === 0 ? {} : { [frozenInput]: f32(frozen) };

/** An adapter at work: its tensors, trained and frozen, by their names in its layouts, and how strongly it acts (1 = as trained). */
export interface ActiveAdapter {
  readonly adapter: Adapter;
  readonly tensors: ReadonlyMap<string, Tensor>;
  readonly weight: number;
}

export interface AdaptedModulesOptions {
  readonly model: Model;
  /** Finds the base's tensors. */
  readonly find: (name: string) => Tensor | undefined;
  readonly active: readonly ActiveAdapter[];
  readonly trainable?: readonly Tensor[];
  readonly dropout?: Dropout;
}

/** The base's tensor by any of its names. A tied head stays what it was where an adapter trains the embedding whole, as in PEFT. */
export const findBase = ({ aliases }: Model, find: (name: string) => Tensor | undefined, name: string): Tensor | undefined =>
  find(name) ?? (Object.hasOwn(aliases, name) ? find(aliases[name]) : undefined);

/** The base's modules with adapters beside them: h = base(x) + Σ weight·(adapter(x) − base(x)). */
export const adaptedModules = ({ model, find, active, trainable = [], dropout }: AdaptedModulesOptions): Modules => {
  const whole = new Map(
    active.flatMap(({ adapter, tensors }) => adapter.layout.slots.filter(isWhole).map(({ name }) => [name, tensors.get(name)])),
  );
  const stored = withoutParts(
    (name) => findBase(model, find, name),
    (weight) => whole.has(weight),
  );
  const base = modelModules(model, (name) => whole.get(name) ?? stored(name), trainable);
  /** s·x·A of the adapters of several modules that read the same x, made in one product, by A. */
  const reducedTogether = (names: readonly string[], x: Tensor): ReadonlyMap<Tensor, Reduced> => {
    const scalings = new Set<number>();
    const factors = names.flatMap((module) =>
      active.flatMap(({ adapter, tensors, weight }) => {
        const target = adapter.shares.get(module)?.target;
        const A = target && tensors.get(`${target.module}.${target.kind.A.name}`);
        if (A === undefined) return [];
        scalings.add(target!.scaling * weight);
        return [A];
      }),
    );
    // Dropout shows each module another x, and for few rows a product costs less than laying factors side by side.
    if (dropout !== undefined || factors.length < 2 || x.shape[0] < fewRows) return new Map();
    // What all are scaled with costs nothing within the product.
    const [first] = scalings;
    const s = scalings.size === 1 && first !== 0 ? first : 1;
    const together = matmul(x, concat(factors, 1), { alpha: s }); // (N, Σ r)
    let end = 0;
    return new Map(
      factors.map((A) => {
        const start = end;
        end += A.shape[1];
        return [A, { z: slice(together, 1, start, end), s }];
      }),
    );
  };
  const layerOf = ({ adapter, tensors, weight }: ActiveAdapter, module: string): AdaptedLayer | undefined => {
    const share = adapter.shares.get(module);
    if (share === undefined) return undefined;
    const { target, own } = share;
    return {
      target,
      config: adapter.config,
      tensors: (name) => own(name, namedIn(tensors, target.module)(name)),
      weight,
      base: frozenLayer(
        target,
        () => base.tensor(`${module}.weight`),
        (_, make) => make(),
      ),
    };
  };
  const adapted = (module: string, read: Tensor, plain: Tensor, reduced: ReadonlyMap<Tensor, Reduced> = new Map()): Tensor => {
    let output = plain;
    for (const one of active) {
      const layer = layerOf(one, module);
      if (layer === undefined) continue;
      const { target } = layer;
      const seen = dropout === undefined || !target.kind.dropout ? read : dropout(module, read);
      const product = (): Tensor => {
        if (seen !== read) return matmul(seen, base.tensor(`${module}.weight`), { transposeB: !target.turned });
        return base.has(`${module}.bias`) ? subtract(plain, base.tensor(`${module}.bias`)) : plain;
      };
      const reduce = (A: Tensor, s: number): Tensor => {
        const found = reduced.get(A);
        return found === undefined ? target.kind.reduce(seen, A, s, target) : scale(found.z, s / found.s);
      };
      output = one.adapter.variant.forward(layer, { input: read, seen, output, product, reduce });
    }
    return output;
  };
  // An adapter has a parameter's experts all or none.
  const adaptedGroup = (group: readonly string[], read: Tensor, bounds: Tensor): Tensor =>
    active.reduce(
      (output, one) => {
        const layers = group.map((module) => layerOf(one, module)).filter((layer) => layer !== undefined);
        return layers.length === 0 ? output : one.adapter.variant.grouped!(layers, { input: read, bounds, output });
      },
      base.grouped(group, read, bounds),
    );
  const adaptedBase: Modules = {
    ...base,
    grouped: adaptedGroup,
    linear: (module, x) => adapted(module, x, base.linear(module, x)),
    linears: (names, x) => {
      const reduced = reducedTogether(names, x);
      return base.linears(names, x).map((plain, index) => adapted(names[index], x, plain, reduced));
    },
    embedding: (module, ids) => adapted(module, ids, base.embedding(module, ids)),
    frozenLinear: (module) => (active.some(({ adapter }) => adapter.shares.has(module)) ? undefined : base.frozenLinear(module)),
  };
  const rows = active.flatMap(({ adapter, tensors, weight }) =>
    adapter.tokens.map((one) => ({ rows: one, values: tensors.get(rowsName(one))!, weight })),
  );
  return withTokenRows(adaptedBase, rows);
};
