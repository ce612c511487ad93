/** @file Starting values of a planned adapter: gives the start of each target what it needs, one target at a time. It knows no start. */
import { turnFactor } from "../formats/index.ts";
import { storedTensors, storedValues, type Base } from "../models/index.ts";
import { precisions } from "../nn/index.ts";
import type { Backend } from "../runtime/index.ts";
import { f32, hashText, LowrankError, random, type HostTensor } from "../util/index.ts";
import { findBase } from "./adapted-modules.ts";
import { namedIn, planAdapter, valuesOf, type Adapter, type StoredAdapter } from "./adapter.ts";
import { uploadedOperator, weightOperator, type Operator } from "./algebra/operator.ts";
import type { Calibration, InputMoments } from "./init/calibration.ts";
import type { Components, Initialisation, Need, StartContext } from "./init/initialisation.ts";
import { sharedRanks, withRanks } from "./init/ranks.ts";
import type { LoadAdapterOptions } from "./store.ts";
import type { AdapterTarget } from "./targets.ts";
import { rowsName } from "./tokens.ts";
import { isWhole } from "./whole.ts";

/** What starts may need beside the base. */
export interface StartSources {
  readonly backend: Backend;
  /** What data say about the base. */
  readonly calibration?: Calibration;
}

type Weights = Pick<Base, "model" | "weights" | "precision">;

/** What is known of one target beside its weights. */
interface Learnt {
  readonly inputs?: InputMoments;
  readonly gradient?: HostTensor;
  readonly components?: Components;
}

type Starts = readonly (readonly [AdapterTarget, Initialisation])[];

/** How data are asked, for the needs that take data. */
const lessons: Partial<Record<Need, (calibration: Calibration, starts: Starts) => AsyncIterable<Learnt>>> = {
  inputs: async function* (calibration, starts) {
    const [[, { inputs: options }]] = starts;
    for await (const inputs of calibration.inputs(
      starts.map(([target]) => target),
      options!,
    ))
      yield { inputs };
  },
  gradients: async function* (calibration, starts) {
    for await (const gradient of calibration.gradients(starts.map(([target]) => target))) yield { gradient };
  },
};

/** Each target with what the data say about it, where its start asks for that. */
const learn = async function* (starts: Starts, calibration: Calibration | undefined): AsyncGenerator<[AdapterTarget, Learnt]> {
  for (const need of new Set(starts.map(([, { needs }]) => needs))) {
    const alike = starts.filter(([, { needs }]) => needs === need);
    const lesson = lessons[need];
    if (lesson === undefined) for (const [target] of alike) yield [target, {}];
    else if (calibration === undefined)
      throw new LowrankError("invalid-argument", "This start is made from data, and there are none.", {
        where: `init_lora_weights of ${alike[0][0].module}`,
        fix: "Give it data, or choose a start that does without.",
      });
    else {
      let index = 0;
      for await (const learnt of lesson(calibration, alike)) yield [alike[index++][0], learnt];
    }
  }
};

/** The base's weight of a target, (out, in). */
const targetWeight = async (base: Weights, { module, inFeatures, outFeatures, turned }: AdapterTarget): Promise<Float32Array> => {
  const W = await storedValues(base, `${module}.weight`);
  return turned ? (turnFactor(f32(W, [inFeatures, outFeatures]), module).data as Float32Array) : W;
};

/** W less its rounded form, (out, in). */
const roundingError = async (base: Weights, target: AdapterTarget): Promise<Float32Array> => {
  const { module, inFeatures, outFeatures } = target;
  if (base.precision === undefined)
    throw new LowrankError("invalid-argument", "This start makes up for the rounding of the base, and this base is not rounded.", {
      where: module,
      fix: "Choose a base precision with fewer bits (--base-precision), or another start.",
    });
  if (!base.weights.has(`${module}.${base.precision}`))
    throw new LowrankError(
      "invalid-argument",
      `This start makes up for the rounding of weights, and ${base.precision} does not round this one.`,
      {
        where: module,
        fix: "Leave it out of --targets, or choose another start.",
      },
    );
  const { round, restore } = precisions[base.precision];
  const W = await targetWeight(base, target);
  const rounded = restore(round(W, outFeatures, inFeatures), outFeatures, inFeatures);
  return W.map((value, index) => value - rounded[index]);
};

