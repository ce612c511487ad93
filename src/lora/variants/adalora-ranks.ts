/** @file Ranks of AdaLoRA that files leave out, because their value is zero, and that have a place in memory. It knows nothing about why they are zero. */
import { f32, type HostTensor } from "../../util/index.ts";
import type { AdapterTarget } from "../targets.ts";
import type { SavedContent } from "./variant.ts";

type Tensors = Map<string, HostTensor>;

/** Makes a target's factors again with other ranks: `from` names the old one of each, undefined for one that is zero. */
const rerank = (tensors: Tensors, { module, inFeatures, outFeatures }: AdapterTarget, from: readonly (number | undefined)[]): void => {
  const old = tensors.get(`${module}.lora_E`)!.shape[0];
  const r = from.length;
  const remake = (name: string, rows: number, columns: number, place: (row: number, column: number) => number | undefined): void => {
    const { data } = tensors.get(`${module}.${name}`)!;
    const made = Float32Array.from({ length: rows * columns }, (_, index) => {
      const at = place(Math.floor(index / columns), index % columns);
      return at === undefined ? 0 : Number(data[at]);
    });
    tensors.set(`${module}.${name}`, f32(made, [rows, columns]));
  };
  const times = (rank: number | undefined, stride: number, start: number): number | undefined =>
    rank === undefined ? undefined : start + rank * stride;
  remake("lora_A", inFeatures, r, (row, column) => times(from[column], 1, row * old));
  remake("lora_B", r, outFeatures, (row, column) => times(from[row], outFeatures, column));
  remake("lora_E", r, 1, (row) => from[row]);
};

/** Leaves out the ranks that have no effect; an adapter without any effect stays whole. */
export const pruned = (content: SavedContent): SavedContent => {
  const { config, targets } = content;
  const kept = [...targets.values()].map((target): [AdapterTarget, boolean[]] => {
    const { data } = content.tensors.get(`${target.module}.lora_E`)!;
    return [target, Array.from(data as Float32Array, (value) => value !== 0)];
  });
  const all = kept.flatMap(([, flags]) => flags);
  const withPattern = (rank_pattern: Readonly<Record<string, readonly boolean[]>> | null) => ({
    ...config,
    adalora: { ...config.adalora!, rank_pattern },
  });
  if (all.every(Boolean) || !all.some(Boolean)) return { ...content, config: withPattern(null) };
  const tensors: Tensors = new Map(content.tensors);
  for (const [target, flags] of kept)
    rerank(
      tensors,
      target,
      [...flags.keys()].filter((rank) => flags[rank]),
    );
  return { ...content, tensors, config: withPattern(Object.fromEntries(kept.map(([{ module }, flags]) => [module, flags]))) };
};

/** Gives the ranks that files leave out a place, with zeros. */
export const expanded = (content: SavedContent): SavedContent => {
  const pattern = content.config.adalora!.rank_pattern ?? {};
  const tensors: Tensors = new Map(content.tensors);
  for (const target of content.targets.values()) {
    const { module, inFeatures, outFeatures, rank } = target;
    const flags = Object.hasOwn(pattern, module) ? pattern[module] : [];
    const count = flags.filter(Boolean).length;
    const shapes = { lora_A: [inFeatures, count], lora_B: [count, outFeatures], lora_E: [count, 1] };
    const fits = Object.entries(shapes).every(([name, shape]) => tensors.get(`${module}.${name}`)?.shape.join() === shape.join());
    // What does not fit its pattern is refused for its shape afterwards.
    if (flags.length !== rank || !fits) continue;
    let next = 0;
    rerank(
      tensors,
      target,
      flags.map((isKept) => (isKept ? next++ : undefined)),
    );
  }
  return { ...content, tensors };
};
