/** @file The worker thread's side of `ort-node.ts`: takes numbered calls, runs them on an engine, posts results back. */
import { parentPort, workerData } from "node:worker_threads";
import { LowrankError, messageOf, type HostTensor } from "../util/index.ts";
import { createEngine, type Engine, type EngineOptions } from "./ort-session.ts";

/** A call by the name of an engine's method; the arguments are cloned or moved. */
export interface Call {
  readonly id: number;
  readonly method: keyof Engine;
  readonly parameters: readonly unknown[];
}

export type Reply =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: { code: string; message: string } };

const engine = createEngine(workerData as EngineOptions);
const port = parentPort!;

const buffersOf = (value: unknown): ArrayBuffer[] => {
  const hosts = (value as { hosts?: Record<string, HostTensor> } | undefined)?.hosts ?? {};
  return [...new Set(Object.values(hosts).map(({ data }) => data.buffer as ArrayBuffer))];
};

const answer = async ({ id, method, parameters }: Call): Promise<void> => {
  try {
    const value: unknown = await (engine[method] as (...values: readonly unknown[]) => unknown)(...parameters);
    port.postMessage({ id, value } satisfies Reply, buffersOf(value));
  } catch (error) {
    const code = LowrankError.is(error) ? error.code : "backend-failed";
    port.postMessage({ id, error: { code, message: messageOf(error) } } satisfies Reply);
  }
};

// One call at a time and in order: a run must see the stores of the run before it.
let queue = Promise.resolve();
port.on("message", (call: Call) => {
  queue = queue.then(() => answer(call));
});