/** Runs an action with all that a start may look at, and frees what it has opened. */
const withContext = async <T>(
  base: Weights,
  target: AdapterTarget,
  { seed, backend, learnt }: { readonly seed: number; readonly backend: Backend | undefined; readonly learnt: Learnt },
  action: (context: StartContext) => Promise<T>,
): Promise<T> => {
  const opened: Operator[] = [];
  const keep = (operator: Operator): Operator => {
    opened.push(operator);
    return operator;
  };
  const have = <V>(value: V | undefined, what: string): V => {
    if (value === undefined)
      throw new LowrankError("invalid-argument", `The start asks for ${what}, and there is none.`, { where: target.module });
    return value;
  };
  const engine = (): Backend => have(backend, "a backend");
  const { module, inFeatures, outFeatures, turned } = target;
  try {
    return await action({
      target,
      generator: random(seed, hashText(module)),
      backend: engine,
      weight: () => targetWeight(base, target),
      operator: () =>
        keep(weightOperator(engine(), findBase(base.model, storedTensors(base), `${module}.weight`)!, { isTurned: turned === true })),
      roundingError: async () => keep(await uploadedOperator(engine(), f32(await roundingError(base, target), [outFeatures, inFeatures]))),
      inputs: () => have(learnt.inputs, "its module's inputs"),
      gradient: async () => keep(await uploadedOperator(engine(), have(learnt.gradient, "a gradient"), turned)),
      components: () => have(learnt.components, "components"),
    });
  } finally {
    for (const operator of opened) await operator.dispose();
  }
};

const startsOf = ({ targets, config }: Adapter): Starts =>
  [...targets.values()].map((target) => [target, target.kind.initialisation(config)]);

/** The adapter with its ranks shared out, where its start does that, and the components that were found on the way, by module. */
const shareRanks = async (
  adapter: Adapter,
  base: Weights,
  seed: number,
  { backend, calibration }: Partial<StartSources>,
): Promise<{ readonly adapter: Adapter; readonly found: ReadonlyMap<string, Components> }> => {
  const found = new Map<string, Components>();
  const starts = startsOf(adapter);
  const sharing = starts.filter(([, { ranks }]) => ranks !== undefined);
  if (sharing.length === 0) return { adapter, found };
  const rule = sharing[0][1].ranks!;
  // By what they are made from: modules that read the same have the same.
  const made = new WeakMap<InputMoments, Map<number, Components>>();
  for await (const [target, learnt] of learn(sharing, calibration)) {
    const alike = (learnt.inputs && made.get(learnt.inputs)) ?? new Map<number, Components>();
    const components = alike.get(target.rank) ?? (await withContext(base, target, { seed, backend, learnt }, rule.components));
    if (learnt.inputs) made.set(learnt.inputs, alike.set(target.rank, components));
    found.set(target.module, components);
  }
  const candidates = sharing.map(([target]) => ({ target, shares: found.get(target.module)!.shares }));
  const ranks = new Map(sharedRanks(candidates).map((rank, index) => [candidates[index].target.module, rank]));
  const targets = [...adapter.targets.values()];
  const config = withRanks(
    adapter.config,
    targets,
    targets.map(({ module, rank }) => ranks.get(module) ?? rank),
    rule.keepsScaling,
  );
  return { adapter: planAdapter(base.model, config), found };
};

/**
 * Starting values by seed: each target has a stream of its own, and tensors that are trained whole start as the base has them.
 * A start that shares ranks out gives an adapter of another plan.
 * @example const stored = await startAdapter(planAdapter(base.model, loraConfig({ r: 8 })), base, 0, { backend });
 */
export const startAdapter = async (
  planned: Adapter,
  base: Weights,
  seed: number,
  sources: Partial<StartSources> = {},
): Promise<StoredAdapter> => {
  const { adapter, found } = await shareRanks(planned, base, seed, sources);
  const { config, variant, targets, layout, frozen } = adapter;
  const stored: StoredAdapter = { adapter, parameters: new Float32Array(layout.size), frozen: new Float32Array(frozen.size) };
  const values = valuesOf(stored);
  const view = (name: string): Float32Array => values.get(name)!.data as Float32Array;
  for (const [name, { data }] of Object.entries(variant.shared?.start([...targets.values()], config) ?? {}))
    view(name).set(data as Float32Array);
  const fill = (target: AdapterTarget, learnt: Learnt): Promise<void> =>
    withContext(base, target, { seed, backend: sources.backend, learnt }, (context) =>
      variant.start({ ...context, config, values: (name) => namedIn(values, target.module)(name).data as Float32Array }),
    );
  const starts = startsOf(adapter);
  for (const [target] of starts) {
    const components = found.get(target.module);
    if (components !== undefined) await fill(target, { components });
  }
  const others = starts.filter(([{ module }]) => !found.has(module));
  for await (const [target, learnt] of learn(others, sources.calibration)) await fill(target, learnt);
  for (const slot of layout.slots) if (isWhole(slot)) view(slot.name).set(await storedValues(base, slot.name));
  for (const rows of adapter.tokens) {
    const W = await storedValues(base, `${rows.module}.weight`);
    rows.indices.forEach((index, place) =>
      view(rowsName(rows)).set(W.subarray(index * rows.width, (index + 1) * rows.width), place * rows.width),
    );
  }
  return stored;
};

/** What loading an adapter needs to know of a base at hand. */
export const loadedOn = (base: Base, backend: Backend): Pick<LoadAdapterOptions, "baseDigest" | "start"> => ({
  baseDigest: base.digest,
  start: (adapter) => startAdapter(adapter, base, 0, { backend }),
});
