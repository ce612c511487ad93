/** @file Folds adapters into the base's weights and out again, module by module on a backend. It knows no adapter kind and nothing about files. */
import {
  accumulate,
  add,
  divide,
  input,
  multiply,
  program,
  scalar,
  slice,
  subtract,
  weight,
  type Tensor,
  type WeightLocation,
} from "../graph/index.ts";
import { storedTensors, storedValues, type Base } from "../models/index.ts";
import type { Backend, Feed } from "../runtime/index.ts";
import { f32, sizeOf, type HostTensor } from "../util/index.ts";
import { findBase } from "./adapted-modules.ts";
import { namedIn, valuesOf, type StoredAdapter } from "./adapter.ts";
import { frozenLayer, oriented } from "./frozen-layer.ts";
import type { AdapterTarget } from "./targets.ts";
import type { LayerChange } from "./variants/variant.ts";
import { mixedTensors } from "./whole.ts";
import { withMixedRows } from "./mixed-rows.ts";

/** An adapter with the strength at which it is folded in. */
export interface WeightedAdapter extends StoredAdapter {
  readonly weight: number;
}

/** A module's tensors as the checkpoint holds them. */
export interface ModuleTensors<T> {
  readonly weight: T;
  readonly bias?: T;
}

/** A merged module, with what unmerging needs beside the adapters. */
export interface MergedModule extends ModuleTensors<HostTensor> {
  readonly kept: Readonly<Record<string, HostTensor>>;
}

interface Folded {
  /** The tensors that are not what they were. */
  readonly changed: ModuleTensors<Tensor>;
  readonly kept: Readonly<Record<string, Tensor>>;
  /** The adapters' values, and what was kept. */
  readonly feeds: Readonly<Record<string, Feed>>;
}

/** Some rows of a weight, from the first to before the last. */
type Rows = readonly [first: number, end: number];

/** `kept` is what merging kept, for unmerging; undefined to merge. Where `rows` are given, the layer is one of these outputs alone. */
interface Folding {
  readonly adapters: readonly WeightedAdapter[];
  readonly kept?: MergedModule["kept"];
  readonly rows?: Rows;
}

const sumOf = (terms: readonly (Tensor | undefined)[]): Tensor | undefined =>
  terms.reduce((sum, term) => (sum === undefined || term === undefined ? (sum ?? term) : add(sum, term)), undefined);

/** The axis of each of a target's tensors along which its outputs lie, by short names; none for those without. */
const outputAxes = ({ variant, config }: StoredAdapter["adapter"], target: AdapterTarget): Map<string, number> => {
  const wider = variant.parameters({ ...target, outFeatures: target.outFeatures + 1 }, config);
  const axes = variant
    .parameters(target, config)
    .map(({ name, shape }, index): [string, number] => [name, shape.findIndex((size, axis) => size !== wider[index].shape[axis])]);
  return new Map(axes.filter(([, axis]) => axis !== -1));
};

/**
 * The tensors of one module with the adapters folded in or out: W′ = W + Σ gain∘W + Σ update, b′ = b + Σ bias.
 * Undefined where no adapter targets the module.
 */
