/**
 * @file Writes adapters as GGUF files for llama.cpp and reads them. It knows nothing about families: they say where modules lie.
 *
 * llama.cpp adds (α/r)·B·(A·x), with one α for the file and r read from B. A scaling s of a module is therefore put into the file as
 * B′ = B·(s·r/α), which is B itself wherever s = α/r.
 */
import { basename } from "node:path";
import {
  encodeGguf,
  gguf,
  readGgufHeader,
  readGgufTensor,
  turnFactor,
  writeGguf,
  type GgufFile,
  type GgufSource,
  type GgufTensor,
  type GgufValue,
} from "../formats/index.ts";
import { candidatesOf, type StoredAdapter } from "../lora/index.ts";
import { interleavedRows, type Base, type GgufPlace } from "../models/index.ts";
import { f32, LowrankError, type HostTensor } from "../util/index.ts";
import { adapterOf, factorsOf, mostFrequent, type Factors } from "./factors.ts";
import { layoutOf } from "./gguf-model.ts";

/** B (out, r) with its rows in the file's order, or back from it. */
const reordered = ({ data, shape }: HostTensor, heads: number | undefined, back: boolean): HostTensor => {
  if (heads === undefined) return { dtype: "f32", shape, data };
  const [rows, rank] = shape;
  const result = new Float32Array(rows * rank);
  interleavedRows(rows, heads).forEach((ours, theirs) => {
    const [from, to] = back ? [theirs, ours] : [ours, theirs];
    result.set((data as Float32Array).subarray(from * rank, (from + 1) * rank), to * rank);
  });
  return { dtype: "f32", shape, data: result };
};

/** Where a module's weights lie; undefined for those that llama.cpp does not adapt, and for a tied head, which is no tensor of its own. */
const placeIn = (base: Base, module: string): GgufPlace | undefined => {
  const name = `${module}.weight`;
  const place = Object.hasOwn(base.model.aliases, name) ? undefined : layoutOf(base).place(name);
  return place?.adapts === false ? undefined : place;
};

const placeOf = (base: Base, module: string): GgufPlace => {
  const found = placeIn(base, module);
  if (found === undefined)
    throw new LowrankError("unsupported", `llama.cpp has no place for an adapter on ${module} of this model.`, {
      where: module,
      fix: "Write the merged model instead: `lowrank merge --format gguf`.",
    });
  return found;
};

/** A of a module as the file has it: (r, in), or (rows, r) where rows are looked up. Its own inverse. */
const turnedA = (A: HostTensor, { lookedUp = false }: GgufPlace, where: string): HostTensor => (lookedUp ? A : turnFactor(A, where));

/** Writes an adapter; one with anything but low-rank factors is refused by name, as is one on modules that llama.cpp does not adapt. */
export const writeGgufAdapter = async (path: string, base: Base, stored: StoredAdapter, type: "f32" | "f16"): Promise<void> => {
  const { architecture } = layoutOf(base);
  const factors = factorsOf(stored, { name: "A GGUF adapter" });
  const alpha = mostFrequent(factors.map(({ scaling, rank }) => scaling * rank));
  const sources = factors.flatMap(({ module, scaling, rank, A, B }): GgufSource[] => {
    const place = placeOf(base, module);
    const factor = (scaling * rank) / alpha;
    const source = (ending: string, { data, shape }: HostTensor): GgufSource => ({
      name: `${place.name}.${ending}`,
      type,
      shape,
      chunks: () => [encodeGguf(data as Float32Array, type, `${module}.${ending}`)],
    });
    const scaled = f32(
      (B.data as Float32Array).map((value) => value * factor),
      B.shape,
    );
    return [
      source("lora_a", turnedA(A, place, module)),
      source("lora_b", reordered(turnFactor(scaled, module), place.interleavedHeads, false)),
    ];
  });
  const metadata: readonly (readonly [string, GgufValue])[] = [
    ["general.architecture", gguf.string(architecture)],
    ["general.type", gguf.string("adapter")],
    ["general.name", gguf.string(basename(path).replace(/\.gguf$/, ""))],
    ["adapter.type", gguf.string("lora")],
    ["adapter.lora.alpha", gguf.f32(alpha)],
  ];
  await writeGguf(path, { metadata: new Map(metadata), tensors: sources });
};

