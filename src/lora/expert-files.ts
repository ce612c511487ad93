/**
 * @file How PEFT's files hold the factors of stacked experts: A of all experts (in, r·E) expert by expert, B (r·E, out) rank by rank, and where
 * one module has several such parameters, each under `base_layer` of the one behind it. It knows nothing about models.
 */
import { f32, type HostTensor } from "../util/index.ts";
import type { AdapterTarget } from "./targets.ts";

/** The experts of one parameter, in order, and the module under which their factors lie in files. */
interface Stack {
  readonly file: string;
  readonly experts: readonly AdapterTarget[];
}

const ownerOf = (parameter: string): string => parameter.slice(0, parameter.lastIndexOf("."));

const stacksOf = (targets: Iterable<AdapterTarget>): Stack[] => {
  const byParameter = new Map<string, AdapterTarget[]>();
  for (const target of targets)
    if (target.parameter !== undefined) byParameter.set(target.parameter, [...(byParameter.get(target.parameter) ?? []), target]);
  const parameters = [...byParameter];
  return parameters.map(([parameter, experts], index) => {
    // What PEFT wraps last lies outermost.
    const behind = parameters.slice(index + 1).filter(([other]) => ownerOf(other) === ownerOf(parameter));
    return { file: `${ownerOf(parameter)}${".base_layer".repeat(behind.length)}`, experts };
  });
};

type Tensors = ReadonlyMap<string, HostTensor>;

/** Copies between an expert's factors and those of all: `at(r, E)` says where, for a rank and an expert of the factor's flat rows. */
interface Factor {
  readonly name: string;
  readonly length: number;
  readonly stacked: readonly number[];
  readonly own: readonly number[];
  /** Place among all experts of an element of expert `e`. */
  readonly place: (e: number, index: number) => number;
}

const factorsOf = ([{ kind, inFeatures, outFeatures, rank: r }, ...others]: readonly AdapterTarget[]): Factor[] => {
  const E = others.length + 1;
  return [
    {
      name: kind.A.name,
      length: inFeatures * r,
      own: [inFeatures, r],
      stacked: [inFeatures, r * E],
      place: (e, index) => Math.floor(index / r) * r * E + e * r + (index % r),
    },
    {
      name: kind.B.name,
      length: r * outFeatures,
      own: [r, outFeatures],
      stacked: [r * E, outFeatures],
      place: (e, index) => (Math.floor(index / outFeatures) * E + e) * outFeatures + (index % outFeatures),
    },
  ];
};

/** An adapter's tensors by the names that files give them, but for PEFT's prefix and endings. */
export const stackExperts = (targets: Iterable<AdapterTarget>, tensors: Tensors): Map<string, HostTensor> => {
  const result = new Map(tensors);
  for (const { file, experts } of stacksOf(targets))
    for (const { name, stacked, length, place } of factorsOf(experts)) {
      const all = new Float32Array(length * experts.length);
      experts.forEach(({ module }, e) => {
        const own = tensors.get(`${module}.${name}`)!.data as Float32Array;
        for (let index = 0; index < length; index++) all[place(e, index)] = own[index];
        result.delete(`${module}.${name}`);
      });
      result.set(`${file}.${name}`, f32(all, stacked));
    }
  return result;
};

// Adapters of experts that were modules of their own: one pair for each part, which side by side are one of their ranks together.
const joined = ({ kind, module, parts = [] }: AdapterTarget, tensors: Tensors): [name: string, tensor: HostTensor][] => {
  const As = parts.map((part) => tensors.get(`${part}.${kind.A.name}`)); // (in, r) each
  const Bs = parts.map((part) => tensors.get(`${part}.${kind.B.name}`)); // (r, out) each
  if (!As.every((A) => A?.shape.length === 2) || !Bs.every((B) => B?.shape.length === 2)) return [];
  const [rows, columns] = [As[0]!.shape[0], Bs.reduce((sum, B) => sum + B!.shape[1], 0)];
  const R = As.reduce((sum, A) => sum + A!.shape[1], 0);
  const [A, B] = [new Float32Array(rows * R), new Float32Array(R * columns)];
  let [rank, start] = [0, 0];
  parts.forEach((_, part) => {
    const [[, r], [, width]] = [As[part]!.shape, Bs[part]!.shape];
    As[part]!.data.forEach((value, index) => (A[Math.floor(index / r) * R + rank + (index % r)] = Number(value)));
    Bs[part]!.data.forEach((value, index) => (B[(rank + Math.floor(index / width)) * columns + start + (index % width)] = Number(value)));
    rank += r;
    start += width;
  });
  return [
    [`${module}.${kind.A.name}`, f32(A, [rows, R])],
    [`${module}.${kind.B.name}`, f32(B, [R, columns])],
  ];
};

/**
 * The inverse: a file's tensors by the names of the adapter's; what has another shape, or is missing, stays as it is. Older files hold the
 * factors of each expert's modules.
 */
export const unstackExperts = (targets: readonly AdapterTarget[], tensors: Tensors): Map<string, HostTensor> => {
  const result = new Map(tensors);
  for (const target of targets) {
    const pair = target.parameter === undefined ? [] : joined(target, tensors);
    if (pair.length === 0) continue;
    for (const part of target.parts!) for (const { name } of [target.kind.A, target.kind.B]) result.delete(`${part}.${name}`);
    for (const [name, tensor] of pair) result.set(name, tensor);
  }
  for (const { file, experts } of stacksOf(targets))
    for (const { name, own, stacked, length, place } of factorsOf(experts)) {
      const all = tensors.get(`${file}.${name}`);
      if (all?.shape.join() !== stacked.join()) continue;
      const values = all.data as Float32Array;
      result.delete(`${file}.${name}`);
      experts.forEach(({ module }, e) =>
        result.set(
          `${module}.${name}`,
          f32(
            Float32Array.from({ length }, (_, index) => values[place(e, index)]),
            own,
          ),
        ),
      );
    }
  return result;
};