const fold = (module: string, own: ModuleTensors<Tensor>, { adapters, kept, rows }: Folding): Folded | undefined => {
  const numbered = [...adapters.entries()].filter(([, { adapter }]) => adapter.shares.has(module));
  if (numbered.length === 0) return undefined;
  const feeds: Record<string, Feed> = {};
  const keeping: Record<string, Tensor> = {};
  const fed = (key: string, value: HostTensor): Tensor => {
    feeds[key] = value;
    return input(key, value.shape);
  };
  const changes = numbered.map(([index, stored]): LayerChange => {
    const { config, shares, variant } = stored.adapter;
    const { target: whole, own: share } = shares.get(module)!;
    const target = rows === undefined ? whole : { ...whole, outFeatures: rows[1] - rows[0] };
    const axes = rows === undefined ? undefined : outputAxes(stored.adapter, whole);
    const values = valuesOf(stored);
    const made = new Map<string, Tensor>();
    const once = (name: string, make: () => Tensor): Tensor => {
      const tensor = made.get(name) ?? make();
      made.set(name, tensor);
      return tensor;
    };
    return variant.change({
      target,
      config,
      tensors: (name) =>
        once(name, () => {
          const tensor = share(name, fed(`${index}.${name}`, namedIn(values, target.module)(name)));
          const axis = axes?.get(name);
          return axis === undefined ? tensor : slice(tensor, axis, ...rows!);
        }),
      weight: stored.weight,
      base: frozenLayer(
        target,
        () => own.weight,
        (name, make) => {
          const key = `kept.${index}.${name}`;
          return once(key, () => (kept === undefined ? (keeping[key] = make()) : fed(key, kept[key])));
        },
      ),
    });
  });
  const [{ target }] = numbered.map(([, { adapter }]) => adapter.shares.get(module)!);
  const gain = sumOf(changes.map((change) => change.gain)); // (out, 1)
  const update = sumOf(changes.map((change) => change.update))!; // (out, in)
  const bias = sumOf(changes.map((change) => change.bias)); // (out)
  const merged = (W: Tensor): Tensor => accumulate(gain === undefined ? W : multiply(add(gain, scalar(1)), W), update);
  const unmerged = (W: Tensor): Tensor => (gain === undefined ? subtract(W, update) : divide(subtract(W, update), add(gain, scalar(1))));
  const weight = oriented(target, (kept === undefined ? merged : unmerged)(oriented(target, own.weight)));
  const combine = kept === undefined ? add : subtract;
  return {
    changed: { weight, ...(bias && { bias: own.bias === undefined ? bias : combine(own.bias, bias) }) },
    kept: keeping,
    feeds,
  };
};

const compute = async (
  backend: Backend,
  outputs: Readonly<Record<string, Tensor>>,
  feed: (name: string) => Feed | Promise<Feed>,
): Promise<Record<string, HostTensor>> => {
  const graph = program(outputs);
  const feeds: Record<string, Feed> = {};
  for (const name of graph.inputs.keys()) feeds[name] = await feed(name);
  const executable = await backend.compile(graph);
  const results = await executable.run(feeds);
  await executable.dispose();
  return results as Record<string, HostTensor>;
};

/** The names of a layer's own tensors among a program's inputs, where they are not read from the base's files. */
const ownInputs = { weight: "W", bias: "b" } as const;

const asInputs = ({ weight, bias }: ModuleTensors<Tensor | HostTensor>): ModuleTensors<Tensor> => {
  const tensor = (value: Tensor | HostTensor, name: string): Tensor => ("data" in value ? input(name, value.shape) : value);
  return { weight: tensor(weight, ownInputs.weight), ...(bias && { bias: tensor(bias, ownInputs.bias) }) };
};

const ownFeeds = ({ weight, bias }: ModuleTensors<Tensor | HostTensor>): Record<string, Feed> => ({
  ...("data" in weight && { [ownInputs.weight]: weight }),
  ...(bias && "data" in bias && { [ownInputs.bias]: bias }),
});

/** What adapters change of a module; `own` are the base's tensors. Undefined where no adapter targets it. */
export const mergeModule = async (
  backend: Backend,
  module: string,
  own: ModuleTensors<Tensor | HostTensor>,
  adapters: readonly WeightedAdapter[],
): Promise<MergedModule | undefined> => {
  const folded = fold(module, asInputs(own), { adapters });
  if (folded === undefined) return undefined;
  const feeds = { ...ownFeeds(own), ...folded.feeds };
  const outputs: Record<string, Tensor> = { ...folded.changed, ...folded.kept };
  const { weight, bias, ...kept } = await compute(backend, outputs, (name) => feeds[name]);
  return { weight, ...(bias && { bias }), kept };
};

/** What `mergeModule` was given, as far as it changed, from what it gave. */
export const unmergeModule = async (
  backend: Backend,
  module: string,
  { kept, ...merged }: MergedModule,
  adapters: readonly WeightedAdapter[],
): Promise<ModuleTensors<HostTensor> | undefined> => {
  const folded = fold(module, asInputs(merged), { adapters, kept });
  if (folded === undefined) return undefined;
  const feeds = { ...ownFeeds(merged), ...folded.feeds };
  const changed: Record<string, Tensor> = { ...folded.changed };
  const { weight, bias } = await compute(backend, changed, (name) => feeds[name]);
  return { weight, ...(bias && { bias }) };
};

