/** @file Folds adapters into the base's weights and out again, module by module on a backend. It knows no adapter kind and nothing about files. */
import { add, divide, input, multiply, program, scalar, subtract, type Tensor } from "../graph/index.ts";
import { storedTensors, storedValues, type Base } from "../models/index.ts";
import type { Backend, Feed } from "../runtime/index.ts";
import { f32, type HostTensor } from "../util/index.ts";
import { findBase } from "./adapted-modules.ts";
import { namedIn, valuesOf, type StoredAdapter } from "./adapter.ts";
import { frozenLayer, oriented } from "./frozen-layer.ts";
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

/** `kept` is what merging kept, for unmerging; undefined to merge. */
interface Folding {
  readonly adapters: readonly WeightedAdapter[];
  readonly kept?: MergedModule["kept"];
}

const sumOf = (terms: readonly (Tensor | undefined)[]): Tensor | undefined =>
  terms.reduce((sum, term) => (sum === undefined || term === undefined ? (sum ?? term) : add(sum, term)), undefined);

/**
 * The tensors of one module with the adapters folded in or out: W′ = W + Σ gain∘W + Σ update, b′ = b + Σ bias.
 * Undefined where no adapter targets the module.
 */
const fold = (module: string, own: ModuleTensors<Tensor>, { adapters, kept }: Folding): Folded | undefined => {
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
    const { target, own: share } = shares.get(module)!;
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
      tensors: (name) => once(name, () => share(name, fed(`${index}.${name}`, namedIn(values, target.module)(name)))),
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
  const merged = (W: Tensor): Tensor => add(gain === undefined ? W : multiply(add(gain, scalar(1)), W), update);
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

/**
 * How to make each tensor that the adapters change, by its name in the checkpoint; nothing is computed before it is asked for.
 * A tied head becomes a tensor of its own where an adapter changes it or its embedding, unless both change alike: then they have one maker.
 */
export const mergedTensors = (
  backend: Backend,
  base: Base,
  adapters: readonly WeightedAdapter[],
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
    const bias = own("bias");
    const folded = fold(module, { weight: own("weight")!, ...(bias && { bias }) }, { adapters })!;
    for (const [part, tensor] of Object.entries(folded.changed))
      changed.set(names[part as keyof typeof names], async () => {
        const made = await compute(backend, { tensor }, (name) => folded.feeds[name] ?? late.get(name)!());
        return made.tensor;
      });
  }
  for (const [name, source] of Object.entries(base.model.aliases)) {
    const { shape } = base.weights.get(source)!;
    if (changed.has(source) && !changed.has(name)) changed.set(name, async () => f32(await storedValues(base, source), shape));
  }
  return changed;
};
