/** @file Merges the rows of tokens that adapters train into the weights that they are rows of. It knows nothing about graphs. */
import { storedValues, type Base } from "../models/index.ts";
import { viewOf } from "../nn/index.ts";
import { f32, type HostTensor } from "../util/index.ts";
import type { WeightedAdapter } from "./merge.ts";
import { moduleOf, rowsName } from "./tokens.ts";

type Makers = Map<string, () => Promise<HostTensor>>;

/**
 * Adds to the tensors that merging changes, by name, those in which adapters train rows: W + weight·(row − W) there. A follower that changes
 * in no other way has the very maker of the tensor that it follows.
 */
export const withMixedRows = (base: Base, adapters: readonly WeightedAdapter[], mixed: Readonly<Makers>): Makers => {
  const makers: Makers = new Map(mixed);
  const acting = (module: string) =>
    adapters.flatMap((stored) =>
      stored.adapter.tokens.filter((rows) => rows.module === module || rows.followers.includes(module)).map((rows) => ({ stored, rows })),
    );
  const make = (module: string) => async (): Promise<HostTensor> => {
    const name = `${module}.weight`;
    const before = (await mixed.get(name)?.())?.data as Float32Array | undefined;
    const W = before ?? (await storedValues(base, name));
    const result = W.slice();
    const { shape } = base.weights.get(base.model.aliases[name] ?? name)!;
    for (const { stored, rows } of acting(module)) {
      const slot = stored.adapter.layout.slots.find((candidate) => candidate.name === rowsName(rows))!;
      const own = viewOf(stored.parameters, slot);
      rows.indices.forEach((index, place) => {
        for (let column = 0; column < rows.width; column++) {
          const at = index * rows.width + column;
          result[at] += stored.weight * (own[place * rows.width + column] - W[at]);
        }
      });
    }
    return f32(result, shape);
  };
  const changed = new Set(adapters.flatMap(({ adapter }) => adapter.tokens.flatMap(({ module, followers }) => [module, ...followers])));
  for (const module of changed) {
    const source = Object.hasOwn(base.model.aliases, `${module}.weight`) ? moduleOf(base.model.aliases[`${module}.weight`]) : module;
    const alone = [module, source].every((name) => !mixed.has(`${name}.weight`));
    const isFollowing =
      source !== module &&
      alone &&
      acting(module).length === acting(source).length &&
      acting(module).every(({ rows }) => rows.module === source);
    if (!isFollowing) makers.set(`${module}.weight`, make(module));
  }
  for (const module of changed) {
    const source = base.model.aliases[`${module}.weight`];
    if (!makers.has(`${module}.weight`)) makers.set(`${module}.weight`, makers.get(source)!);
  }
  return makers;
};
