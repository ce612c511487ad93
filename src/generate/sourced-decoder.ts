/** @file Runs an encoder–decoder token by token: its encoder reads what is appended first, once, and its decoder writes from there on. It knows nothing about text. */
import { cast, input, integers, program, type Graph, type Tensor } from "../graph/index.ts";
import { fullMask, trainingAttention, type Attention } from "../nn/index.ts";
import type { Backend, Programs, Resident } from "../runtime/index.ts";
import { i32, type HostTensor } from "../util/index.ts";
import type { Encoded } from "./decode-program.ts";
import { cachedDecoder, checkIds, checkRewind, compiledOnce, type Decoder } from "./decoder.ts";
import type { Inference } from "./inference.ts";
import { bucketOf } from "./key-value-cache.ts";

const queriesPerBlock = 128;

const filled = (length: number, value: (index: number) => number): Tensor =>
  integers(
    Array.from({ length }, (_, index) => value(index)),
    [1, length],
  );

const attentionFrom = (segments: Tensor, seen: Tensor): Attention => {
  const [, T] = segments.shape;
  const positions = cast(
    filled(T, (index) => index),
    "i64",
  );
  return trainingAttention({ positions, maxPositions: T, mask: fullMask(segments, seen), block: queriesPerBlock });
};

// Inputs source.ids and source.segments (1, S); outputs the keys and values of cross-attention, cross_key.l and cross_value.l (1, K, S, D).
const encodeProgram = ({ model, modules }: Inference, S: number): Graph => {
  const outputs: Record<string, Tensor> = {};
  const segments = input("source.segments", [1, S], "i32");
  const attention = attentionFrom(segments, segments);
  // Nothing but keys and values leaves the program, so what would be made of them is never computed.
  const cross: Attention = {
    ...attention,
    attend: (layer, q, key, value) => {
      outputs[`cross_key.${layer}`] = key;
      outputs[`cross_value.${layer}`] = value;
      return q;
    },
  };
  model.forward(modules(), {
    ids: filled(1, () => 0),
    attention: { ...attention, attend: (_, q) => q },
    source: { ids: input("source.ids", [1, S], "i32"), attention, cross },
    recompute: false,
  });
  return program(outputs);
};

// The encoder's part of a decoder's program: keys and values are fed, whatever the source.
const sourceOf = ({ model: { cache } }: Inference, S: number, T: number): ReturnType<Encoded["source"]> => {
  const shape = [1, cache.heads, S, cache.headSize];
  const segments = input("source.segments", [1, S], "i32");
  const across = attentionFrom(
    filled(T, () => 1),
    segments,
  );
  const cross: Attention = {
    ...across,
    attend: (layer, q, _key, _value, options) =>
      across.attend(layer, q, input(`cross_key.${layer}`, shape), input(`cross_value.${layer}`, shape), options),
  };
  return { ids: filled(S, () => 0), attention: { ...across, attend: (_, q) => q }, cross };
};

interface Reading {
  readonly encoded: Encoded;
  /** Frees the keys and values, which stay with the backend. */
  release(): Promise<void>;
}

const read = async (backend: Backend, inference: Inference, programs: Programs, prompt: readonly number[]): Promise<Reading> => {
  const { model, feeds } = inference;
  const size = bucketOf(prompt.length);
  const row = (value: (place: number) => number): HostTensor =>
    i32(
      Int32Array.from({ length: size }, (_, place) => value(place)),
      [1, size],
    );
  const segments = { "source.segments": row((place) => Number(place < prompt.length)) };
  const executable = await compiledOnce(backend, programs, `source ${size}`, () => encodeProgram(inference, size));
  const keep = Array.from({ length: model.layers }, (_, layer) => [`cross_key.${layer}`, `cross_value.${layer}`]).flat();
  const kept = await executable.run({ ...feeds, ...segments, "source.ids": row((place) => prompt[place] ?? 0) }, { keep });
  return {
    encoded: { size, source: (T) => sourceOf(inference, size, T), feeds: { ...kept, ...segments } },
    release: async () => {
      for (const resident of Object.values(kept)) await backend.release(resident as Resident);
    },
  };
};

/**
 * Starts a sequence for about `expected` tokens after its prompt, which is what is appended first; whoever goes back into it has it read
 * anew with what is appended then.
 */
export const sourcedDecoder = (backend: Backend, inference: Inference, programs: Programs, expected: number): Decoder => {
  const { model } = inference;
  let prompt: readonly number[] = [];
  let writer: Decoder | undefined;
  let held: (() => Promise<void>)[] = [];
  const free = async (): Promise<void> => {
    const all = held;
    held = [];
    for (const release of all) await release();
  };

  const begin = async (source: readonly number[]): Promise<Decoder> => {
    await free();
    const { encoded, release } = await read(backend, inference, programs, source);
    held.push(release);
    const decoder = await cachedDecoder(backend, inference, programs, expected, encoded);
    held.push(() => decoder.dispose());
    return decoder;
  };
  // The writer's first token is the one that decoding begins with.
  const lengthOf = (): number => prompt.length + (writer === undefined ? 0 : writer.length - 1);
  return {
    get length() {
      return lengthOf();
    },
    continues: false,
    append: async (ids) => {
      if (writer !== undefined) return writer.append(ids);
      checkIds(ids, model);
      const source = [...prompt, ...ids];
      const decoder = await begin(source);
      const logits = await decoder.append([model.decoderStart!]);
      [prompt, writer] = [source, decoder];
      return logits;
    },
    rewind: (to) => {
      checkRewind(lengthOf(), to);
      if (writer !== undefined && to >= prompt.length) return writer.rewind(to - prompt.length + 1);
      [prompt, writer] = [prompt.slice(0, to), undefined];
    },
    dispose: free,
  };
};
