/** @file Runs GGUF files in llama.cpp, with the prebuilt library for this machine; nothing is built or downloaded. It knows nothing about how they were made. */
import { getLlama, LlamaLogLevel, type Llama, type LlamaContextOptions, type LlamaModel, type Token } from "node-llama-cpp";

let started: Promise<Llama> | undefined;

const llama = (): Promise<Llama> => {
  started ??= getLlama({
    build: "never",
    skipDownload: true,
    gpu: false,
    maxThreads: 1,
    progressLogs: false,
    logLevel: LlamaLogLevel.fatal,
  });
  return started;
};

export interface LlamaCppOptions {
  /** A GGUF adapter that acts on the model. */
  readonly adapter?: string;
  /** Default 256, the least that llama.cpp has. */
  readonly context?: number;
}

const withModel = async <T>(path: string, use: (model: LlamaModel) => Promise<T>, vocabOnly = false): Promise<T> => {
  const model = await (await llama()).loadModel({ modelPath: path, gpuLayers: 0, vocabOnly });
  try {
    return await use(model);
  } finally {
    await model.dispose();
  }
};

// Keys and values in float32, as here, instead of float16.
const exact = { flashAttention: false, experimentalKvCacheKeyType: "F32", experimentalKvCacheValueType: "F32" } as const;

const contextOptions = ({ adapter, context = 256 }: LlamaCppOptions): LlamaContextOptions => ({
  contextSize: context,
  batchSize: context,
  threads: 1,
  ...(adapter !== undefined && { lora: { adapters: [{ filePath: adapter }] } }),
  ...exact,
});

/** Logits (V) after some tokens. */
export const llamaCppLogits = (path: string, ids: readonly number[], options: LlamaCppOptions = {}): Promise<Float32Array> =>
  withModel(path, async (model) => {
    const context = await model.createContext(contextOptions(options));
    const input = ids.map((id, index) =>
      index === ids.length - 1 ? ([id as Token, { generateNext: { logits: true } }] as [Token, object]) : (id as Token),
    );
    const outputs = await context.getSequence().controlledEvaluate(input);
    await context.dispose();
    const logits = outputs.at(-1)?.next.logits;
    return Float32Array.from({ length: logits?.size ?? 0 }, (_, id) => logits!.get(id as Token)!);
  });

/** The tokens that are likeliest one after another, after those given. */
export const llamaCppGreedy = (path: string, ids: readonly number[], count: number, options: LlamaCppOptions = {}): Promise<number[]> =>
  withModel(path, async (model) => {
    const context = await model.createContext(contextOptions(options));
    const generated: number[] = [];
    for await (const id of context.getSequence().evaluate(ids as Token[], { temperature: 0, yieldEogToken: true })) {
      generated.push(id);
      if (generated.length === count) break;
    }
    await context.dispose();
    return generated;
  });

/** Ids of texts, without those that go around every text; the file needs no weights. */
export const llamaCppTokens = (path: string, texts: readonly string[]): Promise<number[][]> =>
  withModel(path, (model) => Promise.resolve(texts.map((text) => [...model.tokenize(text, true)])), true);

/** Frees the library; the process can end. */
export const stopLlamaCpp = async (): Promise<void> => {
  await (await started)?.dispose();
  started = undefined;
};
