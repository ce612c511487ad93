/** @file The worker thread's side of `ort-thread.ts`: takes numbered calls, runs them on engines, posts results back. */
import { parentPort } from "node:worker_threads";
import { LowrankError, messageOf, type HostTensor } from "../util/index.ts";
import { buffersOf } from "./host.ts";
import { createEngine, type Engine, type EngineOptions } from "./ort-session.ts";

/** A call by the name of an engine's method; the arguments are cloned or moved. */
export interface Call {
  readonly id: number;
  /** Which engine; the first call for a number makes it. */
  readonly engine: number;
  readonly options: EngineOptions;
  readonly method: keyof Engine;
  readonly parameters: readonly unknown[];
}

export type Reply =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: { code: string; message: string } };

const engines = new Map<number, Engine>();
const port = parentPort!;

const movedOf = (value: unknown): ArrayBuffer[] =>
  buffersOf(Object.values((value as { hosts?: Record<string, HostTensor> } | undefined)?.hosts ?? {}));

const engineOf = ({ engine: number, options }: Call): Engine => {
  const engine = engines.get(number) ?? createEngine(options);
  engines.set(number, engine);
  return engine;
};

const answer = async (call: Call): Promise<void> => {
  const { id, method, parameters } = call;
  try {
    const engine = engineOf(call);
    const value: unknown = await (engine[method] as (...values: readonly unknown[]) => unknown)(...parameters);
    if (method === "dispose") engines.delete(call.engine);
    port.postMessage({ id, value } satisfies Reply, movedOf(value));
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