/** Some rows of a stored matrix; no program maps the others. */
const storedRows = (name: string, location: WeightLocation, [first, end]: Rows): Tensor => {
  const [rows, columns] = location.shape;
  const bytes = location.bytes / rows;
  return weight(name, {
    ...location,
    shape: [end - first, columns],
    offset: location.offset + first * bytes,
    bytes: (end - first) * bytes,
  });
};

/** The blocks of so many elements in which a module's weight can be made: one where its rows are not its outputs, or depend on what several modules share. */
const blocksOf = (module: string, [rows, columns]: readonly number[], adapters: readonly WeightedAdapter[], elements: number): Rows[] => {
  const isApart = adapters.every(({ adapter: { shares, variant } }) => {
    const target = shares.get(module)?.target;
    return target === undefined || (target.module === module && target.turned !== true && variant.shared === undefined);
  });
  const size = isApart ? Math.max(1, Math.floor(elements / columns)) : rows;
  return Array.from({ length: Math.ceil(rows / size) }, (_, block) => [block * size, Math.min((block + 1) * size, rows)]);
};

/**
 * How to make each tensor that the adapters change, by its name in the checkpoint; nothing is computed before it is asked for.
 * Large weights are made `blockElements` at a time, because the runtime holds what it makes until that is copied out. A tied head becomes a tensor of its own where an adapter changes it or its embedding, unless both change alike: then they have one maker.
 */
export const mergedTensors = (
  backend: Backend,
  base: Base,
  adapters: readonly WeightedAdapter[],
  blockElements = 2 ** 23,
): Map<string, () => Promise<HostTensor>> => {
  const find = storedTensors(base);
  const mixed = withMixedRows(base, adapters, mixedTensors(base, adapters));
  const changed = new Map(mixed);
  for (const module of new Set(adapters.flatMap(({ adapter }) => [...adapter.shares.keys()]))) {
    const names = { weight: `${module}.weight`, bias: `${module}.bias` };
    // One adapter may train whole what another one updates.
    const own = (part: "weight" | "bias"): Tensor | undefined => {
      const stored = findBase(base.model, find, names[part]);
      return stored && mixed.has(names[part]) ? input(ownInputs[part], stored.shape) : stored;
    };
    const late = new Map([
      [ownInputs.weight, mixed.get(names.weight)],
      [ownInputs.bias, mixed.get(names.bias)],
    ] as [string, (() => Promise<HostTensor>) | undefined][]);
    const [W, bias] = [own("weight")!, own("bias")];
    const blocks = mixed.has(names.weight) ? [] : blocksOf(module, W.shape, adapters, blockElements);
    const folded = fold(module, { weight: W, ...(bias && { bias }) }, { adapters })!;
    for (const [part, tensor] of Object.entries(folded.changed))
      changed.set(names[part as keyof typeof names], async () => {
        const made = await compute(backend, { tensor }, (name) => folded.feeds[name] ?? late.get(name)!());
        return made.tensor;
      });
    const stored = base.weights.get(base.model.aliases[names.weight] ?? names.weight)!;
    if (blocks.length > 1)
      changed.set(names.weight, async () => {
        const merged = new Float32Array(sizeOf(W.shape));
        for (const rows of blocks) {
          const { changed: block, feeds } = fold(module, { weight: storedRows(names.weight, stored, rows) }, { adapters, rows })!;
          const { tensor } = await compute(backend, { tensor: block.weight }, (name) => feeds[name]);
          merged.set(tensor.data as Float32Array, rows[0] * W.shape[1]);
        }
        return f32(merged, W.shape);
      });
  }
  for (const [name, source] of Object.entries(base.model.aliases)) {
    const { shape } = base.weights.get(source)!;
    if (changed.has(source) && !changed.has(name)) changed.set(name, async () => f32(await storedValues(base, source), shape));
  }
  return changed;
};
