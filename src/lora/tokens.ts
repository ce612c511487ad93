/**
 * @file Rows of tokens that an adapter trains on their own, PEFT's `trainable_token_indices`: which they are, and how they take the place of
 * the base's in graphs. A head that is the embedding follows it. It knows nothing about updates of whole modules.
 */
import {
  add,
  cast,
  equal,
  gather,
  integers,
  matmul,
  reshape,
  scale,
  scatterAdd,
  subtract,
  transpose,
  withGradient,
  type Tensor,
} from "../graph/index.ts";
import type { Model } from "../models/index.ts";
import type { Modules, Parameter } from "../nn/index.ts";
import { LowrankError } from "../util/index.ts";
import type { LoraConfig } from "./config.ts";
import type { AdapterTarget } from "./targets.ts";

/** Some rows of one module's weight. */
export interface TokenRows {
  readonly module: string;
  /** Modules whose weight is the same one, and changes with it. */
  readonly followers: readonly string[];
  readonly indices: readonly number[];
  readonly width: number;
  /** The row that is not trained where it is read; default none. */
  readonly padding?: number;
}

/** The name of the rows in an adapter's layout. */
export const rowsName = ({ module }: Pick<TokenRows, "module">): string => `${module}.token_rows`;

const invalid = (what: string, fix: string): LowrankError =>
  new LowrankError("invalid-config", `"trainable_token_indices": ${what}`, { fix });

/** The module of a weight, by their names. */
export const moduleOf = (weight: string): string => weight.slice(0, -".weight".length);

/** Rows that a configuration trains, by the modules that PEFT finds: a list means those of the tokens that the model reads. */
export const tokenRows = (model: Model, config: LoraConfig, targets: ReadonlyMap<string, AdapterTarget>): TokenRows[] => {
  const { trainable_token_indices: given, modules_to_save: saved } = config;
  if (given === null) return [];
  const shapes = new Map([
    ...model.embeddings.map(({ module, rows, width }) => [module, [rows, width]] as const),
    ...model.linears.filter(({ isHead }) => isHead).map((spec) => [spec.module, [spec.outFeatures, spec.inFeatures]] as const),
  ]);
  const named = Array.isArray(given)
    ? model.embeddings
        .filter(({ isTokens }) => isTokens)
        .map(({ module }): [string, readonly number[]] => [module, given as readonly number[]])
    : Object.entries(given as Readonly<Record<string, readonly number[]>>).flatMap(([name, indices]): [string, readonly number[]][] => {
        const found = [...shapes.keys()].filter((module) => module.endsWith(name));
        if (found.length === 0)
          throw invalid(`the model has no module "${name}".`, `Choose among ${[...shapes.keys()].slice(0, 8).join(", ")} …`);
        return found.map((module) => [module, indices]);
      });
  if (named.length === 0) throw invalid("the model reads no tokens by a table of its own.", "Name a module for the indices.");
  const rows = new Map(named);
  const followersOf = (module: string): string[] =>
    Object.entries(model.aliases)
      .filter(([, source]) => source === `${module}.weight`)
      .map(([alias]) => moduleOf(alias))
      // One with rows of its own goes its own way, unless they are the same.
      .filter((alias) => rows.get(alias)?.join() === undefined || rows.get(alias)!.join() === rows.get(module)!.join());
  const followers = new Set([...rows.keys()].flatMap(followersOf));
  return [...rows]
    .filter(([module]) => !followers.has(module))
    .map(([module, indices]) => {
      const [count, width] = shapes.get(module)!;
      const wrong = indices.find(
        (index, place) => !Number.isSafeInteger(index) || index < 0 || index >= count || indices.indexOf(index) !== place,
      );
      if (wrong !== undefined) throw invalid(`${wrong} is twice there or no row of ${module}, which has ${count}.`, "Name each row once.");
      if (indices.length === 0) throw invalid(`there are none for ${module}.`, "Name at least one, or leave the module out.");
      const all = [module, ...followersOf(module)];
      const clash = all.find((name) => targets.has(name) || (saved ?? []).some((whole) => `${name}.`.includes(`${whole}.`)));
      if (clash !== undefined)
        throw invalid(`${clash} is adapted or trained whole as well.`, "Leave it out of the targets and of modules_to_save.");
      const padding = model.embeddings.find((spec) => spec.module === module)?.padding;
      return { module, followers: all.slice(1), indices, width, ...(padding !== undefined && { padding }) };
    });
};

/** What the rows are in an adapter's layout. */
export const rowParameters = (rows: readonly TokenRows[]): Parameter[] =>
  rows.map((one) => ({ name: rowsName(one), role: "rows", shape: [one.indices.length, one.width] }));

/** Rows at work: their values (n, width), and how strongly they act. */
export interface ActiveRows {
  readonly rows: TokenRows;
  readonly values: Tensor;
  readonly weight: number;
}

/** A module's output with rows of its weight replaced, in proportion to their weights. */
export const withTokenRows = (modules: Modules, active: readonly ActiveRows[]): Modules => {
  if (active.length === 0) return modules;
  const on = (module: string): ActiveRows[] => active.filter(({ rows }) => rows.module === module || rows.followers.includes(module));
  // (n, width)
  const change = (module: string, { rows, values, weight }: ActiveRows): Tensor =>
    scale(subtract(values, gather(modules.tensor(`${module}.weight`), integers(rows.indices))), weight);
  return {
    ...modules,
    embedding: (module, ids) =>
      on(module).reduce(
        (y, one) => {
          const { indices, padding } = one.rows;
          const changed = change(module, one);
          // No id is -1.
          const chosen = (keep: (index: number) => boolean): Tensor => {
            const kept = indices.map((index) => (keep(index) ? index : -1));
            return cast(equal(reshape(cast(ids, "i32"), [-1, 1]), integers(kept, [1, kept.length])), "f32"); // (N, n)
          };
          const trained = matmul(
            chosen((index) => index !== padding),
            changed,
            {},
            y,
          ); // (N, width)
          if (padding === undefined || !indices.includes(padding)) return trained;
          return matmul(
            chosen((index) => index === padding),
            withGradient(changed, [], [], () => []),
            {},
            trained,
          );
        },
        modules.embedding(module, ids),
      ),
    linear: (module, x) =>
      on(module).reduce(
        (y, one) => {
          const more = matmul(change(module, one), x, { transposeB: true }); // (n, N)
          const [N, V] = y.shape;
          return add(y, transpose(scatterAdd(more, integers(one.rows.indices), [V, N]), [1, 0])); // (N, V)
        },
        modules.linear(module, x),
      ),
    frozenLinear: (module) => (on(module).length > 0 ? undefined : modules.frozenLinear(module)),
  };
};