const text = ({ metadata }: GgufFile, key: string): string | undefined => {
  const value = metadata.get(key);
  return value?.type === "string" ? (value.value as string) : undefined;
};

const checkKind = (file: GgufFile, architecture: string): void => {
  const where = file.path;
  const type = text(file, "general.type");
  if (type !== "adapter")
    throw new LowrankError("unsupported", `This GGUF file holds ${type === undefined ? "something else" : `a ${type}`}, not an adapter.`, {
      where,
      fix: "Models are read from safetensors alone.",
    });
  const kind = text(file, "adapter.type");
  if (kind !== "lora")
    throw new LowrankError("unsupported", `An adapter of the type ${JSON.stringify(kind)} is not read; "lora" is.`, { where });
  if (file.metadata.has("adapter.alora.invocation_tokens"))
    throw new LowrankError("unsupported", "An adapter that begins to act at certain tokens is not offered.", { where });
  const made = text(file, "general.architecture");
  if (made !== architecture)
    throw new LowrankError(
      "adapter-mismatch",
      `The adapter is for the architecture ${JSON.stringify(made)}, the model is ${JSON.stringify(architecture)}.`,
      {
        where,
        fix: "Name the base that the adapter was trained on with --model.",
      },
    );
};

/** The tensors of a file in pairs, by the name of the weights that they adapt. */
const pairsOf = ({ tensors, path }: GgufFile): Map<string, Partial<Record<"a" | "b", GgufTensor>>> => {
  const pairs = new Map<string, Partial<Record<"a" | "b", GgufTensor>>>();
  for (const [name, tensor] of tensors) {
    const [, weights, factor] = /^(.+)\.lora_([ab])$/.exec(name) ?? [];
    if (weights === undefined)
      throw new LowrankError("unsupported", "A LoRA adapter has no such tensor, as far as is known here.", {
        where: `${path}, tensor ${JSON.stringify(name)}`,
        fix: "Names end in .lora_a or .lora_b.",
      });
    pairs.set(weights, { ...pairs.get(weights), [factor]: tensor });
  }
  return pairs;
};

/** Reads an adapter for a base; every tensor of the file is accounted for, or it is an error that names it. */
export const readGgufAdapter = async (path: string, base: Base): Promise<StoredAdapter> => {
  const file = await readGgufHeader(path);
  checkKind(file, layoutOf(base).architecture);
  const candidates = new Map(candidatesOf(base.model).map((candidate) => [placeIn(base, candidate.module)?.name, candidate]));
  const factors: Factors[] = [];
  for (const [name, { a, b }] of pairsOf(file)) {
    const where = `${file.path}, tensor ${JSON.stringify(name)}`;
    const candidate = candidates.get(name);
    if (candidate === undefined)
      throw new LowrankError("adapter-mismatch", "The model has no module with these weights that adapters could act on.", {
        where,
        fix: "Name the base that the adapter was trained on with --model.",
      });
    if (a === undefined || b === undefined)
      throw new LowrankError("invalid-file", `It has no lora_${a === undefined ? "a" : "b"}.`, { where });
    const { module, inFeatures, outFeatures } = candidate;
    const place = placeOf(base, module);
    const rank = b.shape[1];
    const wanted = [place.lookedUp === true ? [inFeatures, rank] : [rank, inFeatures], [outFeatures, rank]];
    if (a.shape.join() !== wanted[0].join() || b.shape.join() !== wanted[1].join())
      throw new LowrankError(
        "adapter-mismatch",
        `lora_a is [${a.shape.join(", ")}] and lora_b [${b.shape.join(", ")}]; the model needs [${wanted[0].join(", ")}] and [${wanted[1].join(", ")}].`,
        { where, fix: "Name the base that the adapter was trained on with --model." },
      );
    const B = reordered(await readGgufTensor(b), place.interleavedHeads, true);
    factors.push({ module, A: turnedA(await readGgufTensor(a), place, where), B: turnFactor(B, where) });
  }
  const stored = file.metadata.get("adapter.lora.alpha");
  // Without an α the factors act as they are.
  const alpha = stored?.type === "f32" && stored.value !== 0 ? Number(stored.value) : undefined;
  return adapterOf(base.model, factors, { alpha }, file.path);
};
