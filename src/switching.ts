/** @file Adapters of an open model that are switched between: chosen by name, kept in memory, and used by texts that share a batch. It knows nothing about training. */
import type { Tokenizer } from "./formats/index.ts";
import {
  adapterCache,
  baseInference,
  createBatchGenerator,
  writeTexts,
  type AdapterSource,
  type AdapterUse,
  type BatchGenerator,
  type GenerateOptions,
  type TextRequest,
} from "./generate/index.ts";
import { loadAdapter, loadedOn } from "./lora/index.ts";
import type { Base } from "./models/index.ts";
import type { Backend } from "./runtime/index.ts";

/** An adapter as it is asked for: a folder, a name of the library or of the hub; with another strength than 1 as an object. */
export type AdapterChoice = string | { readonly adapter: string; readonly weight: number };

/** A prompt, and the adapters that its text is written with; default those that are chosen. */
export interface PromptRequest {
  readonly prompt: string;
  readonly adapters?: readonly AdapterChoice[];
}

export interface SwitchOptions {
  /** Bytes that adapters in memory may take; the least recently used leave first. Default 2³⁰. */
  readonly adapterBytes?: number;
  /** Texts that are written in one batch; more of them wait. Default 8. */
  readonly rows?: number;
}

export interface Switching {
  /** What `use` has chosen: an empty list for the base alone. */
  readonly chosen: readonly AdapterUse[];
  use(choices: readonly AdapterChoice[]): Promise<void>;
  prefetch(references: readonly string[]): Promise<void>;
  /** Writes texts, each with adapters of its own. */
  readonly generator: BatchGenerator;
  /** The texts after many prompts, in their order, with adapters of any kind. */
  texts(requests: readonly PromptRequest[], options: GenerateOptions): Promise<string[]>;
}

/** Starts with the base alone; nothing is compiled or allocated before it is needed. */
export const switching = async (
  backend: Backend,
  base: Base,
  tokenizer: Tokenizer,
  { adapterBytes = 2 ** 30, rows = 8 }: SwitchOptions = {},
): Promise<Switching> => {
  const { adapterSources } = await import("./library/index.ts"); // with SQLite, which a model alone does not need
  const cache = adapterCache(backend, adapterBytes);
  const generator = createBatchGenerator(backend, tokenizer, baseInference(base), { cache, rows });
  const options = loadedOn(base, backend);
  const sourceOf = adapterSources((directory) => loadAdapter(directory, base.model, options), options);
  let chosen: readonly AdapterUse[] = [];
  const loaded = async (reference: string): Promise<AdapterSource> => {
    const source = await sourceOf(reference);
    await cache.prefetch(source);
    return source;
  };
  const used = async (
    choices: readonly AdapterChoice[],
    sourceFor: (reference: string) => Promise<AdapterSource>,
  ): Promise<AdapterUse[]> => {
    const uses: AdapterUse[] = [];
    for (const choice of choices) {
      const { adapter, weight } = typeof choice === "string" ? { adapter: choice, weight: 1 } : choice;
      uses.push({ source: await sourceFor(adapter), weight });
    }
    return uses;
  };
  return {
    get chosen() {
      return chosen;
    },
    use: async (choices) => {
      chosen = await used(choices, loaded);
    },
    prefetch: async (references) => {
      for (const reference of references) await loaded(reference);
    },
    generator,
    texts: async (requests, given) => {
      const found: TextRequest[] = [];
      for (const { prompt, adapters } of requests)
        found.push({ prompt, adapters: adapters === undefined ? chosen : await used(adapters, sourceOf) });
      const texts: string[] = [];
      await writeTexts({ backend, base, tokenizer, cache, rows }, found, given, (index, { text }) => (texts[index] = text));
      return texts;
    },
  };
};
